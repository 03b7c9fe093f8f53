"""Run one input as a user would, and say in a few words why it did not hold, if it did not."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import shlex
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from worlds.alarms import ends_in

from hostile.inputs import Input
from hostile.made import Made

HANGS_S = 60
LONGEST_MESSAGE = 6000
OBEYED = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F))} - set("\n\t")
RUNS = "from ondevice_sora.commands.main import main; import sys; sys.exit(main())"


class Ended(NamedTuple):
    """What a command came to. `failure` says why there is no status: a traceback's last line, or that it hung."""

    status: int | None
    out: str
    err: str
    failure: str = ""


class TimeIsUpError(BaseException):
    """Not an Exception, which programs catch."""


def tried(case: Input, made: Made) -> str:
    """Run the input in the box; '' if it held, else why not."""
    materials = [made.folder(name) for name in case.made]
    root = made.empty_box()
    work = root / "work"
    for material in materials:
        shutil.copytree(material, work, symlinks=True, dirs_exist_ok=True)
    _put_outside(root / "outside")
    for name, content in case.files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    if case.arrange is not None:
        case.arrange(work)
    before = contents(root)
    ended = in_shell(case, work) if case.shell else in_process(case, work)
    return judged(case, ended, differences(before, contents(root)))


def _put_outside(folder: Path) -> None:
    """What nobody has asked to be read, changed or removed."""
    (folder / "a.mlpackage" / "Data").mkdir(parents=True)
    for name in ("secret.txt", "a.mlpackage/Manifest.json", "a.mlpackage/Data/model", "outside.safetensors"):
        (folder / name).write_text("nobody's business")


def in_process(case: Input, work: Path) -> Ended:
    from ondevice_sora.commands.main import main

    streams = [io.TextIOWrapper(io.BytesIO(), encoding=case.encoding, write_through=True) for _ in range(2)]
    before = sys.stdout, sys.stderr
    status: int | None = None
    failure = ""
    sys.stdout, sys.stderr = streams
    try:
        with _environment(case.env), _folder(work), ends_in(HANGS_S, TimeIsUpError()):
            status = main(list(case.arguments))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except TimeIsUpError:
        failure = "hang"
    except BaseException as error:
        failure = f"traceback: {traceback.format_exception_only(error)[-1].strip()[:150]}"
    finally:
        sys.stdout, sys.stderr = before
    out, err = (stream.buffer.getvalue().decode(case.encoding, "replace") for stream in streams)
    return Ended(status, out, err, failure)


def in_shell(case: Input, work: Path) -> Ended:
    """By a shell, in a process of its own. What it prints is kept beside the folder, unless redirected."""
    command = shlex.join([sys.executable, "-P", "-c", RUNS, *case.arguments])
    environment = {**os.environ, **case.env}
    try:
        ended = subprocess.run(
            ["bash", "-c", case.shell.replace("COMMAND", command)],
            cwd=work,
            env=environment,
            capture_output=True,
            timeout=2 * HANGS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(None, "", "", "hang")
    out, err = ended.stdout.decode(case.encoding, "replace"), ended.stderr.decode("utf-8", "replace")
    failure = ""
    if "Traceback" in err:
        failure = f"traceback: {err.strip().splitlines()[-1][:150]}"
    elif ended.returncode < 0 or ended.returncode > 128:
        failure = f"ended by a signal (status {ended.returncode})"
    return Ended(ended.returncode, out, err, failure)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    os.chdir(path)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def contents(root: Path) -> dict[str, tuple[object, ...]]:
    """Kind, permissions and content of everything below a folder."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            facts = path.lstat()
            kind = stat.S_IFMT(facts.st_mode)
            content: object = None
            if kind == stat.S_IFLNK:
                content = os.readlink(path)
            elif kind == stat.S_IFREG:
                content = facts.st_size, hashlib.sha256(path.read_bytes()).digest() if facts.st_size < 1 << 30 else None
            mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(facts.st_mode)
            found[str(path.relative_to(root))] = kind, mode, content
    return found


def differences(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> list[str]:
    """The paths that were made, removed or changed."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def judged(case: Input, ended: Ended, changed: list[str]) -> str:
    """'' if it held, else why not."""
    if ended.failure:
        return ended.failure
    for text in (ended.out, ended.err):
        if found := OBEYED & set(text):
            return f"{min(found)!r} reaches the terminal"
    is_refused = ended.status == 2
    if case.expected == "fine" and is_refused:
        return f"refused: {ended.err[:150]!r}"
    if case.expected == "refused" and not is_refused:
        return f"accepted (status {ended.status})"
    messages = sum(line.startswith("error:") for line in ended.err.splitlines())
    if is_refused and messages != 1 and ">" not in case.shell:
        return f"{messages} messages"
    if len(ended.err) > LONGEST_MESSAGE:
        return f"a message of {len(ended.err)} letters"
    if not is_refused:
        if ended.status not in case.statuses:
            return f"status {ended.status}: {ended.err[-150:]!r}"
        if "error:" in ended.err:
            return "an error beside a result"
        lacking = [text for text in case.shows if text not in ended.out + ended.err]
        if lacking:
            return f"does not show {lacking[0]!r}"
    allowed = case.kept if is_refused else (*case.kept, *case.writes)
    for path in changed:
        name = path.removeprefix("work/")
        if not path.startswith("work/"):
            return f"changed outside: {path}"
        if ".part" in name or ".ondevice-sora" in name:
            return f"left behind: {name}"
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
            return f"changed: {name}"
    return ""
