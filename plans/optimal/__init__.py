"""What `keep: optimal` decides, see choice.py."""
