"""profile: what is known of each device - list, show, fit to published figures, capture, import; estimate packages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import CASES_HELP, DEFAULT_DEVICE, EXIT_FITS, json_text, output_path, wrote
from ondevice_sora.commands.options import DEVICE_HELP, add_device, add_force, add_json
from ondevice_sora.commands.profile_capture import add_capture_arguments, run_host_capture
from ondevice_sora.commands.profile_estimate import add_estimate_arguments, run_estimate
from ondevice_sora.commands.profile_phone import run_phone_capture

if TYPE_CHECKING:
    from ondevice_sora.profiles.capture_file import Capture

EXAMPLES = """
examples:
  ondevice-sora profile list
  ondevice-sora profile show iphone15pro
  ondevice-sora profile fit --device iphone15pro -o iphone15pro.yaml
  ondevice-sora profile capture --device host --store blocks -o host.yaml
  ondevice-sora profile capture --device iphone --blocks exported -o phone.yaml
  ondevice-sora profile import capture.json -o phone.yaml
  ondevice-sora profile estimate unet/ vae/ --passes unet=steps -o estimated
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|fit|capture|import|estimate")
    add_json(actions.add_parser("list", help="the device catalogue"))
    show = actions.add_parser(
        "show", help="a device's hardware, limits and costs, each figure with its mark and source"
    )
    show.add_argument("named_device", nargs="?", metavar="DEVICE", help=DEVICE_HELP)
    show.add_argument("--device", metavar="DEVICE", help="the same")
    add_json(show)
    fit = actions.add_parser("fit", help="fit a device's costs to published figures (needs SciPy)")
    add_device(fit, f"a device with a prior (default {DEFAULT_DEVICE})")
    fit.add_argument("--cases", default="iphone15pro", metavar="FILE", help=CASES_HELP)
    fit.add_argument("-o", "--output", default="", metavar="YAML", help="default DEVICE.yaml")
    add_json(fit)
    add_force(fit)
    add_capture_arguments(actions.add_parser("capture", help="measure blocks, on this machine or on a phone"))
    imported = actions.add_parser("import", help="make a profile of a capture file, as the phone's harness writes it")
    imported.add_argument("capture", metavar="JSON", help="the capture file")
    imported.add_argument(
        "--device", default="", metavar="KEY", help="of the catalogue, if the file says neither device nor machine"
    )
    imported.add_argument("-o", "--output", default="", metavar="YAML", help="default: the capture's name with .yaml")
    add_json(imported)
    add_force(imported)
    add_estimate_arguments(actions.add_parser("estimate", help="what Core ML packages would cost on a device"))


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    actions = {
        "list": _list,
        "show": _show,
        "fit": _fit,
        "capture": _capture,
        "import": _import,
        "estimate": run_estimate,
    }
    return actions[options.action](options) or EXIT_FITS


def _list(options: argparse.Namespace) -> None:
    from ondevice_sora.profiles.devices import device_keys, load_device
    from ondevice_sora.reports.terminal.devices import print_catalogue

    devices = [load_device(key) for key in device_keys()]
    if options.json:
        print(json_text({"devices": devices}))
    else:
        print_catalogue(devices)


def _show(options: argparse.Namespace) -> None:
    from ondevice_sora.profiles.profile import load_profile, profile_data
    from ondevice_sora.reports.terminal.devices import print_profile

    if options.named_device is not None and options.device is not None:
        what = f"two devices are named, '{options.named_device}' and '{options.device}'"
        raise UserError(what, "--device", "Name one.")
    profile, device = load_profile(options.named_device or options.device or DEFAULT_DEVICE)
    if options.json:
        print(json_text({"device": device, "profile": profile_data(profile)}))
    else:
        print_profile(profile, device)


def _capture(options: argparse.Namespace) -> int:
    if options.device == "host":
        return run_host_capture(options)
    return run_phone_capture(options, _write_captured)


def _fit(options: argparse.Namespace) -> None:
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.profiles.devices import load_device
    from ondevice_sora.profiles.profile import profile_data
    from ondevice_sora.reports.terminal.devices import print_fit
    from ondevice_sora.simulator.calibration.fit import fit, prior_profile
    from ondevice_sora.simulator.calibration.published import find_cases, read_cases

    device = load_device(options.device or DEFAULT_DEVICE)
    prior = prior_profile(device.key)
    cases_file = find_cases(options.cases)
    path = output_path(options.output, f"{device.key}.yaml", options.force, inputs=[str(cases_file)])
    cases, planned = read_cases(cases_file)
    if load_device(cases.device).key != device.key:
        what = f"these cases are of {cases.device}, not of {device.key}"
        raise UserError(what, str(cases_file), f"Give --device {cases.device}.")
    found, _ = fit(prior, device, planned, cases.contradictions)
    record = found.profile.fit
    assert record is not None
    comment = (
        f"Written by `{record.command}`.\n"
        f"Costs of the {device.name} fitted to published totals: not captured on a phone.\n"
        "Figures captured on a device replace them; see `fit` for cells, residuals and contradictions."
    )
    write_yaml(path, profile_data(found.profile), comment)
    if options.json:
        print(json_text(record))
    else:
        print_fit(record)
    wrote(path)


def _import(options: argparse.Namespace) -> None:
    from ondevice_sora.profiles.capture_file import read_capture

    default = Path(options.capture).with_suffix(".yaml").name
    path = output_path(options.output, default, options.force, inputs=[options.capture])
    capture = read_capture(options.capture, options.device)
    _write_captured(capture, path, options.capture, as_json=options.json)


def _write_captured(capture: Capture, path: Path, source: Path | str, *, as_json: bool) -> None:
    """Write the profile of a capture, and print what was measured and what to bear in mind."""
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.profiles.capture_profile import profile_of_capture
    from ondevice_sora.profiles.profile import profile_data
    from ondevice_sora.reports.terminal.devices import print_measurements

    profile, notes = profile_of_capture(capture)
    comment = (
        f"Made of {source} by `ondevice-sora profile import`; measured on {capture.conditions.device_model}.\n"
        "Blocks that were not measured cost what the device's own profile says."
    )
    write_yaml(path, profile_data(profile), comment)
    if as_json:
        print(json_text(profile_data(profile)))
    else:
        print_measurements(profile)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    wrote(path)
