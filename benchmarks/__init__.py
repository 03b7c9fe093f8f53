"""Programs that print a speed beside its bound: `python -m benchmarks.engine`."""
