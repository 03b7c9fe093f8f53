"""What packages cost, counted from their programs alone."""
