"""Another process has packages loaded, run and evicted by this one, as the Swift package's tests do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import torch

pytest.importorskip("coremltools")

from ondevice_sora.runtime.coreml.blocks.programs import programs_of

if TYPE_CHECKING:
    from worlds.exports import Exported

SPACE = 1 << 24
"""Bytes between arrays, more than any of these has."""


class Served:
    """The process, as the Swift package starts it, and what it is asked."""

    def __init__(self, arrays: IO[bytes]) -> None:
        self.arrays = arrays
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        numbers = [each.fileno() for each in theirs] + [arrays.fileno()]
        given = " ".join(f"{wanted}<&{number}" for wanted, number in zip((7, 8, 9), numbers, strict=True))
        moved = "3<&7 4<&8 5<&9 7<&- 8<&- 9<&-"
        command = f"exec {given}; exec {sys.executable} -m ondevice_sora.runtime.coreml.program.serving {moved}"
        self.process = subprocess.Popen(["bash", "-c", command], pass_fds=numbers)
        for each in theirs:
            each.close()
        self.loads, self.runs = ours
        self._lines = {each: each.makefile("rw") for each in ours}

    def ask(self, channel: socket.socket, request: str | dict[str, Any]) -> dict[str, Any]:
        lines = self._lines[channel]
        lines.write((request if isinstance(request, str) else json.dumps(request)) + "\n")
        lines.flush()
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    def close(self) -> None:
        for channel, lines in self._lines.items():
            lines.close()
            channel.close()


@pytest.fixture
def served() -> Iterator[Served]:
    with tempfile.TemporaryFile() as arrays:
        found = Served(arrays)
        yield found
        found.close()
        assert found.process.wait(timeout=60) == 0, "it ends with the channels"


def denoiser(exported: Exported) -> Path:
    return exported.directory / "denoiser.001.mlpackage"


def test_what_it_makes_is_what_the_executor_makes(exported: Exported, served: Served) -> None:
    path = denoiser(exported)
    names = served.ask(served.loads, {"functionsOf": str(path)})["functions"]
    assert set(names) == {"plain", "tdtm"}
    for name in names:
        program = programs_of(path)[name]
        program.load()
        loaded = served.ask(served.loads, {"load": str(path), "function": name})
        torch.manual_seed(0)
        inputs = {each["name"]: torch.rand(each["shape"]).to(getattr(torch, each["type"])) for each in loaded["inputs"]}
        places = {
            name: SPACE * number for number, name in enumerate((*inputs, *(e["name"] for e in loaded["outputs"])))
        }
        served.arrays.truncate(SPACE * (len(places) + 1))
        for each, values in inputs.items():
            os.pwrite(served.arrays.fileno(), values.numpy().tobytes(), places[each])
        request = {"run": loaded["model"], "inputs": {each: places[each] for each in inputs},
                   "outputs": {each["name"]: places[each["name"]] for each in loaded["outputs"]}}  # fmt: skip
        assert served.ask(served.runs, request) == {}
        for each, wanted in program.run(inputs).items():
            found = os.pread(served.arrays.fileno(), wanted.numpy().nbytes, places[each])
            assert found == wanted.numpy().tobytes()
        assert served.ask(served.runs, {"evict": loaded["model"]}) == {}


def test_without_a_name_the_default_function_is_loaded(exported: Exported, served: Served) -> None:
    found = [
        served.ask(served.loads, {"load": str(denoiser(exported)), **more}) for more in ({}, {"function": "plain"})
    ]
    assert [each["model"] for each in found] == [1, 2]
    assert found[0]["inputs"] == found[1]["inputs"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"load": "EXPORT/nowhere.mlpackage"}, "EXPORT/nowhere.mlpackage: not a folder"),
        ({"load": "EXPORT/denoiser.001.mlpackage", "function": "paint"}, "there is no function 'paint'"),
        ({"load": "CUT"}, "weight.bin"),
        ({"run": 99, "inputs": {}, "outputs": {}}, "KeyError"),
        ({"paint": 1}, "no request"),
        ("nonsense", "JSONDecodeError"),
    ],
)
def test_what_goes_wrong_is_told_and_it_goes_on(
    request_: str | dict[str, Any], told: str, exported: Exported, served: Served, tmp_path: Path
) -> None:
    cut = Path(shutil.copytree(denoiser(exported), tmp_path / "cut.mlpackage"))
    weights = next(cut.rglob("weight.bin"))
    weights.write_bytes(weights.read_bytes()[:100])
    if isinstance(request_, dict) and "load" in request_:
        path = request_["load"].replace("EXPORT", str(exported.directory)).replace("CUT", str(cut))
        request_ = {**request_, "load": path}
    answer = served.ask(served.loads, request_)
    assert told.replace("EXPORT", str(exported.directory)) in answer["error"]
    assert "model" in served.ask(served.loads, {"load": str(denoiser(exported))})
