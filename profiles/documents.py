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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import yaml

from ondevice_sora.profiles.errors import UserError, nearest

MAX_BYTES = 2_000_000
MAX_DEPTH = 40
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
T = TypeVar("T")


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
        label = label if len(label) <= 200 else f"{label[:199]}…"
        return f"{place}: {label}" if label else place

    def file_of(self, pointer: str) -> Path:
        """The file in which a value stands: this one, or one that it extends."""
        return self.lines.get(pointer, (self.path, 0))[0]

    def error(self, pointer: str, what: str, mend: str | None = None) -> UserError:
        return UserError(what, self.where(pointer), mend)

    def convert(self, kind: type[T]) -> T:
        """The data as `kind`, a msgspec Struct. Raises UserError naming the line and, for a key, the nearest known."""
        try:
            return msgspec.convert(self.data, kind, strict=True, str_keys=True, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), kind) from None

    def _explain(self, message: str, kind: type) -> UserError:
        what, _, place = message.partition(" - at `")
        of_key = place.startswith("key` in `")  # the complaint is about a mapping's key, not about its value
        pointer = place.removeprefix("key` in `").removesuffix("`") or "$"
        pointer = self._name_keys(pointer + "[...]" * of_key, message, kind)
        unknown = re.match(r"Object contains unknown field `(.*)`", what)
        if unknown:
            known = _fields(kind, _steps(self.data, pointer))
            mend = nearest(unknown[1], known) if known else None
            return self.error(f"{pointer}.{unknown[1]}", "this key is not known", mend)
        missing = re.match(r"Object missing required field `(.*)`", what)
        if missing:
            return self.error(pointer, f"the key '{missing[1]}' is missing", f"Add '{missing[1]}:'.")
        found = _steps(self.data, pointer)[-1] if of_key else _at(self.data, pointer)
        if what.startswith("Invalid enum value"):
            choices = ", ".join(map(str, _choices(kind, _steps(self.data, pointer), of_key)))
            return self.error(pointer, f"{_shorten(found)} is not one of the choices", f"Choose from: {choices}.")
        if not what.startswith("Expected"):
            return self.error(pointer, what)
        expected = what.partition(", got")[0].replace("`", "").replace("Expected", "expected", 1)
        shown = "nothing" if found is None else f"{type(found).__name__} {_shorten(found)}"
        return self.error(pointer, f"{'as a key, ' if of_key else ''}{expected}, found {shown}")

    def _name_keys(self, pointer: str, message: str, kind: type) -> str:
        """msgspec writes [...] for a mapping's key; find which key it was by trying them one at a time."""
        named = ""
        while "[...]" in pointer:
            parent, _, pointer = pointer.partition("[...]")
            named += parent
            steps, mapping = _steps(self.data, named), _at(self.data, named)
            for key in mapping:
                try:
                    one_key = _with(self.data, steps, {key: mapping[key]})
                    msgspec.convert(one_key, kind, strict=True, str_keys=True, dec_hook=_decode)
                except msgspec.ValidationError as error:
                    if str(error) == message:
                        break
            named += f".{key}"
        return named + pointer


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a settings file. Raises UserError if it is missing, a folder, too large or not UTF-8."""
    try:
        if path.is_dir():
            raise UserError("this is a folder, not a file", str(path))
        with path.open("rb") as stream:  # not by st_size, which is 0 for a pipe and for /dev/zero
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise UserError(f"the file is too large; at most {max_bytes} bytes are read", str(path))
        return content.decode("utf-8")
    except FileNotFoundError:
        raise UserError("no such file", str(path), _neighbours(path)) from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text (byte {error.start})", str(path), "Save it as UTF-8.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = getattr(error, "strerror", None) or error
        raise UserError(f"cannot be read: {what}", str(path)) from None


def read_yaml(path: str | Path) -> Document:
    """One YAML (or JSON) file as plain data with line numbers. Raises UserError on anything unusable."""
    path = Path(path)
    return parse_yaml(read_text(path), path)


def read_json(path: str | Path, max_bytes: int = MAX_BYTES) -> Document:
    """One JSON file as plain data without line numbers, for what programs write. Raises UserError."""
    path = Path(path)
    text = read_text(path, max_bytes)

    def refuse(name: str) -> None:
        raise UserError(f"{name} is not a number", str(path), "Leave the key out where nothing is known.")

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            key = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
            raise UserError(f"the key {_shorten(key)} stands twice", str(path), "Keep one of the two.")
        return found

    try:
        data = json.loads(text, parse_constant=refuse, object_pairs_hook=mapping)
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON: {error.msg}", f"{path}:{error.lineno}") from None
    except UnicodeEncodeError:
        raise UserError("not valid JSON: half a character, \\ud800 to \\udfff alone", str(path)) from None
    except RecursionError:
        raise UserError("not valid JSON: nested too deeply", str(path)) from None
    except ValueError:
        raise UserError("not valid JSON: a number is too long", str(path)) from None
    if not isinstance(data, dict):
        raise UserError("expected keys with values", str(path))
    return Document(data, {}, path)


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
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"not valid YAML: {what}", place) from None
    except yaml.reader.ReaderError as error:
        raise UserError(f"not valid YAML: {error.reason}", str(path)) from None
    if not isinstance(data, dict):
        kind = "empty" if data is None else "a list" if isinstance(data, list) else f"only {_shorten(data)}"
        raise UserError(f"expected keys with values, but the file is {kind}", f"{path}:1")
    return Document(data, lines, path)


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
        if len(text) > 40:
            raise UserError(f"{_shorten(text)} is too long for a number", where)
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
        raise document.error(f"$.{key}", f"{_shorten(base)} is not a file name", "Name one file to start from.")
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
        raise document.error(f"$.{key}", f"no such file: {_shorten(base)}", _neighbours(base_path))
    parent = extend(read_yaml(base_path), library, chain)
    lines = dict(parent.lines)
    data = _merge(parent.data, document.data, "$", lines, document.lines)
    return Document(data, lines, path)


def overlaid(document: Document, over: Document, pointers: dict[str, str]) -> Document:
    """`document` with parts of another laid over it: `pointers` says from where in `over` to which top-level key.

    Mappings are merged key by key, as `extends` does it; complaints name the lines of the file that a value came from.
    """
    data, lines = document.data, dict(document.lines)
    for source, key in pointers.items():
        moved = {
            f"$.{key}{pointer.removeprefix(source)}": line
            for pointer, line in over.lines.items()
            if pointer == source or pointer.startswith((f"{source}.", f"{source}["))
        }
        data = _merge(data, {key: _at(over.data, source)}, "$", lines, moved)
    return Document(data, lines, document.path)


def _merge(base: Any, over: Any, pointer: str, lines: dict[str, Any], over_lines: dict[str, Any]) -> Any:
    if pointer in over_lines:
        lines[pointer] = over_lines[pointer]
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = _merge(base.get(key), value, f"{pointer}.{key}", lines, over_lines)
        return merged
    for stale in _below(base, pointer):
        lines.pop(stale, None)
    lines.update((fresh, over_lines[fresh]) for fresh in _below(over, pointer))
    return over


def _below(data: Any, pointer: str) -> Iterator[str]:
    """The pointers of everything inside `data`, which itself stands at `pointer`."""
    inside: list[tuple[str, Any]] = []
    if isinstance(data, dict):
        inside = [(f"{pointer}.{key}", value) for key, value in data.items()]
    elif isinstance(data, list):
        inside = [(f"{pointer}[{index}]", value) for index, value in enumerate(data)]
    for child, value in inside:
        yield child
        yield from _below(value, child)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name beside it, then rename. Raises UserError if it cannot."""
    path = Path(path)
    temporary = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # a pipe, /dev/stdout or /dev/null: write into it, never put a file in its place
            path.write_text(text, encoding="utf-8")
            return
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


@contextmanager
def written_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Temporary names beside `paths`, with their suffixes, to write to; renamed if the block ends well, else removed.

    So an interruption leaves the old files or none, never half of one. Raises UserError if one cannot be written.
    """
    temporary = [path.with_name(f".{path.stem}.part{path.suffix}") for path in paths]
    try:
        yield temporary
        for written, path in zip(temporary, paths, strict=True):
            os.replace(written, path)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror or error}", str(paths[0])) from None
    finally:
        for written in temporary:
            written.unlink(missing_ok=True)


def write_json(path: str | Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


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


def _steps(data: Any, pointer: str) -> list[str | int]:
    """The keys and indices of '$.a.b[0]'. Follows the data, because a key may itself contain a dot or a bracket."""
    steps: list[str | int] = []
    rest = pointer.removeprefix("$")
    while rest:
        if index := re.match(r"\[(\d+)\]", rest):
            step: str | int = int(index[1])
            rest = rest[index.end() :]
        else:
            known = data if isinstance(data, dict) else ()
            fits = [key for key in known if rest.startswith(key, 1) and rest[1 + len(key) :][:1] in ("", ".", "[")]
            step = max(fits, key=len) if fits else re.split(r"[.\[]", rest[1:], maxsplit=1)[0]
            rest = rest[1 + len(step) :]
        steps.append(step)
        data = _child(data, step)
    return steps


def _child(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (KeyError, IndexError, TypeError):
        return None


def _at(data: Any, pointer: str) -> Any:
    for step in _steps(data, pointer):
        data = _child(data, step)
    return data


def _with(data: Any, steps: list[str | int], value: Any) -> Any:
    """A copy of `data` in which the mapping at `steps` is `value`; only what lies on the way is copied."""
    if not steps:
        return value
    changed: Any = dict(data) if isinstance(data, dict) else list(data)
    changed[steps[0]] = _with(data[steps[0]], steps[1:], value)
    return changed


def _type_at(kind: type, steps: list[str | int]) -> list[Any]:
    """The msgspec types that may stand at `steps` in `kind`, unions opened."""
    from msgspec import inspect

    def opened(info: Any) -> list[Any]:
        if isinstance(info, inspect.UnionType):
            return [leaf for option in info.types for leaf in opened(option)]
        return [info]

    found = opened(inspect.type_info(kind))
    for name in steps:
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


def _fields(kind: type, steps: list[str | int]) -> list[str]:
    return [field.encode_name for info in _type_at(kind, steps) for field in getattr(info, "fields", ())]


def _choices(kind: type, steps: list[str | int], of_key: bool) -> list[Any]:
    """The values that may stand at `steps`, or, of a key, the keys."""
    found = _type_at(kind, steps[:-1] if of_key else steps)
    if of_key:
        found = [info.key_type for info in found if hasattr(info, "key_type")]
    return [value for info in found for value in getattr(info, "values", ())]


def _neighbours(path: Path) -> str | None:
    try:
        names = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml", ".json"))
    except (OSError, ValueError):
        return f"There is no folder {_shorten(str(path.parent), 200)}."
    return nearest(path.name, names) if names else None


def _shorten(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
