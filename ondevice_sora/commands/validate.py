"""validate: compare the simulator with figures that others measured, and our networks with references and exports.

`validate published` simulates every case of a cases file (the shipped one unless --cases names another) and prints the
published figure, the simulated one, the error and the role. The format is described in docs/cases.md. With --coverage
it prints the 90 % intervals and how many figures lie in them; with --leave-out every calibration figure is predicted by
a fit that has not seen it, nor the others of its run or technique. A corpus of figures of many models and devices
(--cases corpus) is predicted row by row, with what that comes to by processor and quantity.

`validate host` captures this machine, then predicts and runs many plans on it.

`validate reference DIR` compares networks, sampler and leap rules with the vectors in a folder, case by case; exit
status 1: at least one lies over its tolerance. It needs PyTorch.

`validate export DIR` runs every block of an export in the reference executor and compares it with PyTorch, on the
inputs that it has in a generation. Exit status 1: at least one lies over its tolerance. It needs PyTorch and
coremltools.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.commands import validate_host
from ondevice_sora.commands.common import CASES_HELP, EXIT_FAILED, EXIT_FITS, json_text, needing, shown
from ondevice_sora.commands.options import add_json
from ondevice_sora.commands.progress import progress_bar
from ondevice_sora.records.checks import GainRow

EXAMPLES = """
examples:
  ondevice-sora validate published
  ondevice-sora validate published --coverage
  ondevice-sora validate published --leave-out run
  ondevice-sora validate published --cases mine.yaml --json
  ondevice-sora validate published --cases corpus
  ondevice-sora validate reference vectors/
  ondevice-sora validate export exported/
  ondevice-sora validate host -o host-validation
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="published|reference|export|host")
    published = actions.add_parser("published", help="published figures beside simulated ones")
    published.add_argument("--cases", default="iphone15pro", metavar="FILE", help=CASES_HELP)
    published.add_argument("--device", metavar="DEVICE", help="instead of the file's: a device or a profile file")
    published.add_argument(
        "--coverage", action="store_true", help="with the 90 %% intervals, and how many figures lie in them"
    )
    published.add_argument(
        "--leave-out",
        choices=["figure", "run", "technique"],
        help="refit without each calibration figure, all figures of its run, or all runs with its technique, then "
        "predict it (needs SciPy)",
    )
    add_json(published)
    reference = actions.add_parser(
        "reference", help="our networks and sampler beside reference vectors (needs PyTorch)"
    )
    reference.add_argument("folder", metavar="DIR", help="a folder of reference vectors")
    add_json(reference)
    export = actions.add_parser("export", help="exported blocks beside PyTorch's (needs PyTorch and coremltools)")
    export.add_argument("folder", type=Path, metavar="DIR", help="an export's folder")
    export.add_argument("--weights", type=Path, metavar="DIR", help="the folder of weights that it was made from")
    add_json(export)
    host = actions.add_parser("host", help="plans predicted and run on this machine (needs PyTorch)")
    validate_host.add_arguments(host)


def run(options: argparse.Namespace) -> int:
    """Raises UserError."""
    actions = {"published": _published, "reference": _reference, "export": _export, "host": validate_host.run}
    return actions[options.action](options)


def _reference(options: argparse.Namespace) -> int:
    from ondevice_sora.reports.terminal.reference import print_reference

    with needing("torch"):
        from ondevice_sora.studies.reference.compare import validate_reference
    results = validate_reference(options.folder)
    shown(lambda: print(json_text({"cases": results})) if options.json else print_reference(results))
    compared = [result for result in results if result.max_abs_difference is not None]
    return EXIT_FITS if compared and all(result.ok for result in compared) else EXIT_FAILED


def _export(options: argparse.Namespace) -> int:
    from ondevice_sora.reports.terminal.parity import print_parity

    with needing("coreml"):
        from ondevice_sora.runtime.coreml.export.manifest import read_manifest
        from ondevice_sora.runtime.coreml.export.parity import validate_export
        from ondevice_sora.runtime.coreml.package.messages import model_class

        model_class()
    with progress_bar("blocks", len(read_manifest(options.folder).blocks)) as advance:
        rows = validate_export(options.folder, options.weights, on_block=advance)
    shown(lambda: print(json_text({"rows": rows})) if options.json else print_parity(rows))
    return EXIT_FITS if all(row.ok for row in rows) else EXIT_FAILED


def _corpus(options: argparse.Namespace, path: Path) -> int:
    from ondevice_sora.simulator.calibration.corpus import corpus_report
    from ondevice_sora.simulator.calibration.corpus_file import read_corpus

    for flag, value in (
        ("--device", options.device),
        ("--leave-out", options.leave_out),
        ("--coverage", options.coverage),
    ):
        if value:
            what = (
                "has no effect on a corpus: its rows name their devices, none is fitted here, and intervals come anyway"
            )
            raise UserError(what, flag, "Leave it out.")
    report = corpus_report(read_corpus(path))
    if options.json:
        print(json_text(report))
    else:
        from ondevice_sora.reports.terminal.corpus import print_corpus

        print_corpus(report, str(path))
    return EXIT_FITS


def _published(options: argparse.Namespace) -> int:
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.simulator.calibration.corpus_file import is_corpus
    from ondevice_sora.simulator.calibration.published import (
        compare,
        find_cases,
        planned_gains,
        profile_for,
        read_cases,
    )

    path = find_cases(options.cases)
    if is_corpus(path):
        return _corpus(options, path)
    cases, planned = read_cases(path)
    saved = planned_gains(cases, planned)
    source = planned[0].source
    profile, device = load_profile(options.device) if options.device else profile_for(cases.device, source, "$.device")
    gains: list[GainRow] = []
    if options.leave_out:
        if options.device and options.device != device.key:
            what = "a profile file's costs have no effect with --leave-out, which fits its own"
            raise UserError(what, "--device", "Name a device, or leave one of the two out.")
        from ondevice_sora.simulator.calibration.left_out import LeaveOut

        fits = LeaveOut(device, planned)
        with progress_bar("fits", len(fits.groups(options.leave_out))) as advance:
            rows = fits.rows(options.leave_out, advance)
            if options.leave_out == "run":
                gains = fits.gains(saved)
        title = f"published against simulated with a fit that has not seen the {options.leave_out}"
    else:
        rows = compare(planned, profile, device, with_intervals=options.coverage)
        title = f"published against simulated with profile {profile.name}"
    if options.json:
        import json

        from ondevice_sora.simulator.calibration.published import rows_document

        print(json.dumps(rows_document(rows, gains), indent=1))
    else:
        from ondevice_sora.reports.terminal.published import print_published

        print_published(rows, title, cases.source, gains)
    return EXIT_FITS
