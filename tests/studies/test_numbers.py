"""The worked values beside the phone's runtime are what the functions that generate give."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from worlds.paths import ROOT
from worlds.tokenizer_port import Port, RefusedError

pytest.importorskip("sentencepiece")

import torch

from ondevice_sora.runtime.sampling.generation import starting_noise
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.shipped import load_small
from ondevice_sora.studies.numbers import UNIGRAM, WORDS, numbers, toy_tokenizers

FOLDER = ROOT / "ondevice_sora" / "runtime" / "ios" / "numbers"
NAMES = sorted(path.name for path in FOLDER.iterdir())


def told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def computed() -> dict[str, bytes]:
    return numbers(toy_tokenizers(FOLDER))


def apart(one: Any, other: Any, tolerance: float, place: str = "$") -> list[str]:
    """The places where two documents differ, numbers by more than the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        return [each for key in one for each in apart(one[key], other[key], tolerance, f"{place}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for index, (a, b) in pairs for each in apart(a, b, tolerance, f"{place}[{index}]")]
    if isinstance(one, float) and isinstance(other, float):
        return [] if abs(one - other) <= tolerance else [place]
    return [] if type(one) is type(other) and one == other else [place]


def test_the_files_are_those_that_the_script_writes(computed: dict[str, bytes]) -> None:
    assert sorted(computed) == NAMES
    assert sum(map(len, computed.values())) < 1_000_000


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".json")])
def test_documents_say_what_is_computed_now(name: str, computed: dict[str, bytes]) -> None:
    tolerance = told(name).get("tolerance", 0)
    assert apart(told(name), json.loads(computed[name]), tolerance) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".bin")])
def test_arrays_are_what_is_computed_now(name: str, computed: dict[str, bytes]) -> None:
    stored = np.frombuffer((FOLDER / name).read_bytes(), "<f4")
    np.testing.assert_allclose(np.frombuffer(computed[name], "<f4"), stored, atol=told("leap.json")["tolerance"])


# The descriptions suffice


def test_tokens_follow_from_the_documents_alone() -> None:
    ports = {name: Port(FOLDER / name) for name in (WORDS, UNIGRAM)}
    rows = told("tokens.json")["rows"]
    assert {row["tokenizer"] for row in rows if "refused" in row} == set(ports)
    for row in rows:
        port = ports[row["tokenizer"]]
        if "refused" in row:
            with pytest.raises(RefusedError):
                port.encode(row["prompt"])
        else:
            ids, mask = port.encode(row["prompt"])
            assert ids[: sum(mask)] == row["ids"], row["prompt"]


def mersenne_twister(seed: int, count: int) -> NDArray[np.uint32]:
    """The first outputs of mt19937, seeded with one word."""
    state = [seed & 0xFFFFFFFF]
    for index in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + index) & 0xFFFFFFFF)
    outputs = []
    while len(outputs) < count:
        for index in range(624):
            upper = state[index] & 0x80000000 | state[(index + 1) % 624] & 0x7FFFFFFF
            state[index] = state[(index + 397) % 624] ^ upper >> 1 ^ (0x9908B0DF if upper & 1 else 0)
        for word in state:
            word ^= word >> 11
            word ^= word << 7 & 0x9D2C5680
            word ^= word << 15 & 0xEFC60000
            outputs.append(word ^ word >> 18)
    return np.array(outputs[:count], np.uint32)


def described_noise(seed: int, count: int) -> NDArray[np.float32]:
    """Noise by docs/coreml.md alone: uniforms, groups of 16, the last 16 anew."""
    rest = 16 if count % 16 else 0
    uniforms = (mersenne_twister(seed, count + rest) & 0xFFFFFF) / 2.0**24
    values = uniforms[:count].copy()

    def normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
        r, t = np.sqrt(-2 * np.log(1 - x[:8])), 2 * np.pi * x[8:]
        return np.concatenate([r * np.cos(t), r * np.sin(t)])

    for start in range(0, count - 15, 16):
        values[start : start + 16] = normal(values[start : start + 16])
    if rest:
        values[-16:] = normal(uniforms[count:])
    return values.astype(np.float32)


def test_noise_follows_from_its_description() -> None:
    found = told("noise.json")
    rows = found["rows"]
    assert len({row["seed"] for row in rows}) * len({row["count"] for row in rows}) >= 30 and len(rows) >= 30
    assert any(row["count"] % 16 for row in rows) and any(row["seed"] >= 2**32 for row in rows)
    for row in rows:
        values = described_noise(row["seed"], row["count"])
        np.testing.assert_allclose(values[:16], row["first"], rtol=0, atol=found["tolerance"])
        np.testing.assert_allclose(values[-len(row["last"]) :], row["last"], rtol=0, atol=found["tolerance"])


def test_a_generation_starts_from_that_noise() -> None:
    with torch.no_grad():
        noise = starting_noise(load_small(), small.REQUEST, 42).flatten()
    (row,) = [row for row in told("noise.json")["rows"] if (row["seed"], row["count"]) == (42, 5120)]
    assert len(noise) == 5120
    assert np.abs(noise[:16].numpy() - np.array(row["first"])).max() <= told("noise.json")["tolerance"]


def test_rules_leap_at_different_steps_and_by_a_margin() -> None:
    """So that another implementation, whose sums are a little different, still leaps where ours does."""
    found = told("leap.json")
    rows = {row["name"]: row for row in found["rows"]}
    assert len({row["leap_step"] for row in rows.values()}) >= 5
    assert rows["none"]["leap_step"] is None and rows["curvature, never"]["leap_step"] is None
    for row in rows.values():
        rule = row["leap"]
        if rule["mode"] == "curvature":
            known = np.array([error for error in row["errors"] if error is not None])
            assert np.abs(known / rule["accepted_error"] - 1).min() > 1e-3
        elif rule["mode"] == "plateau":
            best = 0.0
            for cosine in row["cosines"][max(1, rule["first_step"]) :]:
                assert abs(cosine - best - rule["tolerance"]) > found["tolerance"], row["name"]
                best = max(best, cosine) if cosine > best + rule["tolerance"] else best


def described_leap(
    rule: dict[str, Any], times: list[float], latents: NDArray[np.float64], drifts: NDArray[np.float64]
) -> tuple[int | None, NDArray[np.float64]]:
    """The step that a rule leaps at, and where it lands, in plain double precision."""
    best, patience = 0.0, rule.get("patience")
    for step, (time, latent, drift) in enumerate(zip(times, latents, drifts, strict=True)):
        leaps, along = rule["mode"] == "fixed" and step == rule["step"], drift
        if rule["mode"] == "plateau" and step >= max(1, rule["first_step"]):
            one, other = (
                d[:, 0, 0][0] if rule["over"] == "slice" else d.reshape(1, -1) for d in drifts[step - 1 : step + 1]
            )
            norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
            cosine = float(np.mean((one * other).sum(axis=1) / norms))
            best, patience = (cosine, rule["patience"]) if cosine > best + rule["tolerance"] else (best, patience - 1)
            leaps = patience == 0
        elif rule["mode"] == "curvature" and step >= 2:
            offsets = np.mean(times[step - 2 : step + 1]) - np.array(times[step - 2 : step + 1])
            acceleration = np.tensordot(offsets / (offsets**2).sum(), drifts[step - 2 : step + 1], 1)
            missed = np.linalg.norm(acceleration) * time**2 / 2
            leaps = bool(missed <= rule["accepted_error"] * np.linalg.norm(latent + time * drift))
            along = drift + acceleration * time / 2 if rule["bend"] else drift
        if leaps:
            return step, latent + time * along
    return None, latents[-1] + times[-1] * drifts[-1]


def test_leaps_follow_from_the_recorded_drifts() -> None:
    found = told("leap.json")
    trajectory = np.frombuffer((FOLDER / "trajectory.bin").read_bytes(), "<f4").reshape(found["trajectory_shape"])
    landed = np.frombuffer((FOLDER / "leapt.bin").read_bytes(), "<f4").reshape(found["leapt_shape"])
    latents, drifts = trajectory.astype(float).swapaxes(0, 1)
    times = [time / 1000 for time in found["times"]]
    for row, expected in zip(found["rows"], landed, strict=True):
        step, latent = described_leap(row["leap"], times, latents, drifts)
        assert step == row["leap_step"] and len(row["verdicts"]) == (30 if step is None else step + 1), row["name"]
        np.testing.assert_allclose(latent, expected, rtol=0, atol=found["tolerance"], err_msg=row["name"])


def test_the_step_with_guidance_by_hand() -> None:
    found = told("euler.json")
    for row in found["rows"]:
        latent = np.array(row["latent"]).reshape(row["latent_shape"])
        conditional, unconditional = np.array(row["velocity"]).reshape(row["velocity_shape"])[:, : latent.shape[1]]
        drift = unconditional + row["guidance"] * (conditional - unconditional)
        stepped = latent[0] + drift * (row["time"] - row["time_after"]) / 1000
        np.testing.assert_allclose(stepped.flatten(), row["stepped"], rtol=0, atol=found["tolerance"])


def test_adams_bashforth_integrates_the_line_through_two_drifts() -> None:
    """The integral over a step of the straight line through the drifts at the two last times."""
    found = told("ab2.json")
    latent, times = np.array(found["latent"]), [*found["times"], 0.0]
    drifts = [np.array(row["velocity"]) for row in found["rows"]]
    for step, row in enumerate(found["rows"]):
        begin, end = times[step], times[step + 1]
        before = step - 1 if step else 0
        slope = (drifts[step] - drifts[before]) / (times[before] - begin) if step else 0.0
        latent = latent + (drifts[step] * (begin - end) + slope * (begin - end) ** 2 / 2) / 1000
        np.testing.assert_allclose(latent, row["stepped"], rtol=0, atol=found["tolerance"])


def test_bytes_are_rounded_to_even() -> None:
    for row in told("rounding.json")["rows"]:
        values = np.array(row["values"], np.float32)
        levels = (np.clip(values, np.float32(-1), np.float32(1)) + np.float32(1)) * np.float32(127.5)
        assert np.rint(levels).astype(int).tolist() == row["bytes"]
    (middles,) = [row["bytes"] for row in told("rounding.json")["rows"] if row["name"] == "middles"]
    assert len(middles) > 100
    assert all(byte % 2 == 0 for byte in middles)
