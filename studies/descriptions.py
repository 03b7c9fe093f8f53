"""Write the descriptions that ship anew, or print the tables of docs/models.md.

    python -m ondevice_sora.studies.descriptions [NAME ...]   those that the ready plans ask for, and a few more
    python -m ondevice_sora.studies.descriptions --table      what ships
    python -m ondevice_sora.studies.descriptions --phones     the models on four phones, whole and in blocks
    python -m ondevice_sora.studies.descriptions --loading    the smallest phone that fits, by Core ML and by Core AI

Writing takes minutes and the extra `describe`; the tables take neither.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.plans.plan_file import LoadedPlan, load_plan, ready_plans
from ondevice_sora.profiles.devices import Device, device_keys, load_device
from ondevice_sora.profiles.models.configured import (
    DESCRIPTIONS,
    ConfiguredModel,
    Request,
    Shape,
    request_of,
)
from ondevice_sora.profiles.networks import flops
from ondevice_sora.records.ladder import Rung
from ondevice_sora.simulator.ladder import ladder, simulated
from ondevice_sora.simulator.prepare import Setting, load_inputs, model_of, prepare
from ondevice_sora.simulator.whole import TITLES, loaded_by, whole_plan

FURTHER = (
    Request(ConfiguredModel("wan2.1-1.3b"), Shape(832, 480, 81)),
    Request(ConfiguredModel("flux2-klein-4b"), Shape(512, 512, 1), branches=1),
)


def shipped_requests() -> dict[str, Request]:
    """File's stem -> what it describes: the ready plans' models, as they say and as published, and a few more."""
    requests = list(FURTHER)
    for name in ready_plans():
        plan = load_plan(name).plan
        if isinstance(plan.model, ConfiguredModel) and plan.video is not None:
            shape = Shape(plan.video.width, plan.video.height, plan.video.frames)
            sampler = plan.sampler
            for model, guidance in ((plan.model, sampler.branches), (ConfiguredModel(plan.model.config), "batch")):
                requests.append(request_of(model, Path(), shape, sampler.num_branches, plan.text_tokens, guidance))
    return {request.stem: request for request in requests}


def ready_models() -> dict[str, str]:
    """Ready plan -> the config that it names."""
    plans = {name: load_plan(name).plan.model for name in ready_plans()}
    return {name: model.config for name, model in plans.items() if isinstance(model, ConfiguredModel)}


def shipped_table() -> list[str]:
    """What ships, as a table in Markdown: parameters and TFLOP of one forward pass of each network."""
    lines = ["| config | ready plan | network | units | parameters | TFLOP |", "|---|---|---|---|---|---|"]
    for plan, config in ready_models().items():
        for number, part in enumerate(model_of(load_plan(plan)).model.components):
            walks = 1 if part.passes == "steps" else part.passes
            total = walks * sum(flops(unit.plain) for unit in part.units)
            parameters = sum(unit.parameters for unit in part.units)
            names = f"`{config}` | `{plan}`" if number == 0 else " | "
            lines.append(f"| {names} | {part.name} | {len(part.units)} | {parameters:,} | {total / 1e12:.4g} |")
    return lines


PHONES = ("iphone14pro", "iphone15pro", "iphone16pro", "iphone17pro")


def phones_table() -> list[str]:
    """The models on four phones, as a table in Markdown: whole components at the ready plan's shape, and that plan."""
    lines = [
        "| ready plan | | " + " | ".join(load_device(phone).name for phone in PHONES) + " |",
        "|---|---|" + "---|" * len(PHONES),
    ]
    for plan, config in ready_models().items():
        video = load_plan(plan).plan.video
        assert video is not None
        shape = Shape(video.width, video.height, video.frames)
        whole = [_answer(*load_inputs(whole_plan(config, shape), phone)) for phone in PHONES]
        lines.append(f"| `{plan}` | whole | " + " | ".join(whole) + " |")
        lines.append("| | in blocks | " + " | ".join(_answer(*load_inputs(plan, phone)) for phone in PHONES) + " |")
    return lines


def loading_table() -> list[str]:
    """The lowest limit, of iPhones and iPads, that the models fit under, as a table in Markdown: by what loads them."""
    devices = [device for device in map(load_device, device_keys()) if device.system != "macOS"]
    lines = ["| ready plan | | loaded by | without the entitlement | with it |", "|---|---|---|---|---|"]
    for plan, config in ready_models().items():
        video = load_plan(plan).plan.video
        assert video is not None
        whole = whole_plan(config, Shape(video.width, video.height, video.frames))
        for row, (cut, loaded) in enumerate((("whole", whole), ("in blocks", load_plan(plan)))):
            for loading, name in TITLES.items():
                tried = partial(_rung, loaded_by(loaded, loading))
                found = ladder(plan, devices, tried)
                told = " | ".join(_smallest(found.smallest(entitlement)) for entitlement in (False, True))
                first = f"`{plan}`" if row == 0 and loading == "core_ml" else ""
                lines.append(f"| {first} | {cut if loading == 'core_ml' else ''} | {name} | {told} |")
    return lines


def _rung(loaded: LoadedPlan, device: Device, rung: Rung) -> Rung:
    return simulated(loaded, device.key, rung)


def _smallest(rung: Rung | None) -> str:
    if rung is None or rung.total_s is None or rung.peak_bytes is None:
        return "none"
    return f"{rung.device}: {format_bytes(rung.peak_bytes)} of {format_bytes(rung.limit_bytes)}"


def _answer(loaded: LoadedPlan, setting: Setting) -> str:
    prepared = prepare(loaded, setting)
    outcome = prepared.play(is_limited=False)
    if outcome.peak_bytes > setting.limit_bytes:
        return f"killed, needs {format_bytes(outcome.peak_bytes)}"
    return f"{format_seconds(outcome.total_s)}, {format_bytes(outcome.peak_bytes)}"


def main(arguments: list[str]) -> None:
    tables = {"--table": shipped_table, "--phones": phones_table, "--loading": loading_table}
    if len(arguments) == 1 and arguments[0] in tables:
        print("\n".join(tables[arguments[0]]()))
        return
    from ondevice_sora.runtime.describe.describe import describe, write_model

    for stem, request in shipped_requests().items():
        if not arguments or any(stem.startswith(name) for name in arguments):
            write_model(DESCRIPTIONS / f"{stem}.yaml", describe(request))
            print(stem)


if __name__ == "__main__":
    main(sys.argv[1:])
