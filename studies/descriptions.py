"""Write the descriptions that ship anew, or print the tables of docs/models.md.

    python -m ondevice_sora.studies.descriptions [NAME ...]   those that the ready plans ask for, and a few more
    python -m ondevice_sora.studies.descriptions --table      what ships
    python -m ondevice_sora.studies.descriptions --phones     the models on four phones, whole and in blocks

Writing takes minutes and the extra `describe`; the tables take neither.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ondevice_sora.base.units import format_bytes, format_seconds
from ondevice_sora.plans.schema import LoadedPlan, load_plan, ready_plans
from ondevice_sora.profiles.devices import load_device
from ondevice_sora.profiles.models.configured import (
    DESCRIPTIONS,
    ConfiguredModel,
    Request,
    Shape,
    request_of,
)
from ondevice_sora.profiles.networks import flops
from ondevice_sora.simulator.prepare import Setting, asked, model_of, prepare
from ondevice_sora.simulator.whole import whole_plan

FURTHER = (Request(ConfiguredModel("wan2.1-1.3b"), Shape(832, 480, 81)),)


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
        whole = [_answer(*asked(whole_plan(config, shape), phone)) for phone in PHONES]
        lines.append(f"| `{plan}` | whole | " + " | ".join(whole) + " |")
        lines.append("| | in blocks | " + " | ".join(_answer(*asked(plan, phone)) for phone in PHONES) + " |")
    return lines


def _answer(loaded: LoadedPlan, setting: Setting) -> str:
    prepared = prepare(loaded, setting)
    outcome = prepared.play(is_limited=False)
    if outcome.peak_bytes > setting.limit_bytes:
        return f"killed, needs {format_bytes(outcome.peak_bytes)}"
    return f"{format_seconds(outcome.total_s)}, {format_bytes(outcome.peak_bytes)}"


def main(arguments: list[str]) -> None:
    if arguments == ["--table"] or arguments == ["--phones"]:
        print("\n".join(shipped_table() if arguments == ["--table"] else phones_table()))
        return
    from ondevice_sora.runtime.describe.describe import describe, write_model

    for stem, request in shipped_requests().items():
        if not arguments or any(stem.startswith(name) for name in arguments):
            write_model(DESCRIPTIONS / f"{stem}.yaml", describe(request))
            print(stem)


if __name__ == "__main__":
    main(sys.argv[1:])
