"""Comparison with reference vectors: one module for each kind of file they come in."""
