"""Core ML: packages read, written and run. What needs coremltools says so; reading needs its message classes only."""
