"""Times, Euler steps and the dynamic leap of the published GPU code against reference vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ondevice_sora.plans.leap import PUBLISHED_GPU_CODE
from ondevice_sora.records.checks import CaseResult
from ondevice_sora.runtime.sampling.leap import (
    FixedLeap,
    LeapRule,
    Observation,
    PlateauLeap,
    PlateauWatcher,
    drift_cosine,
)
from ondevice_sora.runtime.sampling.sampler import Sample, flow_timesteps, latent_frames_in_transform, sample
from ondevice_sora.studies.reference.files import (
    COSINE_TOLERANCE,
    EULER_TOLERANCE,
    TIMESTEP_TOLERANCE,
    Tensors,
    compare,
    compare_exactly,
    compare_numbers,
    read_json,
)

TIMESTEP_FILES = ("rflow_timesteps.json",)
EULER_FILES = ("rflow_euler.config.json", "rflow_euler.safetensors")
LEAP_FILES = ("lpl_dynamic.json", "lpl_dynamic.safetensors")
END_TO_END_FILES = ("lpl_dynamic_end_to_end.safetensors",)

# The end-to-end file does not state its run; this is the one its description gives.
DESCRIBED_RUN = {"num_sampling_steps": 30, "height": 192, "width": 192, "num_frames": 68, "cfg_scale": 7.0}


def timestep_cases(directory: Path) -> Iterator[CaseResult]:
    """Times handed to the network, for each schedule in the file."""
    file = TIMESTEP_FILES[0]
    misfits = []
    for case in read_json(directory / file)["cases"]:
        discrete, transform = case["use_discrete_timesteps"], case["use_timestep_transform"]
        name = f"{case['num_sampling_steps']} steps, {case['height']}x{case['width']}, {case['num_frames']} frames"
        name += ("" if transform else ", untransformed") + (", discrete" if discrete else "")
        yield compare_numbers(file, name, _timesteps(case, discrete, transform), case["timesteps"], TIMESTEP_TOLERANCE)
        counted = latent_frames_in_transform(case["num_frames"])
        if counted != case.get("latent_frames_in_transform", counted):
            misfits.append(f"{name}: {counted} latent frames for {case['latent_frames_in_transform']}")
    yield compare_exactly(file, "latent frames in the transform", misfits)


def _timesteps(run: Mapping[str, Any], discrete: bool, transform: bool = True) -> tuple[float, ...]:
    return flow_timesteps(
        run["num_sampling_steps"],
        height=run["height"],
        width=run["width"],
        num_frames=run["num_frames"],
        discrete=discrete,
        transform=transform,
    )


def _run_analytic_model(
    tensors: Tensors, prefix: str, run: Mapping[str, Any], discrete: bool, leap: LeapRule | None
) -> Sample:
    """Sample the model of which the reference vectors give the formula; its last channels must not matter."""
    captions = torch.cat([tensors[f"{prefix}y_cond"], tensors[f"{prefix}y_null"]])
    noise = tensors[f"{prefix}z0"]
    means = captions.flatten(1).mean(dim=1).reshape(-1, 1, 1, 1, 1)
    means = means.repeat_interleave(2 * noise.shape[0] // means.shape[0], dim=0)

    def denoise(latents: Tensor, timesteps: Tensor, *, step: int, merge: bool) -> Tensor:
        times = (timesteps / 1000).reshape(-1, 1, 1, 1, 1)
        told = means[: len(latents)]
        velocity = -0.3 * latents + 0.7 * told - 0.5 * times * torch.sin(latents + told)
        return torch.cat([velocity, torch.full_like(velocity, 123.0)], dim=1)

    times = _timesteps(run, discrete)
    return sample(denoise, noise, times, guidance_scale=float(run["cfg_scale"]), leap=leap)


def euler_cases(directory: Path) -> Iterator[CaseResult]:
    """A whole run and runs that leap at given steps: the times evaluated and the data they end at."""
    config = read_json(directory / EULER_FILES[0])
    tensors = Tensors(directory / EULER_FILES[1])
    for name in sorted(name.removesuffix(".z_final") for name in tensors if name.endswith(".z_final")):
        parts = name.split(".")
        leap = FixedLeap(int(parts[0].removeprefix("leap_at_"))) if parts[0].startswith("leap_at_") else None
        result = _run_analytic_model(tensors, "full.", config, "discrete" in parts, leap)
        evaluated = f"{name}.timesteps_evaluated"
        recorded = evaluated if evaluated in tensors else f"{name}.timesteps"
        yield from _compare_run(tensors, name, result, recorded)


def _compare_run(tensors: Tensors, name: str, result: Sample, recorded: str) -> Iterator[CaseResult]:
    file = tensors.path.name
    times = [record.timestep for record in result.steps]
    yield compare_numbers(file, recorded, times, tensors[recorded].tolist(), TIMESTEP_TOLERANCE)
    final = f"{name}.z_final".removeprefix(".")
    yield compare(file, final, result.latent, tensors[final], EULER_TOLERANCE)


def leap_cases(directory: Path) -> Iterator[CaseResult]:
    """The GPU code's dynamic rule on recorded drifts: cosines, the state it keeps, and the step it leaps at."""
    expected = read_json(directory / LEAP_FILES[0])
    rule = published_rule(expected.get("_settings", {}))
    tensors = Tensors(directory / LEAP_FILES[1])
    for name, sequence in expected.items():
        if not name.startswith("_"):
            yield from _sequence_cases(name, sequence, tensors[f"{name}.velocities"], rule)


def published_rule(settings: Mapping[str, Any]) -> PlateauLeap:
    """The GPU code's rule, with other numbers where the reference vectors state some."""
    return PlateauLeap(
        over=PUBLISHED_GPU_CODE.over,
        tolerance=settings.get("cos_tolerance", PUBLISHED_GPU_CODE.tolerance),
        patience=settings.get("tolerance_n", PUBLISHED_GPU_CODE.patience),
        first_step=settings.get("minimum_steps", PUBLISHED_GPU_CODE.first_step),
    )


def _sequence_cases(name: str, sequence: Mapping[str, Any], drifts: Tensor, rule: PlateauLeap) -> Iterator[CaseResult]:
    watcher = rule.start(sequence["num_steps"])
    assert isinstance(watcher, PlateauWatcher)
    cosines: list[tuple[float, float]] = []
    misfits = []
    stop_step = None
    for row in sequence["rows"]:
        step = row["step"]
        drift = drifts[step]
        leap = watcher.observe(Observation(step, 1 - step / sequence["num_steps"], drift, drift)).leap
        if row["cosine_mean"] is not None:
            cosines.append((drift_cosine(drifts[step - 1], drift, rule.over), row["cosine_mean"]))
        if leap:
            # The published code forgets its state when it leaps; here the run is over.
            stop_step = step
        elif watcher.patience_left != row["patience_left"] or abs(watcher.best - row["best_cos"]) > COSINE_TOLERANCE:
            misfits.append(f"step {step}: patience {watcher.patience_left}, best {watcher.best}")
        if leap != row["stop"]:
            misfits.append(f"step {step}: leap {leap}")
        if leap:
            break
    if stop_step != sequence["stop_step"]:
        misfits.append(f"leaps at {stop_step}, not {sequence['stop_step']}")
    file = LEAP_FILES[0]
    got, wanted = zip(*cosines, strict=True) if cosines else ((), ())
    yield compare_numbers(file, f"{name}: cosines", got, wanted, COSINE_TOLERANCE)
    yield compare_exactly(file, f"{name}: decisions", misfits)


def end_to_end_cases(directory: Path) -> Iterator[CaseResult]:
    """A whole run with the GPU code's dynamic rule and its rounded times.

    The file does not state steps, size and guidance: they are its metadata where it has some, else those of the Euler
    file beside it or of its description, whichever begins with the recorded times.
    """
    tensors = Tensors(directory / END_TO_END_FILES[0])
    recorded = tensors["timesteps_evaluated"].tolist()
    settings_file = directory / LEAP_FILES[0]
    rule = published_rule(read_json(settings_file).get("_settings", {}) if settings_file.is_file() else {})
    candidates = [_run_from_metadata(tensors.metadata), DESCRIBED_RUN]
    if (directory / EULER_FILES[0]).is_file():
        candidates.insert(1, read_json(directory / EULER_FILES[0]))
    runs = [run for run in candidates if run is not None]

    def begins_as_recorded(run: Mapping[str, Any]) -> bool:
        times = _timesteps(run, discrete=True)[: len(recorded)]
        return compare_numbers("", "", times, recorded, TIMESTEP_TOLERANCE).ok

    run = next((run for run in runs if begins_as_recorded(run)), runs[0])
    result = _run_analytic_model(tensors, "", run, discrete=True, leap=rule)
    yield from _compare_run(tensors, "", result, "timesteps_evaluated")


def _run_from_metadata(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    names = {"steps": "num_sampling_steps", "num_sampling_steps": "num_sampling_steps"}
    names |= {name: name for name in ("height", "width", "num_frames")}
    run: dict[str, Any] = {names[key]: int(value) for key, value in metadata.items() if key in names}
    if not run:
        return None
    return {**DESCRIBED_RUN, **run, "cfg_scale": float(metadata.get("cfg_scale", DESCRIBED_RUN["cfg_scale"]))}
