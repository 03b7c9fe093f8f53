"""What is known: devices, models, costs, and the trace that every engine writes."""
