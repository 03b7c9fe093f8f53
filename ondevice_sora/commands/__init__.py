"""The command line, one module a verb: it wires the other packages together and imports each only where needed."""
