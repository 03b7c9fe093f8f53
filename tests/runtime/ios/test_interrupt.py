"""Ctrl-C and SIGTERM end `sora play` between two blocks: one line, its own status, and no half of a video."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import swift
from worlds.toy_exports import TOKENS, toy_export

pytestmark = [
    swift.needs_swift,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Core ML itself is there, not its stand-in"),
]
TINY = 100_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_interrupted_it_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """As a terminal does it: every process of the group is told. Each load takes 0.2 s, there are hundreds of them."""
    export = toy_export(tmp_path / "export", "ours-192", TINY)
    tokens, out = tmp_path / "tokens.json", tmp_path / "out"
    record = {"format": "ondevice-sora-tokens-1", "input_ids": [1] * TOKENS, "attention_mask": [1] * TOKENS}
    tokens.write_text(json.dumps(record))
    settings = {"SORA_STANDIN_BEHAVIOUR": "slow-load=", "XDG_DATA_HOME": str(tmp_path / "support")}
    command: list[str | Path] = [swift.sora(), "play", export.directory, "--tokens", tokens, "-o", out]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, **settings}
    ) as process:
        assert process.stderr is not None
        assert any(line == "text_encoder\n" for line in process.stderr)
        os.killpg(process.pid, number)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted: no video was written"
    assert list(out.iterdir()) == []
