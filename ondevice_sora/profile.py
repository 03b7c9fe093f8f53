"""profile: what is known of each device - list them, show one with its sources, or fit costs to published figures."""

from __future__ import annotations

import argparse

from ondevice_sora.common import CASES_HELP, EXIT_FITS, output_path
from profiles.errors import UserError

EXAMPLES = """
examples:
  ondevice-sora profile list
  ondevice-sora profile show iphone15pro
  ondevice-sora profile fit --device iphone15pro -o iphone15pro.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|fit")
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


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    if options.action == "list":
        from profiles.devices import device_keys, load_device
        from reports.devices import print_catalogue

        print_catalogue([load_device(key) for key in device_keys()])
    elif options.action == "show":
        from profiles.profile import load_profile
        from reports.devices import print_profile

        print_profile(*load_profile(options.device))
    else:
        _fit(options)
    return EXIT_FITS


def _fit(options: argparse.Namespace) -> None:
    from profiles.devices import load_device
    from profiles.documents import write_yaml
    from profiles.profile import profile_data
    from reports.devices import print_fit
    from simulator.fit import fit, prior_profile
    from simulator.published import find_cases, read_cases

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
