"""The command line: it wires the other packages together and imports each only where it is needed."""
