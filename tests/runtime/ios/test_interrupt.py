"""Ctrl-C and SIGTERM end `sora play` between two blocks: one line, its own status, and no half of a video."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from worlds import swift
from worlds.toy_exports import TOKENS, toy_export

pytestmark = [
    swift.needs_swift,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Core ML itself is there, not its stand-in"),
]
TINY = 100_000
IGNORING = ("bash", "-c", 'trap "" INT; exec "$@"', "bash")
"""As a script starts its jobs in the background."""


def play(
    folder: Path, send: Callable[[subprocess.Popen[str]], object], behaviour: str = "", starting: tuple[str, ...] = ()
) -> tuple[int, list[str]]:
    """Play, and `send` when the first component begins. The status, and the lines that followed."""
    export = toy_export(folder / "export", "ours-192", TINY)
    tokens, out = folder / "tokens.json", folder / "out"
    record = {"format": "ondevice-sora-tokens-1", "input_ids": [1] * TOKENS, "attention_mask": [1] * TOKENS}
    tokens.write_text(json.dumps(record))
    settings = {"SORA_STANDIN_BEHAVIOUR": behaviour, "XDG_DATA_HOME": str(folder / "support")}
    command: list[str | Path] = [*starting, swift.sora(), "play", export.directory, "--tokens", tokens, "-o", out]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, **settings}
    ) as process:
        assert process.stderr is not None
        assert any(line == "text_encoder\n" for line in process.stderr)
        send(process)
        said = process.stderr.read()
    return process.returncode, said.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_interrupted_it_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """As a terminal does it: every process of the group is told. Each load takes 0.2 s, there are hundreds of them."""
    status, said = play(tmp_path, lambda process: os.killpg(process.pid, number), "slow-load=")
    assert (status, said[-1]) == (130, "interrupted: no video was written")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_sigterm_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    """`timeout` sends it to the program and then to the group. Here it comes until the end."""

    def send(process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)

    status, said = play(tmp_path, send, "slow-load=")
    assert (status, said[-1]) == (130, "interrupted: no video was written")


def test_an_interrupt_that_it_was_started_to_ignore_is_ignored(tmp_path: Path) -> None:
    status, said = play(tmp_path, lambda process: process.send_signal(signal.SIGINT), starting=IGNORING)
    assert (status, said[-1]) == (0, f"Wrote {tmp_path / 'out' / 'played.json'}")
