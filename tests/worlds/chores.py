"""What child processes do in tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ondevice_sora.base import children
from ondevice_sora.base.files.folders import scratch_in


def doubled(number: int) -> int:
    return 2 * number


def printed(text: str) -> str:
    print(text, flush=True)
    return text.upper()


def failing(number: int) -> float:
    return number / 0


def endless(_: int) -> None:
    while True:
        time.sleep(60)


_done: list[object] = []


def done_once(job: object) -> dict[str, str]:
    """Only the first job of a process is ever done."""
    if _done:
        endless(0)
    _done.append(job)
    return {"made": "up"}


def killed(file: str) -> None:
    with open(file, "a") as stream:
        stream.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def fatal(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fatal_to(_: object, job: object) -> None:
    fatal(job)


def killed_once(file: str) -> str:
    if not Path(file).exists():
        killed(file)
    return "done"


def main(chore: str, *arguments: str) -> int:
    chore = os.environ.get("CHORE", chore)
    if chore == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if chore == "go on for ever":
        endless(0)
    if chore == "say":
        print("said", file=sys.stderr)
        return 3
    if chore == "scratch":
        with scratch_in(Path(arguments[0]), "trial") as folder:
            (folder / "folder").mkdir()
            (folder / "folder" / "file").write_text("")
            print("made", flush=True)
            endless(0)
    if chore == "signal itself":
        os.kill(os.getpid(), int(arguments[0]))
        return 0
    if "parent" not in arguments:  # started by hand: start a child, and name it and what it has started
        child = children.start(
            "worlds.chores", chore, "parent", stdout=sys.stdout.fileno(), start_new_session="session" in chore
        )
        return child.wait()
    pids = [os.getpid()]
    if "session" in chore:
        pids.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)  # knows nothing of us
    print(*pids, flush=True)
    endless(0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
