"""What blocks run on: torch, ML Programs in the reference executor, Core ML. All behind runtime.backends.protocol."""
