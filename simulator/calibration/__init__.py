"""The simulator held against published figures, and costs fitted to them."""
