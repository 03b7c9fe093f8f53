"""Reports for people: terminal tables, HTML pages, Perfetto traces. Each is a function of records, traces above all."""
