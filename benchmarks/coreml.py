"""What exporting to Core ML costs and how far it strays, at full size and on the small model.

    python -m benchmarks.coreml units      every kind of unit of Open-Sora at 192 x 192, 68 frames, beside PyTorch
                                           and beside the description that simulations use
    python -m benchmarks.coreml denoiser   the whole STDiT3 of 28 pairs, plain and TDTM: seconds, peak memory, bytes
    python -m benchmarks.coreml small      the small model's video in each precision, beside PyTorch's

Weights are random, at scales that keep activations near one, unless the small model's are there. Files go to a
temporary folder (--keep DIR keeps them); `units` needs 5 GB of memory, `denoiser` 5 GB of disk.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import torch

from ondevice_sora.commands.schedule import schedule_of
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan
from ondevice_sora.plans.schedule_file import SCHEDULE, write_schedule
from ondevice_sora.plans.schema import ComponentPlan, Plan, Sampler, Tdtm
from ondevice_sora.profiles.models.model import Model, Precision, family, is_compressed
from ondevice_sora.records.quality import ATTRIBUTES
from ondevice_sora.runtime.coreml.blocks.programs import ProgramBlocks
from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.export.export import Job, export_plan, make_block, workshop_of
from ondevice_sora.runtime.coreml.export.exported import Export
from ondevice_sora.runtime.coreml.export.manifest import ExportedBlock, FunctionKind
from ondevice_sora.runtime.coreml.export.parity import TOLERANCES, compare_block, first_states
from ondevice_sora.runtime.coreml.export.workshop import Commission, Workshop
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.weights import weights_of
from ondevice_sora.runtime.coreml.playing import play
from ondevice_sora.runtime.networks.components import DENOISER, TEXT_ENCODER, load_text_to_video, save_component
from ondevice_sora.runtime.networks.network import bound
from ondevice_sora.runtime.networks.units import run_units
from ondevice_sora.runtime.sampling.generation import generate
from ondevice_sora.runtime.sampling.video import SPATIAL, TEMPORAL, VideoNetworks
from ondevice_sora.runtime.small.dataset import Frames, Scene, describe
from ondevice_sora.runtime.small.evaluation.adherence import adherence
from ondevice_sora.runtime.small.evaluation.evaluation import chosen_scenes
from ondevice_sora.simulator.prepare import model_of

UNITS = {
    TEXT_ENCODER: ("embed", "layer_0", "layer_1", "final_norm"),
    DENOISER: ("input", "spatial_0", "temporal_0", "output"),
    TEMPORAL: ("input", "res_0", "level3_res_0", "level3_up", "level2_res_0", "level2_up", "level1_res_0",
               "level0_res_0", "output"),
    SPATIAL: ("input", "mid_res_0", "mid_attention", "up0_res_0", "up0_up", "up1_res_0", "up2_res_0", "up2_up",
              "up3_res_0", "output"),
}  # fmt: skip
"""One of every kind, with every change of width."""
SKIPPED = {TEXT_ENCODER, DENOISER}
"""Where units between those that are compared are left out: they change no shape."""


def units(folder: Path, precisions: list[Precision]) -> None:
    plan = load_plan("app-192-tdtm").plan
    for precision in precisions:
        component = ComponentPlan(blocks="unit", precision=precision)
        cut = msgspec.structs.replace(
            plan, tdtm=Tdtm("all"), components=dict.fromkeys((TEXT_ENCODER, DENOISER, "decoder"), component)
        )
        commission = Commission(cut, None)
        workshop = workshop_of(commission)
        described = model_of(LoadedPlan(cut)).model
        made: dict[str, dict[str, torch.Tensor]] = {}
        for name, wanted in UNITS.items():
            states = first_states(workshop, name, made)
            for number, block in enumerate(workshop.cuts[name]):
                if block.name in wanted:
                    began = time.perf_counter()
                    exported = make_block(Job(commission, folder, folder, name, number))
                    seconds = time.perf_counter() - began
                    rows = compare_block(folder, workshop, exported, states)
                    counted = _beside_description(folder, exported, described)
                    worst = max(rows, key=lambda row: row.error)
                    size = sum(package.num_bytes for package in exported.packages)
                    print(
                        f"{precision:8} {name:17} {block.name:13} {'+'.join(f.kind for f in exported.functions):10} "
                        f"error {worst.error:.1e} of {worst.tolerance:.0e} {'ok' if worst.ok else 'OVER'}  "
                        f"{counted}  {size / 1e6:7.1f} MB  {seconds:5.1f} s  peak {peak_bytes() / 1e9:.2f} GB",
                        flush=True,
                    )
                    for package in exported.packages:
                        shutil.rmtree(folder / package.file)
                elif name not in SKIPPED:
                    _walk_on(workshop, name, number, states)
            made[name] = states["plain"]


def denoiser(folder: Path) -> None:
    plan = load_plan("app-192-tdtm").plan
    commission = Commission(msgspec.structs.replace(plan, tdtm=Tdtm("all")), None)
    workshop = workshop_of(commission)
    began = time.perf_counter()
    total, single = 0, 0
    for number, block in enumerate(workshop.cuts[DENOISER]):
        exported = make_block(Job(commission, folder, folder, DENOISER, number))
        total += sum(package.num_bytes for package in exported.packages)
        single += 4 * sum(unit.parameters for unit in block.units)
        print(
            f"{block.name:24} {sum(p.num_bytes for p in exported.packages) / 1e6:7.1f} MB  "
            f"{time.perf_counter() - began:6.0f} s  peak {peak_bytes() / 1e9:.2f} GB",
            flush=True,
        )
    seconds = time.perf_counter() - began
    print(
        f"{len(workshop.cuts[DENOISER])} blocks, plain and tdtm: {seconds:.0f} s, peak {peak_bytes() / 1e9:.2f} GB, "
        f"{total / 1e9:.3f} GB on disk, {total / single:.4f} of the weights once"
    )


def small(folder: Path, precisions: list[Precision], num_steps: int, weights: Path | None, num_prompts: int) -> None:
    """Videos of exports beside PyTorch's. A compressed precision is the text encoder's alone, beside float32."""
    source = load_plan("small").plan
    folder_of_weights = weights or _random_small(folder, source)
    scenes = [scene for _, scene in chosen_scenes(num_prompts)]
    model, expected = load_text_to_video(folder_of_weights), []
    for text in precisions:
        other: Precision = "float32" if is_compressed(text) else text
        component = {name: ComponentPlan(blocks="whole", precision=other) for name in (DENOISER, "decoder")}
        plan = msgspec.structs.replace(
            source,
            sampler=Sampler(num_steps, source.sampler.guidance),
            components={TEXT_ENCODER: ComponentPlan(blocks="whole", precision=text), **component},
        )
        out = folder / f"small-{text}-{other}"
        began = time.perf_counter()
        export_plan(Commission(plan, folder_of_weights), out)
        made_s = time.perf_counter() - began
        export = Export.open(out)
        write_schedule(out / SCHEDULE, schedule_of(out, "iphone15pro", None))
        played = export.played()
        psnrs, right = [], []
        for number, scene in enumerate(scenes):
            ids, mask = export.tokenizer.encode(describe(scene))
            if number == len(expected):
                networks = VideoNetworks.of(model, export.video.request)
                expected.append(generate(networks, ids, mask, seed=0).frames)
            video, _ = play(export, played, ids, mask, backend=ProgramBlocks(played, export), seed=0)
            error = float(np.mean((video.frames.astype(float) - expected[number]) ** 2))
            psnrs.append(10 * np.log10(255**2 / max(error, 1e-12)))
            right.append((_is_right(scene, video.frames), _is_right(scene, expected[number])))
        sizes = {block.component: sum(each.num_bytes for each in block.packages) for block in export.manifest.blocks}
        ours, theirs = np.mean(right, axis=0)
        print(
            f"text encoder {text}, rest {other}: PSNR {np.mean(psnrs):.1f} dB over {num_steps} steps, lowest of "
            f"{len(scenes)} {min(psnrs):.1f}; shape, colour and direction right in {ours:.1%} "
            f"(PyTorch's {theirs:.1%}); {sum(sizes.values()) / 1e6:.2f} MB, text encoder {sizes[TEXT_ENCODER]:,} "
            f"bytes; exported in {made_s:.0f} s",
            flush=True,
        )


def _is_right(scene: Scene, frames: Frames) -> bool:
    found = adherence(scene, frames)
    return all(found[name] for name in ATTRIBUTES)


def peak_bytes() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _beside_description(folder: Path, exported: ExportedBlock, described: Model) -> str:
    """What is counted in a block's packages over what the description says: FLOPs of each kind, and stored numbers."""
    (component,) = [each for each in described.components if each.name == exported.component]
    (unit,) = [each for each in component.units if each.name == exported.name]
    packages = {package.file: read_package(folder / package.file) for package in exported.packages}
    ratios = []
    for function in exported.functions:
        work = unit.work("tdtm" if function.kind == "tdtm" else "plain")
        flops = work.matmul_flops + work.attention_flops + work.convolution_flops
        if flops and function.kind != "tail":
            ratios.append(f"{count(packages[function.package].function(function.function)).flops / flops:.3f}")
    weights = weights_of(list(packages.values()))
    return f"FLOPs {'+'.join(ratios) or 'none'}  stored {weights.parameters - weights.filler - unit.stored:+d}"


def _walk_on(
    workshop: Workshop, component: str, number: int, states: dict[FunctionKind, dict[str, torch.Tensor]]
) -> None:
    """Move the states past a block in torch alone."""
    slots = workshop.slots(component, number)
    weights = workshop.source.read(family(component), {name: tuple(slot.get().shape) for name, slot in slots.items()})
    for kind, walk in workshop.walks[component].items():
        with bound(slots, weights), torch.no_grad():
            states[kind] = run_units(walk.units[workshop.span(component, number)], states[kind])


def _random_small(folder: Path, plan: Plan) -> Path:
    """The small model's sizes with random weights, in a folder."""
    workshop = Workshop(Commission(plan, None))
    target = folder / "weights"
    for name, network in vars(workshop.video.model).items():
        shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        tensors = workshop.source.read(name, shapes)
        network.load_state_dict(tensors, assign=True)
        save_component(target / name, network.config, network, skip=("encoder.embed_tokens.",))
    return target


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("units", "denoiser", "small"))
    parser.add_argument("--precisions", nargs="+", choices=sorted(TOLERANCES), default=["float32", "float16"])
    parser.add_argument("--prompts", type=int, default=1, help="held-out ones (default %(default)s)")
    parser.add_argument("--steps", type=int, default=30, help="of the small model (default %(default)s)")
    parser.add_argument("--weights", type=Path, help="the small model's folder (default: random weights)")
    parser.add_argument("--keep", type=Path, help="folder to leave the packages in")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with _folder(options.keep) as folder:
        if options.what == "units":
            units(folder, options.precisions)
        elif options.what == "denoiser":
            denoiser(folder)
        else:
            small(folder, options.precisions, options.steps, options.weights, options.prompts)


if __name__ == "__main__":
    main()
