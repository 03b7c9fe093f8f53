"""Open-Sora v1.2's three networks, each an ordered list of units that a plan may cut between, and their weights."""
