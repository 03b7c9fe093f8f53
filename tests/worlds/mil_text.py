"""Functions printed as a compiled package has them: the form that Core ML's compiler was seen to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ondevice_sora.runtime.coreml.package.package import Body, Constant, Function, Operation, Package
from ondevice_sora.runtime.coreml.package.types import OtherType, StateType, TensorType

RELEASES = {"CoreML5": 15, "CoreML6": 16, "CoreML7": 17, "CoreML8": 18, "CoreML9": 26}


BODIES = " {}({}) {{ {} }} -> ({})"
"""How a body of a loop or a conditional is written: its name, its inputs, its statements, its outputs. A guess."""


def compiled(package: Package, path: Path, flexible: str = "", bodies: str = BODIES) -> Path:
    """An .mlmodelc of a package that was read, beside its weight files."""
    weights = {c.extent.path for f in package.functions.values() for c in f.all_constants() if c.extent is not None}
    (path / "weights").mkdir(parents=True)
    for file in weights:
        (path / "weights" / file.name).write_bytes(file.read_bytes())
    functions = "".join(
        printed(function, flexible or flexible_shapes(package, function), bodies)
        for function in package.functions.values()
    )
    program = '[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"coremlc-version", "3402.4.1"}})]'
    (path / "model.mil").write_text(f"program(1.0)\n{program}\n{{\n{functions}}}\n")
    (path / "coremldata.bin").write_bytes(b"\1")
    if len(package.functions) > 1:
        told = [{"defaultFunctionName": package.default_function, "modelType": {"name": "MLModelType_mlProgram"}}]
        (path / "metadata.json").write_text(json.dumps(told))
    return path


def flexible_shapes(package: Package, function: Function) -> str:
    """The attribute that says which shapes a function's inputs may have, as Xcode's compiler writes it."""
    shapes = {name: own for name, own in package.shapes.get(function.name, {}).items() if own.ranges or own.listed}
    if not shapes:
        return ""
    defaults = pairs({name: list(own.default or ()) for name, own in shapes.items()})
    kinds, parts = [SIZES], [f'("DefaultShapes", {defaults})']
    ranges = {name: [[low, -1 if high is None else high] for low, high in own.ranges] for name, own in shapes.items()}
    if any(ranges.values()):
        kinds.append("dict<string, list<tensor<int32, [2]>, ?>>")
        parts.append(f'("RangeDims", {pairs({name: own for name, own in ranges.items() if own})})')
    listed = {name: own.listed for name, own in shapes.items() if own.listed}
    if listed:
        (count,) = {len(own) for own in listed.values()}
        choices = {f"{n}": pairs({name: list(own[n]) for name, own in listed.items()}) for n in range(count)}
        kinds.append(f"dict<string, {SIZES}>")
        parts.append(f'("EnumeratedShapes", {pairs(choices)})')
    kind = ", ".join(f"tuple<string, {each}>" for each in kinds)
    return f" [FlexibleShapeInformation = tuple<{kind}>(({', '.join(parts)}))]"


SIZES = "dict<string, tensor<int32, [?]>>"


def pairs(named: dict[str, Any]) -> str:
    return f"{{{', '.join(f'{{{json.dumps(name)}, {value}}}' for name, value in named.items())}}}"


def printed(function: Function, flexible: str = "", bodies: str = BODIES) -> str:
    release = RELEASES.get(function.opset, 16)
    printer = Printer(release >= 18, bodies)
    inputs = printer.inputs(function)
    body = "".join(f"            {line}\n" for line in printer.lines(function))
    head = f"    func {function.name}<ios{release}>({inputs}){flexible}"
    return f"{head} {{\n{body}        }} -> ({outputs_of(function)});\n"


def outputs_of(body: Body) -> str:
    return ", ".join(output.name for output in body.outputs)


class Printer:
    """From iOS 18 on scalars are written short."""

    def __init__(self, is_short: bool, bodies: str) -> None:
        self.is_short = is_short
        self.bodies = bodies
        self.named: set[int] = set()
        """Constants that have statements of their own."""

    def inputs(self, body: Body) -> str:
        return ", ".join(f"{self.type(value.type)} {value.name}" for value in body.inputs)

    def lines(self, body: Body) -> list[str]:
        self.named.update(map(id, body.constants.values()))
        return [*map(self.const, body.constants.values()), *map(self.operation, body.operations)]

    def body(self, number: int, body: Body) -> str:
        return self.bodies.format(f"block{number}", self.inputs(body), " ".join(self.lines(body)), outputs_of(body))

    def type(self, kind: Any) -> str:
        if isinstance(kind, StateType):
            return f"state<{self.type(kind.tensor)}>"
        if isinstance(kind, OtherType):
            return f"{kind.kind.replace('dictionary', 'dict')}<{self.type(TensorType('string', ()))}, ?>"
        if kind.shape == () and self.is_short:
            return str(kind.dtype)
        sizes = ", ".join("?" if size is None else str(size) for size in kind.shape)
        return f"tensor<{kind.dtype}, [{sizes}]>"

    def value(self, constant: Constant) -> str:
        kind = constant.type
        if not isinstance(kind, TensorType):
            return f'{self.type(kind)}(("a", "b"))'
        if constant.extent is not None:
            string, offset = self.type(TensorType("string", ())), self.type(TensorType("uint64", ()))
            path = f"@model_path/weights/{constant.extent.path.name}"
            where = description_of(constant)
            return f'{self.type(kind)}(BLOBFILE(path = {string}("{path}"), offset = {offset}({where})))'
        return f"{self.type(kind)}({literal(constant.array().tolist())})"

    def const(self, constant: Constant) -> str:
        kind, name = self.type(constant.type), self.type(TensorType("string", ()))
        return f'{kind} {constant.name} = const()[name = {name}("{constant.name}"), val = {self.value(constant)}];'

    def operation(self, operation: Operation) -> str:
        outputs = ", ".join(f"{self.type(output.type)} {output.name}" for output in operation.outputs)
        inputs = ", ".join(f"{name} = {self.given(given)}" for name, given in operation.inputs.items())
        attributes = {name: self.value(value) for name, value in operation.attributes.items()}
        attributes.setdefault("name", f'{self.type(TensorType("string", ()))}("{operation.name}")')
        told = ", ".join(f"{name} = {value}" for name, value in attributes.items())
        inside = "".join(self.body(number, body) for number, body in enumerate(operation.bodies))
        return f"{outputs}{' = ' if outputs else ''}{operation.type}({inputs})[{told}]{inside};"

    def given(self, given: Any) -> str:
        written = [
            self.value(each) if isinstance(each, Constant) and id(each) not in self.named else each.name
            for each in given
        ]
        return written[0] if len(written) == 1 else f"({', '.join(written)})"


def description_of(constant: Constant) -> int:
    """Where a weight file describes a tensor: in the 64 bytes before it."""
    assert constant.extent is not None
    return constant.extent.start - 64


def literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return value.hex()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)
