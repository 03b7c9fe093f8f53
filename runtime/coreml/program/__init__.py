"""The reference executor: ML Programs evaluated by PyTorch on any machine."""
