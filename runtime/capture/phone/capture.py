"""Capture blocks on a connected phone: a process for each load, the capture file written after each block.

Goes on where an earlier capture of the same phone and system ended. A block that fails is recorded and left out; a
phone that is lost ends the capture with what there is. Needs a Mac with Xcode; nothing here has run on a phone yet,
only against a fake `devicectl` under coremltools' own code.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ondevice_sora.base import children
from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.folders import scratch_in
from ondevice_sora.base.interrupts import noted
from ondevice_sora.profiles.capture_file import (
    Capture,
    CaptureConditions,
    CapturedBlock,
    Failure,
    Loads,
    Runs,
    read_capture,
    write_capture,
)
from ondevice_sora.profiles.devices import device_keys, load_device, machines
from ondevice_sora.runtime.capture.phone.requests import Installed, Phone, Reply, Request, Signing
from ondevice_sora.runtime.capture.phone.targets import Target

ANY_PHONE = "iphone"
GRACE_S = 600
"""Beyond its patience for an answer, a process may take this long to build, install and launch the app, and to end."""

Work = Callable[[Request], Reply]


@dataclass(frozen=True)
class Settings:
    """`repeats` later loads and runs a block; a process gives up after `patience_s` seconds without an answer."""

    repeats: int = 5
    patience_s: float = 1800.0
    signing: Signing = field(default_factory=Signing)


def check_devicectl() -> None:
    """Raises UserError where phones cannot be reached."""
    if shutil.which("devicectl") is None:
        raise UserError(
            "there is no `devicectl` here, which reaches a phone",
            mend="Capture on a Mac with Xcode's command line tools, the folder of `xcrun --find devicectl` on PATH.\n"
            "A capture made elsewhere is read with `ondevice-sora profile import FILE.json`.",
        )


def choose_phone(phones: Sequence[Phone], wanted: str) -> Phone:
    """The phone of that name or udid; the only one if none is named. Raises UserError."""
    listed = ", ".join(f"'{phone.name}' ({phone.udid})" for phone in phones)
    if not phones:
        raise UserError("no phone is connected", mend="Connect one, unlock it, and turn on its developer mode.")
    found = [phone for phone in phones if not wanted or wanted in (phone.name, phone.udid)]
    if not found:
        raise UserError(f"no connected phone is named '{wanted}'", "--phone", f"Connected: {listed}.")
    if len(found) > 1:
        raise UserError("several phones are connected", mend=f"Choose one with --phone: {listed}.")
    return found[0]


def catalogue_key(phone: Phone, wanted: str) -> str:
    """The phone's key in the catalogue: `wanted`, or found by what machine it says it is. Raises UserError."""
    own = machines().get(phone.product_type)
    if wanted == ANY_PHONE:
        if own is None:
            what = f"the catalogue has no '{phone.marketing_name or phone.product_type or phone.name}'"
            raise UserError(what, "--device", f"Name the device that it is most like: {', '.join(device_keys())}.")
        return own
    key = load_device(wanted).key
    if own is not None and own != key:
        raise UserError(f"the connected phone is an {phone.marketing_name}", "--device", f"Give --device {own}.")
    return key


def capture(
    targets: Sequence[Target],
    phone: Phone,
    device: str,
    model: str,
    path: Path,
    settings: Settings,
    work: Work,
    on_block: Callable[[str], None] = lambda label: None,
) -> tuple[Capture, str]:
    """Everything measured, also by an earlier capture in `path`, and why it ended early (empty if it did not).

    `path` is written after each block. Raises UserError if what is there is of another phone or system.
    """
    begun = _begun(path, phone, device, model)
    blocks, failures = list(begun.blocks), list[Failure]()
    installed: Installed | None = None
    lost = ""

    def captured() -> Capture:
        return msgspec.structs.replace(begun, blocks=tuple(blocks), failures=tuple(failures))

    with noted(), scratch_in(Path(tempfile.gettempdir()), "phone") as directory:
        for target in targets:
            wanted = target.block()
            if any(block.key == wanted.key and block.sha256 == wanted.sha256 for block in blocks):
                continue
            on_block(wanted.label)
            measured, installed, failure = _measure(target, phone, str(directory), installed, settings, work)
            if measured is not None:
                blocks = [block for block in blocks if block.key != wanted.key] + [measured]
                write_capture(path, captured())
                continue
            reason = {"app": "the app ended, perhaps for its memory: "}.get(failure.lost, "") + failure.failure
            failures.append(target.failure(reason, app_ended=failure.lost == "app"))
            if failure.lost == "phone":
                lost = reason
                break
    return captured(), lost


def _measure(
    target: Target,
    phone: Phone,
    directory: str,
    installed: Installed | None,
    settings: Settings,
    work: Work,
) -> tuple[CapturedBlock | None, Installed | None, Reply]:
    """The block with its samples (None after a failure), the app on the phone, and the last reply."""
    replies: list[Reply] = []
    for number in range(1 + settings.repeats):
        reply = work(
            Request(
                package=str(target.package),
                function=target.function,
                compute_units=target.compute_units,
                later_runs=0 if number else settings.repeats,
                udid=phone.udid,
                working_directory=directory,
                patience_s=settings.patience_s,
                installed=installed,
                signing=settings.signing,
            )
        )
        installed = reply.installed or installed
        if reply.failure or reply.load_s is None:
            return None, installed, reply
        replies.append(reply)
    loads = [reply.load_s for reply in replies if reply.load_s is not None]
    measured = msgspec.structs.replace(
        target.block(),
        loads=Loads(first_s=tuple(loads[:1]), later_s=tuple(loads[1:])),
        runs=Runs(first_s=tuple(reply.run_s[0] for reply in replies), later_s=replies[0].run_s[1:]),
    )
    return measured, installed, replies[-1]


def _begun(path: Path, phone: Phone, device: str, model: str) -> Capture:
    """What an earlier run left in `path`, or a capture without blocks."""
    fresh = Capture(model, _conditions(phone), (), device)
    if not path.is_file():
        return fresh
    found = read_capture(path)
    then, now = found.conditions, fresh.conditions
    for what, before, after in (
        ("device", found.device, device),
        ("model", found.model, model),
        ("device model", then.device_model, now.device_model),
        ("system", f"{then.os} {then.os_build}", f"{now.os} {now.os_build}"),
    ):
        if before != after:
            mend = "Choose another name with -o, or start over with --force."
            raise UserError(f"begun with another {what}: {before}, now {after}", str(path), mend)
    return found


def _conditions(phone: Phone) -> CaptureConditions:
    from importlib.metadata import version

    return CaptureConditions(
        device_model=phone.product_type or phone.marketing_name or phone.name,
        os=phone.os,
        os_build=phone.os_build,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        tools={"coremltools": version("coremltools")},
    )


def in_a_process(request: Request) -> Reply:
    """`worker.measure` in a process of its own, which is ended with all that it started if it takes too long.

    Raises Interrupted when that process has ended.
    """
    with tempfile.TemporaryDirectory(dir=request.working_directory) as directory:
        asked, answered, log = (Path(directory) / name for name in ("request.json", "reply.json", "log.txt"))
        asked.write_bytes(msgspec.json.encode(request))
        with log.open("wb") as stream:
            process = children.start(
                "ondevice_sora.runtime.capture.phone.worker",
                str(asked),
                str(answered),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
            try:
                children.finish(process, request.patience_s + GRACE_S)
            except subprocess.TimeoutExpired:
                return Reply(failure=f"no answer within {request.patience_s + GRACE_S:.0f} s")
        if answered.is_file():
            return msgspec.json.decode(answered.read_bytes(), type=Reply)
        last = log.read_text(errors="replace").strip().rpartition("\n")[2][:300]
        return Reply(failure=f"the measuring process {children.how_it_ended(process.returncode)}: {last}")
