"""Make predictions for another process: the Swift package's stand-in for Core ML on Linux (runtime/ios/README.md).

    SORA_STANDIN_COMMAND="python -m ondevice_sora.runtime.coreml.program.serving" sora play EXPORT "a red circle"

It starts this with three open files. A request is a line of JSON, and so is its answer, {"error": TEXT} if it fails.

    3, loads   {"functionsOf": PATH}                        {"functions": ["plain", "tdtm"]}
               {"load": PATH, "function": NAME, or none}    {"model": 1, "inputs": [FEATURE, ...], "outputs": [...]}
    4, runs    {"run": 1, "inputs": {NAME: PLACE, ...}, "outputs": {NAME: PLACE, ...}}      {}
               {"evict": 1}                                                                 {}
    5, arrays  a file with the values of a run, row by row; a place is in bytes from its beginning

Loads and runs go on beside each other. The process ends with the one that started it.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Constant, Package, Value
from ondevice_sora.runtime.coreml.package.reading import read_package
from ondevice_sora.runtime.coreml.package.types import NUMPY_DTYPES, TensorType
from ondevice_sora.runtime.coreml.program.operations import TORCH_DTYPES
from ondevice_sora.runtime.coreml.program.program import Held, Program

LOADS, RUNS, ARRAYS = 3, 4, 5
Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass
class Weights:
    """What functions of one package that are in memory share."""

    package: Package
    cache: dict[Hashable, list[Held]] = field(default_factory=dict)
    num_models: int = 0


class Server:
    """Loaded functions of packages, by numbers from 1 on."""

    def __init__(self, arrays: int) -> None:
        """`arrays` is the descriptor of the file with the values of runs."""
        self._file = arrays
        self._memory: mmap.mmap | None = None
        self._lock = threading.Lock()
        """of all below"""
        self._weights: dict[Path, Weights] = {}
        self._models: dict[int, Program] = {}
        self._num_loads = 0

    def answer(self, request: Request) -> Answer:
        """Raises UserError, KeyError or RuntimeError."""
        match request:
            case {"functionsOf": str(path)}:
                return {"functions": list(self._weights_of(Path(path)).package.functions)}
            case {"load": str(path)}:
                return self._load(Path(path), request.get("function"))
            case {"run": int(number)}:
                self._run(self._models[number], request["inputs"], request["outputs"])
            case {"evict": int(number)}:
                self._evict(self._models.pop(number))
            case _:
                raise KeyError(f"no request: {request}")
        return {}

    def _weights_of(self, path: Path) -> Weights:
        with self._lock:
            if path not in self._weights:
                self._weights[path] = Weights(read_package(path))
            return self._weights[path]

    def _load(self, path: Path, name: str | None) -> Answer:
        weights = self._weights_of(path)
        function = weights.package.function(name)
        program = Program(function, path)
        with self._lock:
            weights.num_models += 1
        try:
            program.load(weights.cache)
            features = {
                "inputs": [_feature(value) for value in function.inputs],
                "outputs": [_feature(value) for value in function.outputs],
            }
        except BaseException:
            self._evict(program)
            raise
        with self._lock:
            self._num_loads += 1
            self._models[self._num_loads] = program
            return {"model": self._num_loads, **features}

    def _evict(self, program: Program) -> None:
        program.evict()
        with self._lock:
            weights = self._weights[program.path]
            weights.num_models -= 1
            if weights.num_models == 0:
                weights.cache.clear()

    def _run(self, program: Program, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        if self._memory is None or len(self._memory) != os.fstat(self._file).st_size:
            self._memory = mmap.mmap(self._file, 0)
        given = {value.name: self._tensor(value, inputs[value.name]) for value in program.function.inputs}
        made = program.run(given)
        for value in program.function.outputs:
            self._tensor(value, outputs[value.name]).copy_(made[value.name])

    def _tensor(self, value: Value | Constant, place: int) -> Tensor:
        """The values in the file, under no other name anywhere."""
        kind = _tensor_type(value)
        assert self._memory is not None
        dtype, count = TORCH_DTYPES[kind.dtype], kind.num_elements or 0
        return torch.frombuffer(self._memory, dtype=dtype, count=count, offset=place).reshape(_shape(kind))


def _feature(value: Value | Constant) -> Answer:
    kind = _tensor_type(value)
    return {"name": value.name, "type": np.dtype(NUMPY_DTYPES[kind.dtype]).name, "shape": _shape(kind)}


def _tensor_type(value: Value | Constant) -> TensorType:
    kind = value.type
    if not isinstance(kind, TensorType) or kind.dtype not in NUMPY_DTYPES or kind.num_elements is None:
        raise PackageError(f"{value.name!r} is {kind}: a feature is a tensor whose sizes are fixed")
    return kind


def _shape(kind: TensorType) -> list[int]:
    return [size or 0 for size in kind.shape or ()]


def serve(channel: socket.socket, answer: Callable[[Request], Answer]) -> None:
    """Answer requests one after another, until the channel is closed."""
    with channel, channel.makefile("rw", encoding="utf-8", newline="\n") as stream:
        for line in stream:
            try:
                told = answer(json.loads(line))
            except (UserError, KeyError, RuntimeError, ValueError, OSError) as error:
                told = {"error": f"{error}" if isinstance(error, UserError) else f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(told) + "\n")
            stream.flush()


def main() -> None:
    server = Server(ARRAYS)
    channels = [socket.socket(fileno=number) for number in (LOADS, RUNS)]
    for channel in channels:
        threading.Thread(target=serve, args=(channel, server.answer), daemon=True).start()
    hung_up = select.poll()
    for channel in channels:
        hung_up.register(channel, select.POLLHUP)
    hung_up.poll()
    os._exit(0)  # also in the middle of a run


if __name__ == "__main__":
    main()
