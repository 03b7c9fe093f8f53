"""How a generation is seen: terminal summary, one HTML page, a Perfetto trace. Everything is a function of traces."""
