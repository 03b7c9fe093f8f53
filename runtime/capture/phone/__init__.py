"""Measure blocks on a phone that is connected to a Mac, through coremltools' device service."""
