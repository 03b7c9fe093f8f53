"""Read the YAML files that people write: every complaint names file and line.

YAML is read with a safe loader that also refuses what a settings file never needs: more than MAX_BYTES, deep nesting,
aliases (a "YAML bomb" is made of them), duplicate keys, and several documents. Each value's line is kept, so that a
schema complaint such as "Expected `int`, got `str` - at `$.sampler.steps`" can name the line it stands on.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.complaints import shorten
from ondevice_sora.base.files.documents import Document, merge
from ondevice_sora.base.files.limits import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, TOO_DEEP
from ondevice_sora.base.files.opening import NO_SUCH_FILE, read_text


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2's idea of a scalar: `off` and `12:30` are text, `1e9` is a number, dates do not exist."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), list(_first))


def read_yaml(path: str | Path) -> Document:
    """One YAML (or JSON) file as plain data with line numbers. Raises UserError on anything unusable."""
    path = Path(path)
    try:
        text = read_text(path, MAX_BYTES)
    except UserError as error:
        if error.what == NO_SUCH_FILE:
            raise UserError(error.what, error.where, _neighbours(path)) from None
        raise
    return parse_yaml(text, path)


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
        if mark and _flow_depth(text[: mark.index]) > MAX_DEPTH:  # libyaml may stop there in words of its own
            raise UserError(TOO_DEEP, place) from None
        if mark and text[mark.index : mark.index + 1] == "\t":
            raise UserError(
                "not valid YAML: a tab, where only blanks may set a line in", place, "Write blanks."
            ) from None
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"not valid YAML: {what}", place) from None
    except yaml.reader.ReaderError as error:
        raise UserError(f"not valid YAML: {error.reason}", str(path)) from None
    if not isinstance(data, dict):
        kind = "empty" if data is None else "a list" if isinstance(data, list) else f"only {shorten(data)}"
        raise UserError(f"expected keys with values, but the file is {kind}", f"{path}:1")
    return Document(data, lines, path, text=text)


def _refuse_bombs(text: str, path: Path) -> None:
    """Walk the events, which expand nothing, and stop at the first alias, tag or absurd depth."""
    depth = 0
    event: Any
    for event in yaml.parse(text, Loader=_Loader):
        where = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"YAML aliases (*{event.anchor}) are not read", where, "Write the value out.")
        if getattr(event, "tag", None) is not None:
            raise UserError(f"YAML tags ({event.tag}) are not read", where, "Write plain values.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UserError(TOO_DEEP, where)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _flow_depth(text: str) -> int:
    """How many brackets stand open at the end of the text."""
    return text.count("[") + text.count("{") - text.count("]") - text.count("}")


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
        if len(text) > MAX_DIGITS:
            raise UserError(f"{shorten(text)} is too long for a number", where)
        return int(text.replace("_", ""))
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise UserError(f"{text} is not a finite number", where, "Leave the key out where nothing is known.")
    return value


def read_extended(path: str | Path, library: Path | None = None) -> Document:
    """A file merged over the file that its `extends` names, and so on.

    A name is a path relative to the file, or the stem of a file in `library`. Mappings merge key by key; anything else
    in the nearer file replaces what the farther one says. Raises UserError on a cycle.
    """
    return extend(read_yaml(path), library)


def extend(document: Document, library: Path | None = None, seen: tuple[Path, ...] = ()) -> Document:
    """`document` merged over what it extends; see read_extended."""
    key, path = "extends", document.path
    base = document.data.pop(key, None)
    if base is None:
        return document
    if not isinstance(base, str):
        raise document.error(f"$.{key}", f"{shorten(base)} is not a file name", "Name one file to start from.")
    base_path = path.parent / base
    chain = (*seen, path.resolve())
    if len(chain) > MAX_DEPTH:
        raise document.error(f"$.{key}", f"more than {MAX_DEPTH} files extend each other")
    try:
        if library is not None and not base_path.is_file() and (library / f"{base}.yaml").is_file():
            base_path = library / f"{base}.yaml"
        target, exists = base_path.resolve(), base_path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL in it, links in a circle
        target, exists = base_path, False
    if target in chain:
        names = " -> ".join(p.name for p in (*chain, target))
        raise document.error(f"$.{key}", f"the files extend each other in a circle: {names}", "Remove one 'extends'.")
    if not exists:
        raise document.error(f"$.{key}", f"no such file: {shorten(base)}", _neighbours(base_path, library))
    parent = extend(read_yaml(base_path), library, chain)
    lines = dict(parent.lines)
    data = merge(parent.data, document.data, "$", lines, document.lines)
    return Document(data, lines, path, text=document.text)


def _neighbours(path: Path, library: Path | None = None) -> str | None:
    """What a file that is not there may be instead: one beside it, or one of the library, by its name."""
    try:
        names = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml", ".json"))
    except (OSError, ValueError):
        return f"There is no folder {shorten(str(path.parent), 200)}."
    if library is not None and not path.suffix:
        names = [*sorted(p.stem for p in library.glob("*.yaml")), *names]
    return nearest(path.name, names) if names else None
