"""What would happen: the discrete-event engine, its fast equivalent, bounds, and the checks against published figures."""
