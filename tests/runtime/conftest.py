"""Small networks as fixtures, and results that depend neither on threads nor on earlier tests."""

from worlds.networks import denoiser, deterministic_and_light, text_encoder, video_vae

__all__ = ["denoiser", "deterministic_and_light", "text_encoder", "video_vae"]
