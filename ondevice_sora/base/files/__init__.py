"""Files of settings and results: reading them with complaints that name a line, and writing them whole."""
