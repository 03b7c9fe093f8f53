"""`profile capture --device iphone`: measure packages on a phone that is connected to this Mac."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.interrupts import keeping
from ondevice_sora.commands.common import EXIT_FAILED, EXIT_FITS, needing, refuse_without_effect, whole_number

PATIENCE_S = 1800
HOST_ONLY = ("store", "threads", "width", "depth", "units_per_block")
PHONE_ONLY = (
    "blocks",
    "compute_units",
    "phone",
    "memory_capture",
    "team",
    "bundle_id",
    "provisioning_profile",
    "patience",
)


def add_phone_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on a phone", "needs a Mac with Xcode, and the phone unlocked in developer mode")
    group.add_argument("--blocks", metavar="DIR", help="an export, or a folder of packages as `profile estimate` reads")
    group.add_argument(
        "--compute-units",
        action="append",
        choices=["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"],
        help="where to run them (default: as an export's plan says, else cpu_and_gpu); may be repeated",
    )
    group.add_argument("--phone", metavar="NAME", help="which one, if several are connected: name or udid")
    group.add_argument("--memory-capture", metavar="JSON", help="a harness's capture, whose memory figures are taken")
    group.add_argument("--team", metavar="ID", help="the development team that signs coremltools' app")
    group.add_argument("--bundle-id", metavar="ID", help="the app's bundle identifier (default coremltools')")
    group.add_argument("--provisioning-profile", metavar="UUID", help="instead of a team")
    group.add_argument(
        "--patience",
        type=whole_number(10, 86_400),
        metavar="S",
        help=f"seconds to wait for one load or run (default {PATIENCE_S})",
    )


def run_phone_capture(options: argparse.Namespace, write: Callable[..., None]) -> int:
    """Raises UserError. `write` makes a profile of the capture, in a file, and prints it."""
    from ondevice_sora.profiles.capture_file import read_capture, with_memory_of, write_capture

    mend = "Leave it out, or capture on this machine with --device host."
    refuse_without_effect(options, HOST_ONLY, "on a phone", mend)
    if not options.blocks:
        raise UserError("--blocks is missing", mend="Give the folder of the packages, e.g. --blocks exported.")
    path = Path(options.output or f"{options.device}.yaml")
    raw = path.with_suffix(".json")
    with needing("coreml"):
        from ondevice_sora.runtime.capture.phone.capture import (
            Settings,
            capture,
            catalogue_key,
            check_devicectl,
            choose_phone,
            in_a_process,
        )
        from ondevice_sora.runtime.capture.phone.requests import Signing
        from ondevice_sora.runtime.capture.phone.targets import targets_in

        check_devicectl()
        _check_output(path, raw, options.force)
        model, targets = targets_in(Path(options.blocks), options.compute_units or ())
        from ondevice_sora.runtime.capture.phone.worker import connected_phones
    harness = read_capture(options.memory_capture) if options.memory_capture else None
    phone = choose_phone(connected_phones(), options.phone or "")
    key = catalogue_key(phone, options.device)
    if options.force:
        raw.unlink(missing_ok=True)
    signing = Signing(options.team or "", options.bundle_id, options.provisioning_profile)
    with keeping(f"what was measured is kept in {raw}; the same command goes on from there"):
        measured, lost = capture(
            targets,
            phone,
            key,
            model,
            raw,
            Settings(options.repeats, float(options.patience or PATIENCE_S), signing),
            in_a_process,
            on_block=lambda label: print(f"measuring {label}", file=sys.stderr),
        )
    for failure in measured.failures:
        function = f" {failure.function}" if failure.function else ""
        print(f"failed: {failure.package}{function} on {failure.compute_units}: {failure.reason}", file=sys.stderr)
    if lost:
        print(f"the phone was lost: {lost}", file=sys.stderr)
    if not measured.blocks:
        raise UserError("no block was measured", mend="See the failures above.")
    is_whole = not (lost or measured.failures)
    if harness is not None:
        measured, notes = with_memory_of(measured, harness)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    write_capture(raw, measured)
    write(measured, path, raw, as_json=options.json)
    if not is_whole:
        left = len(targets) - len(measured.blocks)
        print(f"{left} of {len(targets)} were not measured. Run the same command again: it goes on.", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_FITS


def _check_output(path: Path, raw: Path, force: bool) -> None:
    """A capture that was begun is continued; any other file is kept unless --force is given. Raises UserError."""
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(
            "the profile's name must end in .yaml", str(path), f"The capture is written to {raw} beside it."
        )
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}", str(path), "Make the folder first.")
    if path.exists() and not raw.exists() and not force:
        raise UserError("the file exists already", str(path), "Choose another name, or overwrite it with --force.")
