"""Training the small model from nothing. Not part of the installed package."""
