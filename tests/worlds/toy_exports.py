"""Exports whose packages are toys, for the stand-in for Core ML on Linux: it takes the memory that a schedule has for
them, or a part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ondevice_sora.plans.plan_file import load_plan
from worlds.schedule_files import made

TOKENS, WIDTH, LATENT = 4, 8, 2
"""Tokens of a prompt, channels of a caption, rows and columns of a latent."""
BYTES = ("resident_bytes", "working_bytes", "stored_bytes")
TOTALS = ("limit_bytes", "budget_bytes", "baseline_bytes", "needed_bytes")
Feature = dict[str, Any]


@dataclass(frozen=True)
class ToyExport:
    """`needed_bytes` and `baseline_bytes` are the schedule's, as they are written."""

    directory: Path
    needed_bytes: int
    baseline_bytes: int
    num_visits: int


def toy_export(directory: Path, plan: str, divisor: int) -> ToyExport:
    """A ready plan's schedule for an iPhone 15 Pro, each number of bytes in it divided, with toys of that size."""
    directory.mkdir()
    made(load_plan(plan), directory / "schedule.json")
    schedule = json.loads((directory / "schedule.json").read_text())
    for record in (schedule, *schedule["blocks"]):
        for key in (*TOTALS, *BYTES):
            if record.get(key) is not None:
                record[key] //= divisor
    schedule["needed_bytes"] += len(schedule["blocks"])  # what the divisions have lost
    schedule["budget_bytes"] = None
    passes: dict[str, int] = defaultdict(int)
    for each in schedule["passes"]:
        passes[each["component"]] += 1
    blocks = _write_packages(directory, schedule, passes)
    _write_documents(directory, schedule, passes, blocks)
    return ToyExport(directory, schedule["needed_bytes"], schedule["baseline_bytes"], len(schedule["visits"]))


def _edges(passes: dict[str, int]) -> dict[str, tuple[list[Feature], list[Feature]]]:
    """What each component reads and writes. Every pass of the decoder is as large as the others."""
    chunks, batches = passes["decoder.temporal"], passes["decoder.spatial"]
    latent, frame = [4, chunks, LATENT, LATENT], [4, LATENT, LATENT]
    return {
        "text_encoder": (
            [_tensor("input_ids", [1, TOKENS], "int32"), _tensor("attention_mask", [1, TOKENS], "int32")],
            [_tensor("caption", [1, TOKENS, WIDTH])],
        ),
        "denoiser": (
            [_tensor("latent", [2, *latent]), _tensor("timestep", [2]), _tensor("fps", [1]),
             _tensor("caption", [2, TOKENS, WIDTH]), _tensor("text_mask", [2, TOKENS], "int32")],
            [_tensor("velocity", [2, *latent])],
        ),
        "decoder.temporal": (
            [_tensor("latent_chunk", [1, 4, 1, LATENT, LATENT])],
            [_tensor("latent_frames", [1, 4, batches, *frame[1:]])],
        ),
        "decoder.spatial": (
            [_tensor("latent_frames", [chunks, *frame])], [_tensor("images", [chunks, 3, 8 * LATENT, 8 * LATENT])],
        ),
    }  # fmt: skip


def _tensor(name: str, shape: list[int], dtype: str = "float32") -> Feature:
    return {"feature": name, "tensor": name, "dtype": dtype, "shape": shape}


def _write_packages(directory: Path, schedule: dict[str, Any], passes: dict[str, int]) -> list[dict[str, Any]]:
    """The manifest's blocks: in each component a chain, of tensors `hidden` in between."""
    edges, hidden = _edges(passes), _tensor("hidden", [2, 16, WIDTH])
    variants: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    functions_of: dict[str, set[str]] = defaultdict(set)
    for each in schedule["blocks"]:
        variants[each["component"], each["number"]].append(each)
        functions_of[each["package"]].add(each["function"])
    for found in variants.values():
        if all(each["variant"] != "plain" for each in found):  # never visited, but a block has one
            found.append({**found[0], "variant": "plain", "function": "plain"})
            functions_of[found[0]["package"]].add("plain")
    last = dict(sorted(variants))
    blocks = []
    for (component, number), found in sorted(variants.items()):
        reads, writes = edges[component]
        inputs = reads if number == 0 else [hidden]
        outputs = [
            {**each, "feature": f"{each['tensor']}_out"} for each in (writes if number == last[component] else [hidden])
        ]
        functions = []
        for each in found:
            each["function"] = each["function"] if len(functions_of[each["package"]]) > 1 else "main"
            functions.append(
                {"kind": each["variant"], "package": each["package"], "function": each["function"],
                 "inputs": inputs, "outputs": outputs}
            )  # fmt: skip
        first, _, end = found[0]["name"].partition("..")
        blocks.append(
            {"component": component, "number": number, "first_unit": first, "last_unit": end or first,
             "precision": "float32", "compute_units": "all", "source": "0" * 64,
             "packages": [_write_package(directory, name, [each for each in found if each["package"] == name],
                                         inputs, outputs) for name in sorted({each["package"] for each in found})],
             "functions": sorted(functions, key=lambda function: function["kind"])}
        )  # fmt: skip
    return blocks


def _write_package(
    directory: Path, name: str, found: list[dict[str, Any]], inputs: list[Feature], outputs: list[Feature]
) -> dict[str, Any]:
    def toy(each: Feature) -> Feature:
        return {"name": each["feature"], "type": each["dtype"], "shape": each["shape"]}

    made = [{**toy(each), "from": inputs[0]["feature"], "times": 0.5} for each in outputs]
    functions = [
        {"name": each["function"], "inputs": [toy(one) for one in inputs], "outputs": made,
         "workingBytes": each["working_bytes"]}
        for each in found
    ]  # fmt: skip
    package = directory / name
    package.mkdir()
    (package / "Manifest.json").write_text("{}")
    (package / "toy.json").write_text(json.dumps({"functions": functions, "residentBytes": found[0]["resident_bytes"]}))
    num_bytes = sum(path.stat().st_size for path in package.iterdir())
    return {"file": name, "num_bytes": num_bytes, "checksum": hashlib.sha256(name.encode()).hexdigest()}


def _write_documents(
    directory: Path, schedule: dict[str, Any], passes: dict[str, int], blocks: list[dict[str, Any]]
) -> None:
    chunks, batches, steps = passes["decoder.temporal"], passes["decoder.spatial"], passes["denoiser"]
    edges = _edges(passes)
    none = np.zeros((TOKENS, WIDTH), "<f4").tobytes()
    (directory / "no_caption.bin").write_bytes(none)
    manifest = {
        "format": "ondevice-sora-export-2", "complete": True, "model": "toy", "model_name": "toy", "plan": {},
        "plan_sha256": schedule["plan_sha256"], "weights": {"description": "none", "seed": None},
        "made_with": "a test", "text_tokens": TOKENS, "encoder_tokens": TOKENS,
        "sampling": {"timesteps": list(np.linspace(1000, 10, steps)), "time_scale": 1000.0, "guidance": 7.0,
                     "fps": 24.0, "batch": 2, "latent_channels": 4, "latent_shape": [4, chunks, LATENT, LATENT],
                     "solver": "euler"},
        "decoding": {"num_frames": chunks * batches, "height": 8 * LATENT, "width": 8 * LATENT,
                     "chunk_latent_frames": 1, "chunk_frames": [batches] * chunks, "batch_frames": chunks},
        "no_caption": {"file": "no_caption.bin", "shape": [TOKENS, WIDTH],
                       "checksum": hashlib.sha256(none).hexdigest()},
        "tokenizer": None,
        "components": [
            {"name": name, "passes": "steps" if name == "denoiser" else passes[name],
             "reads": [each["tensor"] for each in reads], "writes": [each["tensor"] for each in writes]}
            for name, (reads, writes) in edges.items()
        ],
        "blocks": blocks, "origin": {},
    }  # fmt: skip
    data = json.dumps(manifest).encode()
    (directory / "manifest.json").write_bytes(data)
    schedule["manifest_sha256"] = hashlib.sha256(data).hexdigest()
    (directory / "schedule.json").write_text(json.dumps(schedule))
