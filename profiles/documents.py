"""Read and write the project's YAML and JSON files: every complaint names file, line and mend.

YAML is read with a safe loader that also refuses what a settings file never needs: more than MAX_BYTES, deep nesting,
aliases (a "YAML bomb" is made of them), duplicate keys, and several documents. Each value's line is kept, so that a
schema complaint such as "Expected `int`, got `str` - at `$.sampler.steps`" can name the line it stands on.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from profiles.errors import UserError, nearest

MAX_BYTES = 2_000_000
MAX_DEPTH = 40
T = TypeVar("T")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2's idea of a scalar: `off` and `12:30` are text, `1e9` is a number, dates do not exist."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), list(_first))


class Document:
    """The plain data of one file (or of several, where one `extends` another) and where each value stands."""

    def __init__(self, data: Any, lines: dict[str, tuple[Path, int]], path: Path) -> None:
        self.data = data
        self.lines = lines
        self.path = path

    def where(self, pointer: str = "$") -> str:
        """'plan.yaml:12: sampler.steps' for a pointer such as '$.sampler.steps'; the nearest parent that has a line."""
        label = pointer.removeprefix("$").removeprefix(".")
        while pointer not in self.lines and pointer != "$":
            cut = max(pointer.rfind("."), pointer.rfind("["))
            pointer = pointer[:cut] if cut > 0 else "$"
        path, line = self.lines.get(pointer, (self.path, 0))
        place = f"{path}:{line}" if line else f"{path}"
        return f"{place}: {label}" if label else place

    def error(self, pointer: str, what: str, mend: str | None = None) -> UserError:
        return UserError(what, self.where(pointer), mend)

    def convert(self, kind: type[T]) -> T:
        """The data as `kind`, a msgspec Struct. Raises UserError naming the line and, for a key, the nearest known."""
        try:
            return msgspec.convert(self.data, kind, strict=True, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), kind) from None

    def _explain(self, message: str, kind: type) -> UserError:
        what, _, pointer = message.partition(" - at `")
        pointer = self._name_keys(pointer.rstrip("`") or "$", message, kind)
        unknown = re.match(r"Object contains unknown field `(.*)`", what)
        if unknown:
            known = _fields(kind, pointer)
            mend = nearest(unknown[1], known) if known else None
            return self.error(f"{pointer}.{unknown[1]}", "this key is not known", mend)
        missing = re.match(r"Object missing required field `(.*)`", what)
        if missing:
            return self.error(pointer, f"the key '{missing[1]}' is missing", f"Add '{missing[1]}:'.")
        found = _at(self.data, pointer)
        if what.startswith("Invalid enum value"):
            choices = ", ".join(map(str, _choices(kind, pointer)))
            return self.error(pointer, f"{_shorten(found)} is not one of the choices", f"Choose from: {choices}.")
        if not what.startswith("Expected"):
            return self.error(pointer, what)
        shown = "nothing" if found is None else f"{type(found).__name__} {_shorten(found)}"
        return self.error(pointer, f"{what.partition(', got')[0].replace('`', '').lower()}, found {shown}")

    def _name_keys(self, pointer: str, message: str, kind: type) -> str:
        """msgspec writes [...] for a mapping's key; find which key it was by trying them one at a time."""
        while "[...]" in pointer:
            parent, _, rest = pointer.partition("[...]")
            mapping = _at(self.data, parent)
            for key in mapping:
                try:
                    msgspec.convert(_with(self.data, parent, {key: mapping[key]}), kind, strict=True, dec_hook=_decode)
                except msgspec.ValidationError as error:
                    if str(error) == message:
                        break
            pointer = f"{parent}.{key}{rest}"
        return pointer


def read_text(path: Path) -> str:
    """The text of a settings file. Raises UserError if it is missing, a folder, too large or not UTF-8."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise UserError("this is a folder, not a file", str(path))
        if size > MAX_BYTES:
            raise UserError(f"the file has {size} bytes; at most {MAX_BYTES} are read", str(path))
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError("no such file", str(path), _neighbours(path)) from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text (byte {error.start})", str(path), "Save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", str(path)) from None


def read_yaml(path: str | Path) -> Document:
    """One YAML (or JSON) file as plain data with line numbers. Raises UserError on anything unusable."""
    path = Path(path)
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: Path) -> Document:
    """YAML text as a Document; `path` is the name that complaints use."""
    lines: dict[str, tuple[Path, int]] = {}
    try:
        _refuse_bombs(text, path)
        node = yaml.compose(text, Loader=_Loader)
        data = _build(node, "$", path, lines) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML: {error.problem or error.context}", place) from None
    except yaml.reader.ReaderError as error:
        raise UserError(f"not valid YAML: {error.reason}", str(path)) from None
    if not isinstance(data, dict):
        kind = "empty" if data is None else f"a {type(data).__name__}"
        raise UserError(f"expected keys with values, but the file is {kind}", f"{path}:1")
    return Document(data, lines, path)


def _refuse_bombs(text: str, path: Path) -> None:
    """Walk the events, which expand nothing, and stop at the first alias or at absurd depth."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(
                f"YAML aliases (*{event.anchor}) are not read", f"{path}:{event.start_mark.line + 1}", "Write the value out."
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UserError(f"nested deeper than {MAX_DEPTH} levels", f"{path}:{event.start_mark.line + 1}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _build(node: yaml.Node, pointer: str, path: Path, lines: dict[str, tuple[Path, int]]) -> Any:
    line = node.start_mark.line + 1
    lines[pointer] = (path, line)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise UserError("a key must be a word", f"{path}:{key_line}")
            key = key_node.value
            if key in mapping:
                raise UserError(f"the key '{key}' stands twice", f"{path}:{key_line}", "Keep one of the two.")
            mapping[key] = _build(value_node, f"{pointer}.{key}", path, lines)
            lines[f"{pointer}.{key}"] = (path, key_line)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, f"{pointer}[{index}]", path, lines) for index, item in enumerate(node.value)]
    return _scalar(node, f"{path}:{line}")


def _scalar(node: yaml.Node, where: str) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    text = str(node.value)
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        if len(text) > 40:
            raise UserError(f"{_shorten(text)} is too long for a number", where)
        return int(text.replace("_", ""))
    if kind == "float":
        value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(value):
            raise UserError(f"{text} is not a finite number", where, "Leave the key out where nothing is known.")
        return value
    raise UserError(f"YAML tag {node.tag} is not read", where, "Write plain values.")


def read_extended(path: str | Path, key: str = "extends", seen: tuple[Path, ...] = ()) -> Document:
    """A file merged over the file its `extends` names (relative to it), and so on. Raises UserError on a cycle.

    Mappings merge key by key; anything else in the nearer file replaces what the farther one says.
    """
    path = Path(path)
    document = read_yaml(path)
    base = document.data.pop(key, None)
    if base is None:
        return document
    if not isinstance(base, str):
        raise document.error(f"$.{key}", f"{_shorten(base)} is not a file name", "Name one file to start from.")
    base_path = path.parent / base
    chain = (*seen, path.resolve())
    if base_path.resolve() in chain:
        names = " -> ".join(p.name for p in (*chain, base_path.resolve()))
        raise document.error(f"$.{key}", f"the files extend each other in a circle: {names}", "Remove one 'extends'.")
    if not base_path.is_file():
        raise document.error(f"$.{key}", f"'{base}' does not exist beside this file", _neighbours(base_path))
    parent = read_extended(base_path, key, chain)
    lines = dict(parent.lines)
    data = _merge(parent.data, document.data, "$", lines, document.lines)
    return Document(data, lines, path)


def _merge(base: Any, over: Any, pointer: str, lines: dict[str, Any], over_lines: dict[str, Any]) -> Any:
    lines.update((p, line) for p, line in over_lines.items() if p == pointer)
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = _merge(base.get(key), value, f"{pointer}.{key}", lines, over_lines)
        return merged
    for stale in [p for p in lines if p.startswith((f"{pointer}.", f"{pointer}["))]:
        del lines[stale]
    lines.update((p, line) for p, line in over_lines.items() if p.startswith((f"{pointer}.", f"{pointer}[")))
    return over


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name beside it, then rename. Raises UserError if it cannot."""
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False, encoding="utf-8", newline="\n"
        ) as stream:
            temporary = stream.name
            stream.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", str(path)) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def write_json(path: str | Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_yaml(path: str | Path, data: Any, comment: str = "") -> None:
    heading = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    write_text(path, heading + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _decode(kind: type, value: Any) -> Any:
    """msgspec's hook for types of our own: each has a `parse` that raises ValueError with the way to write it."""
    return kind.parse(value)  # type: ignore[attr-defined]


def _at(data: Any, pointer: str) -> Any:
    for part in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", pointer):
        try:
            data = data[part[0]] if part[0] else data[int(part[1])]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _with(data: Any, pointer: str, value: Any) -> Any:
    """A copy of `data` in which the mapping at `pointer` is `value`; only what lies on the way is copied."""
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", pointer)
    if not steps:
        return value
    name, index = steps[0]
    step = name or int(index)
    rest = pointer[pointer.index(steps[0][0] or "]") + len(steps[0][0] or "]") :]
    changed = dict(data) if isinstance(data, dict) else list(data)
    changed[step] = _with(data[step], rest, value)
    return changed


def _type_at(kind: type, pointer: str) -> list[Any]:
    """The msgspec types that may stand at `pointer` in `kind`, unions opened."""
    from msgspec import inspect

    def opened(info: Any) -> list[Any]:
        return [leaf for option in info.types for leaf in opened(option)] if isinstance(info, inspect.UnionType) else [info]

    found = opened(inspect.type_info(kind))
    for name, _ in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", pointer):
        inner: list[Any] = []
        for info in found:
            if isinstance(info, inspect.StructType):
                inner += [leaf for field in info.fields if field.encode_name == name for leaf in opened(field.type)]
            elif isinstance(info, inspect.DictType):
                inner += opened(info.value_type)
            elif isinstance(info, (inspect.ListType, inspect.VarTupleType)):
                inner += opened(info.item_type)
        found = inner
    return found


def _fields(kind: type, pointer: str) -> list[str]:
    return [field.encode_name for info in _type_at(kind, pointer) for field in getattr(info, "fields", ())]


def _choices(kind: type, pointer: str) -> list[Any]:
    return [value for info in _type_at(kind, pointer) for value in getattr(info, "values", ())]


def _neighbours(path: Path) -> str | None:
    try:
        names = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml", ".json"))
    except OSError:
        return f"There is no folder {path.parent}."
    return nearest(path.name, names) if names else None


def _shorten(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
