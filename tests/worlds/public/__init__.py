"""Core ML packages of public models, made anew: their structure at small widths, with random weights."""
