"""Many plans at once: a grid of settings, simulated on processes or a cluster."""
