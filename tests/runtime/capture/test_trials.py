"""A trial is read back as strictly as it was written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.capture.measured_run import Trial, read_trial

SPAN = {"lane": "cpu", "action": "run", "component": "denoiser", "step": 0, "block": "a", "variant": "plain",
        "start_s": 0.0, "end_s": 1.0, "bytes": 5}  # fmt: skip
TRACE = {"kind": "measured", "plan": "x", "device": "y", "model": "z", "spans": [SPAN], "memory": [],
         "limit_bytes": 1000, "format": "ondevice-sora-trace-1"}  # fmt: skip
TRIAL: dict[str, Any] = {"digest": "0" * 64, "trace": TRACE, "added_bytes": 7, "working_bytes": []}


def said(path: Path, mode: str) -> str:
    with pytest.raises(UserError) as caught:
        read_trial(path, mode)
    assert str(caught.value).endswith("\nRemove it; the run is then repeated.")
    return str(caught.value)


def test_trials_of_each_mode_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    path.write_text(json.dumps(TRIAL))
    assert read_trial(path).trace is not None
    path.write_text(json.dumps({"digest": "0" * 64, "working_bytes": [["denoiser", "a", "plain", 5]]}))
    assert read_trial(path, "probe").working_bytes == [("denoiser", "a", "plain", 5)]
    path.write_text(json.dumps({"digest": "0" * 64}))
    assert read_trial(path, "whole") == Trial("0" * 64)


@pytest.mark.parametrize(
    ("content", "mode", "complaint"),
    [
        ("", "", "not valid JSON"),
        ("{}", "", "the key 'digest' is missing"),
        (TRIAL | {"digest": "x"}, "whole", "digest: expected 64 hexadecimal digits"),
        (TRIAL | {"trace": None}, "", "trace: there is no trace"),
        (TRIAL | {"trace": TRACE | {"spans": []}}, "", "trace.spans: no run took any time"),
        (TRIAL | {"trace": TRACE | {"spans": [SPAN | {"end_s": 0.0}]}}, "", "trace.spans: no run took any time"),
        (TRIAL | {"trace": TRACE | {"spans": [SPAN | {"start_s": 2.0}]}}, "", "trace.spans[0]: ends before it starts"),
        (TRIAL | {"added_bytes": -5}, "", "added_bytes: expected a whole number >= 0"),
        (TRIAL, "probe", "working_bytes: nothing was probed"),
        (
            TRIAL | {"working_bytes": [["denoiser", "a", "plain", -5]]},
            "probe",
            "working_bytes[0][3]: expected a whole number",
        ),
    ],
)
def test_a_file_that_is_no_trial_is_refused(tmp_path: Path, content: Any, mode: str, complaint: str) -> None:
    path = tmp_path / "trial.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert complaint in said(path, mode)


def test_a_pipe_or_a_link_is_no_trial(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    assert "this is a pipe, not a file" in said(tmp_path / "pipe", "")
    assert "this is a link, not a file" in said(tmp_path / "link", "")
