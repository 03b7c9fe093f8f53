"""A corpus of published figures beside what the shipped figures predict, with intervals, by processor and quantity."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import median

import numpy as np

from ondevice_sora.base.interrupts import check
from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.profiles.block_bytes import memory_processor
from ondevice_sora.profiles.blocks import UNBOUNDED, BlockSpec, Processor
from ondevice_sora.profiles.costs import Array, figures
from ondevice_sora.profiles.profile import Profile, load_profile
from ondevice_sora.records import agreement
from ondevice_sora.records.checks import CorpusClass, CorpusReport, CorpusRow, SkippedRow
from ondevice_sora.simulator.calibration.corpus_file import CorpusFigure, CorpusFile, read_corpus
from ondevice_sora.simulator.calibration.corpus_rows import Measured, Subject, UnpredictableError, subject_of
from ondevice_sora.simulator.calibration.published import SHIPPED
from ondevice_sora.simulator.interval import SEED, draw, interval_of, spread_of
from ondevice_sora.simulator.prepare import prepare, setting_of

DRAWS = 400
ORDER: tuple[Processor, ...] = ("gpu", "ane", "cpu")


def corpus_report(corpus: CorpusFile) -> CorpusReport:
    """Every row that can be predicted, the classes that they form, and what was skipped and why."""
    rows, skipped = [], []
    fitted = {_identity(figure) for figure in shipped().figures if figure.id in shipped().fitted}
    for figure in corpus.figures:
        check()
        try:
            rows.append(predicted(subject_of(figure), _identity(figure) in fitted))
        except UnpredictableError as reason:
            skipped.append(SkippedRow(figure.id, reason.reason))
    return CorpusReport(rows, classes_of(rows), skipped)


def _identity(figure: CorpusFigure) -> tuple[object, ...]:
    """What makes two rows the same figure, whatever they are called."""
    return figure.model, figure.device, figure.quantity, figure.value


@cache
def shipped() -> CorpusFile:
    """The corpus that comes with the tool."""
    return read_corpus(SHIPPED / "corpus.yaml")


def predicted(subject: Subject, is_fitted: bool = False) -> CorpusRow:
    """A row with its prediction and the central 90 % of what the spreads make of it."""
    profile, _ = load_profile(subject.device.key)
    quantity = subject.measured.quantity
    if subject.block is None:
        processor, value, low, high = _pipeline_values(subject.plan, profile, subject)
    else:
        processor = memory_processor(subject.block, profile.costs) if quantity == "memory" else subject.block.processor
        value, sampled = _block_values(subject.block, subject.measured, profile, subject)
        low, high = (bound * subject.count for bound in interval_of(sampled))
        value *= subject.count
    return CorpusRow(
        id=subject.figure.id,
        model=subject.figure.model,
        device=subject.device.key,
        processor=processor,
        quantity=quantity,
        published=subject.measured.value,
        predicted=float(value),
        low=float(low),
        high=float(high),
        is_fitted=is_fitted,
        is_known=not (quantity == "first load" and processor == "ane"),
    )


def _pipeline_values(plan: str, profile: Profile, subject: Subject) -> tuple[Processor, float, float, float]:
    """Where a ready plan mostly runs, its total without a limit on memory, and that total's interval."""
    loaded = load_plan(plan)
    prepared = prepare(loaded, setting_of(profile, subject.device, loaded.plan, memory_limit=UNBOUNDED))
    total = prepared.finish().total_s
    low, high = spread_of(prepared.outcomes()).interval()
    stepped = next(block for block in prepared.schedule.blocks if block.component == "denoiser")
    return stepped.processor, total, low, high


def _block_values(block: BlockSpec, measured: Measured, profile: Profile, subject: Subject) -> tuple[float, Array]:
    """The quantity at the figures' values, and at draws of them."""
    if measured.quantity == "memory":
        return _memory(block, measured, profile, subject)
    field = {"first load": "load_cold_s", "later load": "load_warm_s"}.get(measured.quantity, "run_s")
    is_cached = profile.fits_page_cache(subject.device, block.stored_bytes)
    sample = draw(profile, DRAWS, np.random.default_rng(SEED))
    price = profile.pricer(subject.device, None, is_cached)
    at_value = getattr(price([block]), field)[0, 0]
    drawn = getattr(profile.pricer(subject.device, sample, is_cached)([block]), field)[0]
    return float(at_value), drawn


def _memory(block: BlockSpec, measured: Measured, profile: Profile, subject: Subject) -> tuple[float, Array]:
    """Bytes: weights and working memory each drawn with the spread that the costs give them."""
    priced = profile.pricer(subject.device)([block])
    known = figures(profile.costs)
    prefix = f"processors.{memory_processor(block, profile.costs)}."
    random = np.random.default_rng(SEED)
    parts = {
        "weights": (priced.resident_bytes[0], known[f"{prefix}charged_share"].spread),
        "working": (priced.working_bytes[0], known[f"{prefix}convolution_working_factor"].spread),
        "baseline": (known["baseline_bytes"].value, known["baseline_bytes"].spread),
    }
    framework = known["framework_bytes"]
    values = [parts[name] for name in measured.counts]
    if "weights" in measured.counts:
        values.append((framework.value, framework.spread))
    total = sum(value for value, _ in values)
    drawn = sum((value * np.exp(spread * random.standard_normal(DRAWS)) for value, spread in values), np.zeros(DRAWS))
    return float(total), drawn


def classes_of(rows: Sequence[CorpusRow]) -> list[CorpusClass]:
    """The rows by processor and quantity: those that fitted, those that check, and all."""
    found = []
    keys = sorted({(ORDER.index(row.processor), row.quantity) for row in rows})
    for place, quantity in keys:
        own = [row for row in rows if (row.processor, row.quantity) == (ORDER[place], quantity)]
        found += [
            _class(ORDER[place], quantity, which, part)
            for which, part in (
                ("fitted", [row for row in own if row.is_fitted]),
                ("checked", [row for row in own if not row.is_fitted]),
                ("all", own),
            )
            if part
        ]
    return found


def _class(processor: Processor, quantity: str, which: str, rows: Sequence[CorpusRow]) -> CorpusClass:
    errors = [abs(row.ratio - 1.0) for row in rows]
    return CorpusClass(
        processor=processor,
        quantity=quantity,
        which=which,  # type: ignore[arg-type]
        num_rows=len(rows),
        median_error=median(errors),
        coverage=sum(row.is_inside for row in rows) / len(rows),
        within_factor_3=sum(1 / 3 <= row.ratio <= 3 for row in rows) / len(rows),
        rank_correlation=rank_correlation([row.published for row in rows], [row.predicted for row in rows]),
    )


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's; None for fewer than three pairs, or where one side is all alike."""
    if len(first) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return agreement.rank_correlation(first, second)
