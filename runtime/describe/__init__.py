"""Describe any diffusers or transformers model from its config: one forward on PyTorch's meta device, counted."""
