"""What does happen: models, sampler, block execution and weight loading, on this machine or on a phone."""
