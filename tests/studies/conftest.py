"""A small text encoder as a fixture, and results that depend neither on threads nor on earlier tests."""

from worlds.networks import deterministic_and_light, text_encoder

__all__ = ["deterministic_and_light", "text_encoder"]
