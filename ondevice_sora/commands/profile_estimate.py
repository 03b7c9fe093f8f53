"""`profile estimate`: what Core ML packages would cost on a device, read out of the packages alone."""

from __future__ import annotations

import argparse
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import (
    EXIT_FAILED,
    EXIT_FITS,
    json_text,
    needing,
    refuse_without_effect,
    whole_number,
    wrote,
)
from ondevice_sora.commands.options import add_device, add_force, add_json, devices_named
from ondevice_sora.commands.which_phones import names_several, show_ladder

if TYPE_CHECKING:
    from ondevice_sora.profiles.devices import Device
    from ondevice_sora.records.ladder import Rung
    from ondevice_sora.runtime.coreml.estimate.estimate import Described
    from ondevice_sora.runtime.coreml.estimate.folders import Found, Passes

DEFAULT_STEPS = 30


def add_estimate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="an export, packages (.mlpackage, .mlmodelc, .mlmodel, or zipped), or folders of them: a package is a "
        "component, and so is a folder, whose packages are its blocks in order",
    )
    parser.add_argument(
        "--component",
        action="append",
        nargs="+",
        default=[],
        metavar=("NAME=PATH", "PATH"),
        help="packages that are a component's blocks in this order, wherever they lie",
    )
    add_device(parser, several=True)
    parser.add_argument(
        "--compute-units",
        choices=["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"],
        help="where they would run (default: as an export's plan says, else cpu_and_gpu)",
    )
    parser.add_argument(
        "--passes",
        action="append",
        type=_passes,
        default=[],
        metavar="COMPONENT=N",
        help="passes over a component in a generation: a number, or `steps` (default: as an export says, else 1)",
    )
    parser.add_argument(
        "--function",
        metavar="NAME",
        help="of packages with several functions: which one is meant, or `all`, each then a component (default: the "
        "package's own default)",
    )
    parser.add_argument(
        "--shape",
        action="append",
        type=_shape,
        default=[],
        metavar="INPUT=N,N",
        help="of an input whose shape is open, e.g. x=1,77 (default: the model's own default)",
    )
    parser.add_argument(
        "--loaded-together",
        choices=["shared", "separate"],
        help="with --function all: the plan keeps all functions loaded, which hold their weights once, or each its own "
        "copy; which of the two Core ML does is not known",
    )
    parser.add_argument(
        "--steps",
        type=whole_number(1, 1000),
        metavar="N",
        help=f"denoising steps of the plan written (default {DEFAULT_STEPS}; an export has its own)",
    )
    parser.add_argument("--name", default="", help="the model's name (default: that of the first path)")
    parser.add_argument(
        "-o", "--output", default="", metavar="DIR", help="write model.yaml, profile.yaml and plan.yaml to this folder"
    )
    add_json(parser)
    add_force(parser)


def _passes(text: str) -> tuple[str, Passes]:
    component, _, number = text.partition("=")
    try:
        if component:
            return component, "steps" if number == "steps" else whole_number(1, 10_000)(number)
    except argparse.ArgumentTypeError:
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} does not say how often. Write, for instance, denoiser=steps or decoder=4."
    )


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    try:
        if name:
            return name, tuple(map(whole_number(1, 10**9), sizes.replace("x", ",").split(",")))
    except argparse.ArgumentTypeError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a shape. Write, for instance, x=1,77.")


def run_estimate(options: argparse.Namespace) -> int:
    """Raises UserError."""
    from ondevice_sora.profiles.profile import load_profile

    devices = devices_named(options)
    if names_several(devices):
        return _which_phones(options, devices)
    profile, device = load_profile(devices[0])
    directory = _directory(options) if options.output else None
    found = _find(options)
    from ondevice_sora.runtime.coreml.estimate.estimate import describe

    described = describe(
        found,
        profile,
        device,
        compute_units=options.compute_units,
        name=_name(options),
        passes=dict(options.passes),
        steps=options.steps or DEFAULT_STEPS,
        is_lenient=True,
        together=options.loaded_together,
    )
    if options.json:
        print(json_text(described.estimate))
    else:
        from rich.text import Text

        from ondevice_sora.reports.terminal.console import table_console
        from ondevice_sora.reports.terminal.estimates import print_estimate

        print_estimate(described.estimate)
        table_console().print(Text(_simulated(described)))
    if directory is not None:
        _write(described, directory)
    return EXIT_FAILED if described.estimate.refused else EXIT_FITS


def _simulated(described: Described) -> str:
    """Whether the packages fit, as the plan that `-o` writes loads them; why not, where they cannot be simulated."""
    from ondevice_sora.base.units import format_count
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.reports.rows import verdict
    from ondevice_sora.runtime.coreml.estimate.estimate import write_described
    from ondevice_sora.simulator.simulate import simulate

    with _scratch() as folder:
        write_described(described, folder)
        try:
            loaded = load_plan(f"{folder}/plan.yaml")
            answer = verdict(simulate(loaded, f"{folder}/profile.yaml", with_advice=False).trace)
        except UserError as error:
            return f"simulated, cannot run: {error.what}"
    walked = [component.name for component in described.model.components if component.passes == "steps"]
    steps = format_count(loaded.plan.sampler.steps, "step")
    how = f", {' and '.join(walked)} in each of {steps}" if walked else ""
    return f"simulated, the next package loaded while one runs{how}: {answer.word.lower()}. {answer.sentence}"


def _scratch() -> AbstractContextManager[Path]:
    """A folder for a plan that is simulated and not kept."""
    import tempfile

    from ondevice_sora.base.files.folders import scratch_in

    return scratch_in(Path(tempfile.gettempdir()), "estimate")


def _find(options: argparse.Namespace) -> Found:
    """The packages that the options name. Raises UserError."""
    components = _components(options.component)
    if not options.paths and not components:
        raise UserError("no package is named", mend="Give an export, packages, or folders of them.")
    with needing("coreml"):
        from ondevice_sora.runtime.coreml.estimate.folders import ALL, Choices, find_packages

        if options.loaded_together and options.function != ALL:
            raise UserError("--loaded-together has no effect without --function all", mend="Give both, or neither.")
        choices = Choices(options.function, dict(options.shape))
        found = find_packages([Path(path) for path in options.paths], components, choices)
    if found.plan is not None:
        refuse_without_effect(options, ("steps",), "on an export, whose plan has its own", "Leave it out.")
    return found


def _name(options: argparse.Namespace) -> str:
    """The model's: as given, else that of the first path or component."""
    first = options.paths[0] if options.paths else options.component[0][0].partition("=")[0]
    return str(options.name) or Path(first).resolve().name


def _which_phones(options: argparse.Namespace, names: list[str]) -> int:
    """The packages on several devices, as a plan that loads one ahead. Raises UserError."""
    from ondevice_sora.plans.plan_file import load_plan
    from ondevice_sora.profiles.devices import devices_named as devices_of
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.simulator.ladder import simulated

    if options.output:
        raise UserError("--output has no effect with several devices", mend="Leave it out, or name one device.")
    devices, found = devices_of(names), _find(options)
    from ondevice_sora.runtime.coreml.estimate.estimate import count_packages, describe, write_described

    counts = count_packages(found, options.compute_units)

    def described_on(device: Device) -> Described:
        return describe(
            found,
            *load_profile(device.key),
            compute_units=options.compute_units,
            name=_name(options),
            passes=dict(options.passes),
            steps=options.steps or DEFAULT_STEPS,
            counts=counts,
            together=options.loaded_together,
        )

    described_on(devices[0])  # what is wrong on any device is one complaint, not one of each device
    with _scratch() as folder:

        def attempt(device: Device, rung: Rung) -> Rung:
            own = folder / device.key
            if not own.exists():
                write_described(described_on(device), own)
            return simulated(load_plan(str(own / "plan.yaml")), str(own / "profile.yaml"), rung)

        return show_ladder(_name(options), devices, attempt, as_json=options.json)


def _components(given: list[list[str]]) -> dict[str, list[Path]]:
    """What each --component says. Raises UserError."""
    from ondevice_sora.runtime.coreml.estimate.candidates import component_name

    found: dict[str, list[Path]] = {}
    for first, *others in given:
        name, _, path = first.partition("=")
        if not name or not path or name != component_name(name):
            raise UserError(f"{first!r} names no component", "--component", "Write, for instance, unet=a.mlpackage.")
        found.setdefault(name, []).extend(map(Path, (path, *others)))
    return found


def _directory(options: argparse.Namespace) -> Path:
    """The folder to write to; nothing is there that would be overwritten. Raises UserError."""
    directory = Path(options.output)
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise UserError("not a folder", str(directory), "Give a folder; three files are written to it.")
    if not os.path.isdir(directory.parent):
        raise UserError(f"there is no folder {directory.parent}", str(directory), "Make the folder first.")
    from ondevice_sora.runtime.coreml.estimate.estimate import FILES

    for name in FILES:
        if os.path.exists(directory / name) and not options.force:
            mend = "Choose another folder, or overwrite it with --force."
            raise UserError("the file exists already", str(directory / name), mend)
    return directory


def _write(described: Described, directory: Path) -> None:
    from ondevice_sora.runtime.coreml.estimate.estimate import FILES, write_described

    write_described(described, directory)
    command = f"ondevice-sora simulate {directory / 'plan.yaml'} --device {directory / 'profile.yaml'}"
    wrote(f"{', '.join(FILES)} to {directory}. Simulate with:\n  {command}")
