"""Temporal Dimension Token Merging (TDTM): adjacent frames share one token while attention runs.

After arXiv 2502.04363, section 3.2, in the form its published device code runs. An odd last frame has no neighbour to
be averaged with and stays a group of its own: 5 frames merge to 3 and come back as 5, and the last frame is
untouched.
"""

from __future__ import annotations

import torch
from torch import Tensor


def merge_frames(x_BTSC: Tensor) -> Tensor:
    """Average frames 2k and 2k+1: [B, T, S, C] -> [B, ceil(T / 2), S, C]."""
    if x_BTSC.shape[1] % 2:
        x_BTSC = torch.cat([x_BTSC, x_BTSC[:, -1:]], dim=1)
    return (x_BTSC[:, 0::2] + x_BTSC[:, 1::2]) / 2


def unmerge_frames(x_BTSC: Tensor, num_frames: int) -> Tensor:
    """Give each merged frame back to the frames it came from: [B, ceil(T / 2), S, C] -> [B, num_frames, S, C]."""
    return x_BTSC.repeat_interleave(2, dim=1)[:, :num_frames]
