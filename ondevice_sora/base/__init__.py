"""What every other part stands on: errors that users see, units, files, compiled columns. Knows nothing of models."""
