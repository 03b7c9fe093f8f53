"""What blocks cost, measured: on this machine, or on a phone that is connected to a Mac."""
