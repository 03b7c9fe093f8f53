"""A row of a corpus in the simulator's terms: its device, its model as one block, and the quantity that was measured.

What cannot be said in these terms is no error: `subject_of` gives the reason, and the row is counted as skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import Literal

from ondevice_sora.profiles.blocks import BlockSpec, ComputeUnits
from ondevice_sora.profiles.devices import Device, device_keys, load_device
from ondevice_sora.profiles.models.model import WEIGHT_BYTES, Precision, Unit, WeightFormat, Work, precision_of
from ondevice_sora.profiles.networks import Network, flops, guessed, network_named, scaled
from ondevice_sora.simulator.calibration.corpus_file import CorpusFigure

Quantity = Literal["predict", "steps", "first load", "later load", "memory", "end to end"]


@dataclass(frozen=True)
class UnpredictableError(Exception):
    """A row that says what we have no terms for."""

    reason: str


@dataclass(frozen=True)
class Measured:
    """What was measured, in seconds or bytes. `counts` says which bytes."""

    quantity: Quantity
    value: float
    counts: tuple[Literal["weights", "working", "baseline"], ...] = ()


@dataclass(frozen=True)
class Subject:
    """A row that can be predicted: `count` blocks like `block`, one after the other.

    An end-to-end row names a ready plan instead.
    """

    figure: CorpusFigure
    device: Device
    measured: Measured
    block: BlockSpec | None
    count: int = 1
    plan: str = ""


def subject_of(figure: CorpusFigure) -> Subject:
    """Raises UnpredictableError with the reason."""
    measured = measured_of(figure)
    device = device_of(figure)
    units = compute_units_of(figure)
    if measured.quantity == "end to end":
        return Subject(figure, device, measured, None, plan=_plan_of(figure))
    return Subject(figure, device, measured, *blocks_of(figure, measured, units, device))


# The quantity

SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "1/s": 1.0, "/s": 1.0, "it/s": 1.0, "tokens/s": 1.0}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30}


def measured_of(figure: CorpusFigure) -> Measured:
    """Raises UnpredictableError for a quantity in words, or a unit, that is not known here."""
    words = figure.quantity.lower()
    value = figure.value
    if not isinstance(value, (int, float)) or value <= 0:
        raise UnpredictableError("no number above zero")
    if figure.unit in BYTES:
        return Measured("memory", value * _scale(figure, BYTES), _bytes_counted(words))
    seconds = value * _scale(figure, SCALES)
    if "per second" in words or figure.unit in ("1/s", "/s", "it/s", "tokens/s"):
        return Measured("steps", 1.0 / seconds)
    if "end to end" in words:
        return Measured("end to end", seconds)
    if "whole pipeline" in words or "all models" in words:
        raise UnpredictableError("quantity of a whole pipeline")
    if words.startswith(("predict", "run", "inference", "latency", "encode", "one token")):
        return Measured("predict", seconds)
    if "load" in words or "compil" in words or "specialis" in words:
        is_first = any(word in words for word in ("first", "nothing cached", "uncached", "cold", "compil", "specialis"))
        return Measured("first load" if is_first else "later load", seconds)
    raise UnpredictableError(f"quantity not known: {figure.quantity}")


def _scale(figure: CorpusFigure, scales: dict[str, float]) -> float:
    if figure.unit not in scales:
        raise UnpredictableError(f"unit not known: {figure.unit} of {figure.quantity}")
    return scales[figure.unit]


def _bytes_counted(words: str) -> tuple[Literal["weights", "working", "baseline"], ...]:
    if "by a run" in words or "by running" in words:
        return ("working",)
    if "above" in words or "added" in words or "increase" in words:
        return "weights", "working"
    return "weights", "working", "baseline"


# The device


def device_of(figure: CorpusFigure) -> Device:
    """By name, else by family and chip: a Pro Max stands for its Pro. Raises UnpredictableError."""
    chips = re.split(r"\s+or\s+", figure.chip or "")
    for place, name in enumerate(re.split(r"\s+or\s+", re.sub(r"\(.*?\)", "", figure.device))):
        found = _device(name, chips[min(place, len(chips) - 1)])
        if found is not None:
            return found
    raise UnpredictableError(f"device not in the catalogue: {figure.device}")


def _device(name: str, chip: str) -> Device | None:
    plain = re.sub(r"\b(max|plus|mini|\d\d(\.\d)?[- ]inch)\b", "", name.lower())
    plain = re.sub(r"[^a-z0-9]", "", plain)
    keys = device_keys()
    if plain in keys:
        return load_device(plain)
    family = next((each for each in ("iphone", "ipad", "mac") if plain.startswith(each)), None)
    if family is None or not chip.strip():
        return None
    wanted = re.sub(r"\bbionic\b|\(.*?\)", "", chip.lower()).strip()
    known = [load_device(key) for key in keys if key.startswith(family)]
    return next((d for d in known if re.sub(r"\bbionic\b|\(.*?\)", "", d.chip.lower()).strip() == wanted), None)


# The compute units


def compute_units_of(figure: CorpusFigure) -> ComputeUnits:
    """`all`, Core ML's default, where nothing else is said. Raises UnpredictableError for what is not Core ML."""
    words = (figure.compute_units or "").lower().replace("-", "_")
    if any(other in words for other in ("mlx", "mps", "tflite", "litert", "ggml", "llama.cpp", "metal")):
        raise UnpredictableError(f"not Core ML: {figure.compute_units}")
    if words.startswith(("all", "default")):
        return "all"
    known: tuple[ComputeUnits, ...] = ("cpu_and_gpu", "cpu_and_ne", "cpu_only")
    for units in known:
        if units in words or units.replace("_", "") in words:
            return units
    if "neural engine" in words or re.search(r"\bane\b", words):
        return "cpu_and_ne"
    if re.search(r"\bgpu\b", words):
        return "cpu_and_gpu"
    return "cpu_only" if re.fullmatch(r"cpu( only)?", words) else "all"


# The model


def blocks_of(figure: CorpusFigure, measured: Measured, units: ComputeUnits, device: Device) -> tuple[BlockSpec, int]:
    """The model as a block, or as so many equal ones. Raises UnpredictableError where too little is known of it.

    What is told to have run on the Neural Engine came in as many packages as the engine's limit makes necessary.
    """
    description = _described(figure)
    network = network_named(figure.model)
    text = f"{figure.model} {(figure.description or {}).get('get') or ''}"
    weights, parameters = _weights(figure.model, description, network)
    precision: Precision = precision_of(weights, "float32" if weights == "float32" else "float16") or weights
    work = _work(figure, description, network, parameters, _batch(text), measured)
    count = _chunks(text)
    if units == "cpu_and_ne":
        count = max(count, ceil(parameters * WEIGHT_BYTES[weights] / device.engine_bytes))
    unit = Unit("all", round(parameters / count), scaled(work, 1 / count))
    return BlockSpec("corpus", "model", 0, "all", (unit,), "plain", precision, units, device.engine_bytes), count


def _chunks(text: str) -> int:
    found = re.search(r"(\d+) chunks", text.lower())
    return max(1, int(found[1])) if found else 1


def _batch(text: str) -> int:
    found = re.search(r"batch (?:of )?(\d+)", text.lower())
    return int(found[1]) if found else 1


@dataclass(frozen=True)
class _Description:
    """What a row tells of its model in numbers; `stored` is the format of weights that its bytes are told to be in."""

    params: float | None
    weight_bytes: float | None
    stored: WeightFormat | None
    flops: float | None
    matmul_flops: float | None
    attention_flops: float | None
    convolution_flops: float | None


def _described(figure: CorpusFigure) -> _Description:
    told = figure.description or {}
    size = told.get("weight_bytes")
    return _Description(
        _number(told.get("params")),
        _number(size),
        _told(size) if isinstance(size, str) else None,
        _number(told.get("flops"), figure.model),
        *(_number(told.get(f"{name}_flops"), figure.model) for name in ("matmul", "attention", "convolution")),
    )


def _number(told: object, model: str = "") -> float | None:
    """A number, the one that words end in ('6-bit: 0.65 GB'), or that for an input size that the model's name has."""
    if isinstance(told, dict):
        return next((_number(value) for size, value in told.items() if str(size) in model), None)
    if isinstance(told, (int, float)) and not isinstance(told, bool):
        return float(told) if told > 0 else None
    found = (
        re.search(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(kB|MB|GB|MiB|GiB|B|M)?\s*$", told)
        if isinstance(told, str)
        else None
    )
    return float(found[1]) * {**BYTES, "M": 1e6}[found[2] or "B"] if found else None


def _weights(model: str, description: _Description, network: Network | None) -> tuple[WeightFormat, float]:
    """How weights are stored, and how many there are."""
    stored, parameters = description.weight_bytes, description.params
    told = _told(model) or description.stored
    if parameters is None and network is not None:
        parameters = network.parameters
    if told is None and parameters and stored:
        ratio = stored / parameters
        sizes = {abs(size / ratio - 1.0): name for name, size in WEIGHT_BYTES.items()}
        told = sizes[min(sizes)]
    weights: WeightFormat = told or "float16"
    if parameters is None and stored:
        parameters = stored / WEIGHT_BYTES[weights]
    if parameters is None:
        if description.flops or description.matmul_flops:
            return weights, 0.0
        raise UnpredictableError("no description of the model")
    return weights, parameters


def _told(text: str) -> WeightFormat | None:
    """The format of weights that words name."""
    words = text.lower()
    bits = re.search(r"\b(\d)(?:\.\d+)?[- ]?bits?\b|\bint([234568])\b|\bw([234568])a\d+", words)
    if bits:
        name = f"int{bits[1] or bits[2] or bits[3]}"
        return next((each for each in WEIGHT_BYTES if each == name), None)
    if "float32" in words or "fp32" in words:
        return "float32"
    return "float16" if "float16" in words or "fp16" in words else None


def _work(
    figure: CorpusFigure,
    description: _Description,
    network: Network | None,
    parameters: float,
    batch: int,
    measured: Measured,
) -> Work:
    """Operations as the row tells them, in the network's proportions if it is one of ours."""
    total = description.flops
    if network is not None:
        return scaled(network.work, total / flops(network.work) if total else float(batch))
    if description.matmul_flops is not None:
        classes = description.attention_flops or 0.0, description.convolution_flops or 0.0
        return guessed(description.matmul_flops, *classes, batch)
    if total is None and measured.quantity == "steps" and "token" in f"{figure.quantity} {figure.model}".lower():
        return guessed(2.0 * parameters, 0.0, 0.0)
    if total is None and measured.quantity in ("predict", "steps"):
        raise UnpredictableError("operations of the model not told")
    if total is None and measured.quantity == "memory" and "working" in measured.counts:
        raise UnpredictableError("operations of the model not told")
    return guessed(total or 0.0, 0.0, 0.0, batch)


PIPELINES = {"sdxl-base 768x768 pipeline": "sdxl-768", "sd 2.1-base pipeline": "sd21-512"}
"""Ready plans by what names of pipelines begin with; with `-reduced` behind it, of what is loaded for each image."""


def _plan_of(figure: CorpusFigure) -> str:
    """A ready plan of the pipeline as it was run. Raises UnpredictableError."""
    plan = next((plan for name, plan in PIPELINES.items() if figure.model.lower().startswith(name)), None)
    if plan is None:
        raise UnpredictableError(f"no plan of the pipeline: {figure.model}")
    words = re.sub(r"[^a-z]", "", f"{figure.quantity} {figure.place or ''}".lower())
    return f"{plan}-reduced" if "reducememory" in words else plan
