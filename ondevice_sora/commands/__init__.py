"""The command line, one module per verb. It connects the other packages and imports each only where it is needed."""
