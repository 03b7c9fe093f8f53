"""Programs as text, as a compiled .mlmodelc has them in model.mil.

The form is not documented. What is read here is what Core ML's compiler was seen to write for iOS 15 to 18, in files
that people have published: one operation a statement,

    func main<ios16>(tensor<fp32, [1, 3]> x) {
        tensor<fp16, [4]> w = const()[name = ..., val = tensor<fp16, [4]>(BLOBFILE(path = ..., offset = ...))];
        tensor<fp16, [1, 4]> y = linear(weight = w, x = x)[name = tensor<string, []>("y")];
    } -> (y);

with scalars as `tensor<int32, []>(1)` or, for iOS 18, `int32(1)`. Of the bodies of loops and conditionals no published
file shows the form. They are read as functions are written, behind the operation's attributes,

    tensor<int32, []> n = while_loop(loop_vars = i)[name = ...]
        NAME(tensor<int32, []> a) { ... } -> (goes_on)
        NAME(tensor<int32, []> b) { ... } -> (next);

with or without a name, and what is read must then be a loop or a conditional (control_flow.py); else it is refused.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any

from ondevice_sora.base.interrupts import check
from ondevice_sora.runtime.coreml.package.building import MAX_DEPTH, Building, Scope
from ondevice_sora.runtime.coreml.package.control_flow import CONTROL_FLOW, what_is_wrong
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import PackageFiles
from ondevice_sora.runtime.coreml.package.package import (
    Argument,
    Body,
    Constant,
    Function,
    Operation,
    Package,
    Value,
)
from ondevice_sora.runtime.coreml.package.types import (
    DTYPE_BITS,
    InputShapes,
    OtherType,
    StateType,
    TensorType,
    ValueType,
)

PACKAGE_INSTEAD = "Give the .mlpackage that it was compiled from."
TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")
          |(?P<number>[-+]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][-+]?[0-9]+)?
                             |(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|inf|nan)(?![\w@]))
          |(?P<name>[A-Za-z_][\w@.]*)
          |(?P<mark>->|[^\s]))""",
    re.VERBOSE,
)
WRITTEN_TENSOR = re.compile(r"\s*(tensor<\w+, ?\[[0-9?, ]*\]>)")
"""A tensor's type as it is usually written; the same few are written many times."""
SCALARS = {*DTYPE_BITS, "string"}
BODY = re.compile(
    rf"""\s*[;,]?\s*(?:[A-Za-z_][\w.]*)?\s*(?:<\w+>)?\s*
         (?:\{{|\(\s*(?:\)\s*\{{|(?:tensor|state|list|tuple|dict)\s*<|(?:{"|".join(sorted(SCALARS))})\s+[A-Za-z_]))""",
    re.VERBOSE,
)
"""How a body begins: what it takes stands with types, or it takes nothing. An operation's inputs have no types."""
MAX_NESTING = 32
MAX_SHOWN = 40
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def read_text_program(files: PackageFiles, model_path: str, data: bytes, default: str | None = None) -> Package:
    """The package whose program is this text, and whose default function is called so, if something says it.

    Raises PackageError, with the line.
    """
    place = str(files.path / model_path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PackageError(f"not UTF-8 text (byte {error.start})", place) from None
    with _Text(files, model_path, text) as reader:
        functions, shapes = reader.program()
        weight_bytes = reader.weight_bytes
    if not functions:
        raise PackageError("the program has no functions", place)
    if default is not None and default not in functions:
        raise PackageError(f"the default function {default!r} does not exist", place)
    default = default or ("main" if "main" in functions else next(iter(functions)))  # the text does not say which
    return Package(files.path, dict(sorted(functions.items())), default, 0, len(data), weight_bytes, shapes)


class _Text(Building):
    """A recursive-descent parser. `at` is where it is in the text."""

    def __init__(self, files: PackageFiles, model: str, text: str) -> None:
        super().__init__(files, model)
        self.text = text
        self.at = 0
        self.depth = 0
        self._types: dict[str, TensorType] = {}
        self._looked: tuple[int, str, str, int] = (-1, "", "", 0)
        """The token that was looked at last: where it was looked for, its kind, itself, and where it ends."""

    def where(self) -> str:
        line = self.text.count("\n", 0, self.at) + 1
        return ", ".join((f"{self.place}:{line}", *self.path))

    # Tokens

    def peek(self) -> tuple[str, str]:
        """The next token's kind and text; ('', '') at the end."""
        if self._looked[0] != self.at:
            found = TOKEN.match(self.text, self.at)
            kind = (found and found.lastgroup) or ""
            self._looked = (self.at, kind, found[kind], found.end()) if found and kind else (self.at, "", "", self.at)
        return self._looked[1], self._looked[2]

    def take(self, *wanted: str) -> str:
        """The next token: one of these marks or names, or anything of these kinds."""
        kind, token = self.peek()
        if not kind or (token not in wanted and f"a {kind}" not in wanted):
            shown = token if len(token) <= MAX_SHOWN else f"{token[:MAX_SHOWN]}…"
            raise self.error(f"expected {' or '.join(map(repr, wanted))}, found {shown or 'the end'!r}")
        self.at = self._looked[3]
        return token

    def takes(self, mark: str) -> bool:
        """Whether this mark comes next; it is then taken."""
        if self.peek()[1] != mark:
            return False
        self.take(mark)
        return True

    def several(self, opening: str, closing: str) -> Iterator[None]:
        """Go through what stands between two marks, comma by comma."""
        self.take(opening)
        if self.takes(closing):
            return
        while True:
            yield
            if self.take(",", closing) == closing:
                return

    def string(self) -> str:
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), self.take("a string")[1:-1])

    # The program

    def program(self) -> tuple[dict[str, Function], dict[str, dict[str, InputShapes]]]:
        self.take("program")
        self.take("(")
        self.take("a number")
        self.take(")")
        self.attributes()
        self.take("{")
        functions: dict[str, Function] = {}
        shapes: dict[str, dict[str, InputShapes]] = {}
        while not self.takes("}"):
            self.path = []
            function, attributes = self.function()
            if function.name in functions:
                raise self.error(f"function {function.name!r} is defined twice")
            functions[function.name] = function
            shapes[function.name] = _input_shapes(attributes.get("FlexibleShapeInformation"))
        if self.peek()[0]:
            raise self.error("something follows the program")
        return functions, shapes

    def function(self) -> tuple[Function, dict[str, Constant]]:
        self.take("func")
        name = self.take("a name")
        self.path = [f"function {name!r}"]
        self.take("<")
        opset = self.take("a name")
        self.take(">")
        scope: dict[str, Argument] = {}
        given: list[tuple[str, ValueType]] = []
        for _ in self.several("(", ")"):
            kind = self.type()
            given.append((self.take("a name"), kind))
        inputs = self.define(scope, given)
        attributes = self.attributes()
        body = self.block(scope, inputs)
        self.take(";")
        return Function(inputs, body.operations, body.outputs, body.constants, name, opset), attributes

    def block(self, scope: Scope, inputs: tuple[Value, ...]) -> Body:
        """`{ statements } -> (outputs)`"""
        operations: list[Operation] = []
        constants: dict[str, Constant] = {}
        self.take("{")
        while not self.takes("}"):
            check()
            made = self.statement(scope)
            if isinstance(made, Constant):
                constants[made.name] = made
            else:
                operations.append(made)
        self.take("->")
        results = [self.named(scope, self.take("a name")) for _ in self.several("(", ")")]
        return Body(inputs, tuple(operations), tuple(results), constants)

    def bodies(self, outer: Scope) -> tuple[Body, ...]:
        """Those of a loop or a conditional, which see the names around them."""
        found = []
        while BODY.match(self.text, self.at):
            if self.depth == MAX_DEPTH:
                raise self.error(f"bodies nest more than {MAX_DEPTH} deep")
            _ = self.takes(";") or self.takes(",")
            if self.peek()[0] == "name":
                self.take("a name")
            if self.takes("<"):
                self.take("a name")
                self.take(">")
            scope = ChainMap[str, Argument]({}, outer)
            given = (
                [(self.type(), self.take("a name")) for _ in self.several("(", ")")] if self.peek()[1] == "(" else []
            )
            self.depth += 1
            found.append(self.block(scope, self.define(scope, [(name, kind) for kind, name in given])))
            self.depth -= 1
        return tuple(found)

    def statement(self, scope: Scope) -> Constant | Operation:
        """`TYPE name, ... = operation(inputs)[attributes];`, or without outputs, as write_state."""
        outputs: list[tuple[str, ValueType]] = []
        if self.begins_type(self.peek()[1]):
            while not outputs or self.take(",", "=") == ",":
                kind = self.type()
                outputs.append((self.take("a name"), kind))
        operation = self.take("a name")
        self.path.append(f"{operation!r}" + (f" {outputs[0][0]!r}" if outputs else ""))
        inputs: dict[str, tuple[Argument, ...]] = {}
        for _ in self.several("(", ")"):
            name = self.take("a name")
            self.take("=")
            inputs[name] = self.arguments(name, scope)
        attributes = self.attributes()
        bodies = self.bodies(scope) if operation in CONTROL_FLOW else ()
        wrong = what_is_wrong(operation, inputs, [kind for _, kind in outputs], bodies)
        if wrong or (not bodies and self.peek()[1] != ";"):
            raise self.error(wrong or f"{operation!r} has a body inside, where none is expected", PACKAGE_INSTEAD)
        if not bodies or self.peek()[1] == ";":
            self.take(";")
        if operation == "const":
            made = attributes.get("val")
            if len(outputs) != 1 or made is None:
                raise self.error("a constant has one output and an attribute 'val'")
            constant = Constant(outputs[0][0], made.type, made.extent, made.immediate)
            self.put(scope, constant)
            self.path.pop()
            return constant
        found = dict(sorted(attributes.items()))
        result = Operation(operation, dict(sorted(inputs.items())), self.define(scope, outputs), found, bodies)
        self.path.pop()
        return result

    def arguments(self, name: str, scope: Mapping[str, Argument]) -> tuple[Argument, ...]:
        if self.peek()[1] == "(":
            return tuple(self.argument(name, scope) for _ in self.several("(", ")"))
        return (self.argument(name, scope),)

    def argument(self, name: str, scope: Mapping[str, Argument]) -> Argument:
        kind, token = self.peek()
        if kind == "name" and (token in scope or not self.begins_type(token)):
            return self.named(scope, self.take("a name"))
        return self.value(name)

    # Types

    @staticmethod
    def begins_type(token: str) -> bool:
        return token in SCALARS or token in ("tensor", "state", "list", "tuple", "dict")

    def type(self, nesting: int = 0) -> ValueType:
        if nesting > MAX_NESTING:
            raise self.error(f"types nest more than {MAX_NESTING} deep")
        written = WRITTEN_TENSOR.match(self.text, self.at)
        if written and written[1] in self._types:
            self.at = written.end()
            return self._types[written[1]]
        name = self.take("a name")
        if name in SCALARS:
            return TensorType(name, ())
        if name == "tensor":
            kind = self.tensor_type()
            if written and self.at == written.end():
                self._types[written[1]] = kind
            return kind
        if name == "state":
            self.take("<")
            wrapped = self.type(nesting + 1)
            self.take(">")
            if not isinstance(wrapped, TensorType):
                raise self.error("a state that is not a tensor")
            return StateType(wrapped)
        if name not in ("list", "tuple", "dict"):
            raise self.error(f"type {name!r} is not known")
        for _ in self.several("<", ">"):
            if self.peek()[0] == "name":
                self.type(nesting + 1)
            else:
                self.take("a number", "?")
        return OtherType({"dict": "dictionary"}.get(name, name))

    def tensor_type(self) -> TensorType:
        self.take("<")
        dtype = self.take("a name")
        if dtype not in SCALARS:
            raise self.error(f"data type {dtype!r} is not known")
        self.take(",")
        if self.takes("?"):
            self.take(">")
            return TensorType(dtype, None)
        sizes: list[int | None] = []
        for _ in self.several("[", "]"):
            sizes.append(None if self.takes("?") else self.size())
        self.take(">")
        return self.tensor(dtype, sizes)

    def size(self) -> int:
        token = self.take("a number")
        if not token.isdecimal() or len(token) > 18:
            raise self.error(f"{token!r} is not a size")
        return int(token)

    # Values

    def attributes(self) -> dict[str, Constant]:
        """`[name = value, ...]`, if there is one."""
        found: dict[str, Constant] = {}
        if self.peek()[1] == "[":
            for _ in self.several("[", "]"):
                name = self.take("a name")
                self.take("=")
                found[name] = self.value(name)
        return found

    def value(self, name: str) -> Constant:
        """`TYPE(literal)`; what is no tensor has plain data as its value."""
        kind = self.type()
        self.take("(")
        if not isinstance(kind, TensorType):
            data = self.literal()
            self.take(")")
            return Constant(name, kind, None, tuple(data) if isinstance(data, list) else (data,))
        if self.peek()[1] == "BLOBFILE":
            extent = self.extent(*self.blob(), kind)
            self.take(")")
            return Constant(name, kind, extent)
        values = self.numbers() if kind.dtype != "string" else self.strings()
        self.take(")")
        if kind.num_elements is None or len(values) != kind.num_elements:
            raise self.error(f"constant {name!r} is {kind}, but has {len(values)} values")
        try:
            return Constant(name, kind, None, _converted(values, kind.dtype))
        except (ValueError, OverflowError):
            raise self.error(f"constant {name!r} is {kind}, but has other values") from None

    def blob(self) -> tuple[str, int]:
        """`BLOBFILE(path = ..., offset = ...)`"""
        self.take("BLOBFILE")
        found = {}
        for _ in self.several("(", ")"):
            key = self.take("path", "offset")
            self.take("=")
            self.type()
            self.take("(")
            found[key] = self.string() if key == "path" else self.take("a number")
            self.take(")")
        if found.keys() != {"path", "offset"} or not found["offset"].isdecimal() or len(found["offset"]) > 19:
            raise self.error("a BLOBFILE has a path and an offset")
        return found["path"], int(found["offset"])

    def numbers(self) -> list[str]:
        """All up to the closing bracket, however they are nested: fast, since there may be millions."""
        end = self.text.find(")", self.at)
        if end < 0:
            raise self.error("a value does not end")
        start, self.at = self.at, end
        written = self.text[start:end].replace("[", " ").replace("]", " ")
        return [token.strip() for token in written.split(",")] if written.strip() else []

    def strings(self) -> list[str]:
        if self.peek()[1] != "[":
            return [self.string()]
        return [self.string() for _ in self.several("[", "]")]

    def literal(self, nesting: int = 0) -> Any:
        """Plain data: lists, tuples and dictionaries (as lists of pairs) of strings and numbers."""
        if nesting > MAX_NESTING:
            raise self.error(f"values nest more than {MAX_NESTING} deep")
        kind, token = self.peek()
        if kind == "string":
            return self.string()
        if token in ("(", "[", "{"):
            closing = {"(": ")", "[": "]", "{": "}"}[token]
            return [self.literal(nesting + 1) for _ in self.several(token, closing)]
        if kind == "name" and self.begins_type(token):
            return list(self.value("").immediate)
        token = self.take("a number", "true", "false")
        return int(token) if re.fullmatch(r"[-+]?[0-9]{1,18}", token) else token


def _converted(values: list[str], dtype: str) -> tuple[Any, ...]:
    """Raises ValueError for what is no value of this type."""
    if dtype == "string":
        return tuple(values)
    if dtype == "bool":
        return tuple({"true": True, "false": False}[v] if v in ("true", "false") else bool(int(v)) for v in values)
    if "int" in dtype:
        return tuple(int(v, 0) for v in values)
    return tuple(float.fromhex(v) if "x" in v or "X" in v else float(v) for v in values)


def _input_shapes(written: Constant | None) -> dict[str, InputShapes]:
    """What a function's attribute FlexibleShapeInformation says: pairs of a name and what belongs to it."""
    stated: list[Any] = list(written.immediate) if written else []
    pairs: dict[str, Any] = {pair[0]: pair[1] for pair in stated if _is_pair(pair)}
    defaults = _by_input(pairs.get("DefaultShapes"))
    ranges = _by_input(pairs.get("RangeDims"))
    listed: dict[str, list[tuple[int, ...]]] = {}
    choices = pairs.get("EnumeratedShapes")
    for choice in choices if isinstance(choices, list) else ():
        own = choice[1] if _is_pair(choice) else None
        for name, shape in _by_input(own).items():
            if _are_sizes(shape) and tuple(shape) not in listed.setdefault(name, []):
                listed[name].append(tuple(shape))
    found = {}
    for name in {**defaults, **ranges, **listed}:
        default = defaults.get(name)
        limits = [limit for limit in ranges.get(name, ()) if _are_sizes(limit) and len(limit) == 2]
        found[name] = InputShapes(
            tuple(default) if default and _are_sizes(default) else None,
            tuple(listed.get(name, ())),
            tuple((low, None if high < 0 else high) for low, high in limits),
        )
    return found


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _by_input(value: Any) -> dict[str, list[Any]]:
    pairs = value if isinstance(value, list) else []
    return {pair[0]: pair[1] for pair in pairs if _is_pair(pair) and isinstance(pair[1], list)}


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(size, int) for size in value)
