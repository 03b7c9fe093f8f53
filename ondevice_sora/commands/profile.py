"""profile: what is known of each device - list, show, fit to published figures, capture, import; estimate packages."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands.common import CASES_HELP, EXIT_FITS, output_path
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
    actions.add_parser("list", help="the device catalogue")
    show = actions.add_parser(
        "show", help="a device's hardware, limits and costs, each figure with its mark and source"
    )
    show.add_argument("device", help="a device of the catalogue or a profile file")
    fit = actions.add_parser("fit", help="fit a device's costs to published figures (needs SciPy)")
    fit.add_argument("--device", default="iphone15pro", help="a device with a prior (default iphone15pro)")
    fit.add_argument("--cases", default="iphone15pro", metavar="FILE", help=CASES_HELP)
    fit.add_argument("-o", "--output", default="", metavar="YAML", help="default DEVICE.yaml")
    fit.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    add_capture_arguments(actions.add_parser("capture", help="measure blocks, on this machine or on a phone"))
    imported = actions.add_parser("import", help="make a profile of a capture file, as the phone's harness writes it")
    imported.add_argument("capture", metavar="JSON", help="the capture file")
    imported.add_argument(
        "--device", default="", metavar="KEY", help="of the catalogue, if the file says neither device nor machine"
    )
    imported.add_argument("-o", "--output", default="", metavar="YAML", help="default: the capture's name with .yaml")
    imported.add_argument("--force", action="store_true", help="overwrite the file if it exists")
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

    print_catalogue([load_device(key) for key in device_keys()])


def _show(options: argparse.Namespace) -> None:
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.reports.terminal.devices import print_profile

    print_profile(*load_profile(options.device))


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

    device = load_device(options.device)
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
    print_fit(record)
    print(f"Wrote {path}")


def _import(options: argparse.Namespace) -> None:
    from ondevice_sora.profiles.capture_file import read_capture

    default = Path(options.capture).with_suffix(".yaml").name
    path = output_path(options.output, default, options.force, inputs=[options.capture])
    capture = read_capture(options.capture, options.device)
    _write_captured(capture, path, options.capture)


def _write_captured(capture: Capture, path: Path, source: Path | str) -> None:
    """Write the profile of a capture, and print what was measured and what to bear in mind."""
    from ondevice_sora.base.files.writing import write_yaml
    from ondevice_sora.profiles.capture_file import profile_of_capture
    from ondevice_sora.profiles.profile import profile_data
    from ondevice_sora.reports.terminal.devices import print_measurements

    profile, notes = profile_of_capture(capture)
    comment = (
        f"Made of {source} by `ondevice-sora profile import`; measured on {capture.conditions.device_model}.\n"
        "Blocks that were not measured cost what the device's own profile says."
    )
    write_yaml(path, profile_data(profile), comment)
    print_measurements(profile)
    for note in notes:
        print(f"note: {note}")
    print(f"Wrote {path}")
