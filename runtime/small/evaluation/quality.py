"""How one video compares with another, and how much it moves. Definitions: records/quality.py."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.runtime.sampling.pictures import Frames

LEVELS = 255.0
SSIM_SIGMA = 1.5

# VBench's dynamic degree (vbench/dynamic_degree.py): frames looked at a second, share of the fastest pixels, threshold
# in pixels at 256 pixels a side, and the share of frames that must be above it.
VBENCH_FPS = 8
FASTEST_SHARE = 0.05
THRESHOLD_AT_256 = 6.0
MOVING_SHARE = 4 / 16
# Passes of the flow's refinement: with 3 the magnitudes are within 0.3 % of those with 10, in a third of the time.
FLOW_PASSES = 3
LUMA = (0.299, 0.587, 0.114)


def mean_squared_error(frames: Frames, reference: Frames) -> float:
    """In squared levels of 0..255, over every pixel."""
    return float(np.square(frames.astype(np.float64) - reference).mean())


def structural_similarity(frames: Frames, reference: Frames) -> float:
    """Mean SSIM over frames, 1 for equal ones."""
    from skimage.metrics import structural_similarity as ssim

    return float(
        np.mean(
            [
                ssim(
                    frame,
                    wanted,
                    data_range=LEVELS,
                    channel_axis=-1,
                    gaussian_weights=True,
                    sigma=SSIM_SIGMA,
                    use_sample_covariance=False,
                )
                for frame, wanted in zip(frames, reference, strict=True)
            ]
        )
    )


def temporal_flickering(frames: Frames) -> float:
    """VBench's score: 1 for a still video, less the more successive frames differ; 1 for a single frame."""
    if len(frames) < 2:
        return 1.0
    differences = np.abs(np.diff(frames.astype(np.int16), axis=0))
    return float((LEVELS - differences.mean()) / LEVELS)


def flow_magnitudes(frames: Frames, fps: float) -> NDArray[np.float64]:
    """Mean flow over the fastest pixels, in pixels, from frame to frame of the eight a second that VBench looks at."""
    from skimage.registration import optical_flow_ilk

    gray = frames[:: max(1, round(fps / VBENCH_FPS))].astype(np.float64) @ np.array(LUMA) / LEVELS
    fastest = int(gray[0].size * FASTEST_SHARE)
    magnitudes = []
    for before, after in pairwise(gray):
        flow = optical_flow_ilk(before, after, gaussian=True, num_warp=FLOW_PASSES)
        magnitudes.append(np.sort(np.hypot(flow[0], flow[1]).ravel())[-fastest:].mean())
    return np.array(magnitudes)


def is_dynamic(magnitudes: NDArray[np.float64], side_pixels: int) -> bool:
    """VBench's decision from `flow_magnitudes` of a video whose shorter side has `side_pixels`."""
    needed = round(MOVING_SHARE * (len(magnitudes) + 1))
    return bool((magnitudes > THRESHOLD_AT_256 * side_pixels / 256).sum() >= needed) and len(magnitudes) > 0
