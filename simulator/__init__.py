"""What would happen: the discrete-event engine, its fast equivalent, bounds, checks against published figures."""
