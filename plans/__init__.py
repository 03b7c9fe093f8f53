"""What is decided before a run: the plan, the partition, the schedule, and the loading policies."""
