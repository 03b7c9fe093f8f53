"""Rows of the evaluation's table from the records of its videos, with 95 % intervals.

Every statistic is a function of sums over videos, so a bootstrap resample of prompts is a weighted sum of the prompts'
sums: both seeds of a prompt come and go together. Definitions: records/quality.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ondevice_sora.plans.schema import Tdtm
from ondevice_sora.records.quality import ATTRIBUTES, Interval, Measured, Row
from ondevice_sora.runtime.small.evaluation.configurations import FIXED_PREFIX, Configuration

RESAMPLES = 2000
BOOTSTRAP_SEED = 0
FEWEST_PROMPTS = 6
"""Of fewer, resamples say nothing: even the whole range of five holds the median with less than 95 % certainty."""
PERCENTILES = (2.5, 97.5)
CONFIDENT_DEVIATIONS = 1.96
PEAK_SQUARED = 255.0**2

Values = NDArray[np.float64]


def rows(known: Mapping[str, Configuration], records: Mapping[str, Sequence[Measured]]) -> list[Row]:
    """One row for each configuration that has records, in the order of `known`."""
    fixed = [_Sums(found) for name, found in records.items() if name.startswith(FIXED_PREFIX)]
    return [_row(known[name], _Sums(records[name]), fixed) for name in known if name in records]


class _Sums:
    """Sums over each prompt's videos, and the same over resamples of the prompts."""

    def __init__(self, records: Sequence[Measured]) -> None:
        self.records = records
        self.scenes = sorted({record.scene for record in records})
        rng = np.random.default_rng(BOOTSTRAP_SEED)
        count = len(self.scenes)
        # First the prompts as they are, then the resamples: one row of weights each.
        resamples = RESAMPLES if count >= FEWEST_PROMPTS else 0
        self.weights = np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), resamples)])

    def total(self, of: str) -> Values:
        """Sum of an attribute over the videos, for the prompts as they are and for each resample."""
        by_scene = dict.fromkeys(self.scenes, 0.0)
        for record in self.records:
            by_scene[record.scene] += 1.0 if of == "videos" else float(getattr(record, of))
        values: Values = self.weights @ np.array(list(by_scene.values()))
        return values

    def mean(self, of: str) -> Values:
        return self.total(of) / self.total("videos")

    def psnr(self, of: str = "mse") -> Values:
        with np.errstate(divide="ignore"):
            values: Values = 10 * np.log10(PEAK_SQUARED / self.mean(of))
        return values

    def same_videos(self, other: _Sums) -> bool:
        return {(r.scene, r.seed) for r in self.records} == {(r.scene, r.seed) for r in other.records}


def _row(configuration: Configuration, sums: _Sums, fixed: Sequence[_Sums]) -> Row:
    records, prompts = sums.records, len(sums.scenes)
    rights = {name: sum(record.right[name] for record in records) / len(records) for name in (*ATTRIBUTES, "all")}
    return Row(
        configuration=configuration.name,
        title=configuration.title,
        num_prompts=prompts,
        num_videos=len(records),
        evaluations=_interval(sums.mean("num_evaluations")),
        time_ratio=_interval(sums.total("full_denoiser_s") / sums.total("denoiser_s")),
        whole_time_ratio=_interval(sums.total("full_total_s") / sums.total("total_s")),
        psnr_db=_interval(sums.psnr()),
        ssim=_interval(sums.mean("ssim")),
        adherence={name: _share(share, prompts) for name, share in rights.items()},
        flickering=_interval(sums.mean("flickering")),
        dynamic_degree=_share(sum(record.is_dynamic for record in records) / len(records), prompts),
        motion_pixels=_interval(sums.mean("motion")),
        gain_over_fixed_db=_gain(configuration, sums, fixed),
        exact_psnr_db=None if any(each.exact_mse is None for each in records) else _interval(sums.psnr("exact_mse")),
    )


def _gain(configuration: Configuration, sums: _Sums, fixed: Sequence[_Sums]) -> Interval | None:
    """PSNR above a fixed leap of as many evaluations; None outside the fixed leaps, on other videos, or with TDTM."""
    others = sorted(
        (other for other in fixed if sums.same_videos(other)), key=lambda other: float(other.mean("num_evaluations")[0])
    )
    if configuration.plan.lpl.mode != "dynamic" or configuration.plan.tdtm != Tdtm() or len(others) < 2:
        return None
    evaluations = sums.mean("num_evaluations")
    counts = [float(other.mean("num_evaluations")[0]) for other in others]
    if not counts[0] <= evaluations[0] <= counts[-1]:
        return None
    levels = np.array([other.psnr() for other in others])
    expected = np.array([np.interp(at, counts, levels[:, draw]) for draw, at in enumerate(evaluations)])
    return _interval(sums.psnr() - expected)


def _interval(values: Values) -> Interval:
    """The value and the percentiles of its resamples; what is infinite is None."""
    drawn = values[1:]
    low, high = np.percentile(drawn, PERCENTILES, method="nearest") if len(drawn) else (math.nan, math.nan)
    return Interval(*(float(value) if math.isfinite(value) else None for value in (values[0], low, high)))


def _share(share: float, prompts: int) -> Interval:
    return Interval(share, *wilson_interval(share * prompts, prompts))


def wilson_interval(right: float, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson's score interval).

    SciPy's takes whole numbers only, and two seeds of a prompt, which count as one, may be half right.
    """
    z = CONFIDENT_DEVIATIONS
    share, spread = right / total, 1 + z * z / total
    centre = (share + z * z / (2 * total)) / spread
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / spread
    return max(0.0, centre - half), min(1.0, centre + half)
