"""What exported blocks run on: the reference executor, or Core ML on macOS."""
