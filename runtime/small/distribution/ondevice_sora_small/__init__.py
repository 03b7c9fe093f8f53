"""The weights of ondevice-sora's small text-to-video model, in `weights` beside this file; there is no code."""
