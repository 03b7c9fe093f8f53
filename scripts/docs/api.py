"""The Python reference, made from the signatures and docstrings of what `ondevice_sora` exports."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import ondevice_sora


def python_reference() -> str:
    """The reference in Markdown: functions first, then the types that they give."""
    named = [(name, getattr(ondevice_sora, name)) for name in ondevice_sora.__all__]
    functions = [(name, value) for name, value in named if inspect.isfunction(value)]
    types = [(name, value) for name, value in named if inspect.isclass(value)]
    lines = [line for name, value in functions for line in _function(name, value, "###")]
    return "\n".join([*lines, *(line for name, value in types for line in _type(name, value))])


def _function(name: str, function: object, level: str) -> Iterator[str]:
    yield from (f"{level} {name}", "", "```python", signature(name, function), "```", "")
    yield from described(function)


def _type(name: str, value: type) -> Iterator[str]:
    yield from (f"### {name}", "")
    yield from described(value)
    for attribute, member in vars(value).items():
        if attribute.startswith("_"):
            continue
        if isinstance(member, property):
            about = inspect.getdoc(member) or ""
            returns = inspect.signature(member.fget).return_annotation if member.fget else ""
            yield from (f"**`{attribute}`** : `{returns}`" + (f"  \n{about}" if about else ""), "")
        elif inspect.isfunction(member):
            yield from ("```python", signature(attribute, member), "```", "")
            yield from described(member)


def signature(name: str, function: object) -> str:
    """The call, without `self`; each argument on a line of its own where one line is too short."""
    whole = inspect.signature(function)  # type: ignore[arg-type]
    arguments = [_argument(each) for key, each in whole.parameters.items() if key != "self"]
    keyword = [key for key, each in whole.parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if keyword:
        arguments.insert([key for key in whole.parameters if key != "self"].index(keyword[0]), "*")
    returns = "" if whole.return_annotation is inspect.Signature.empty else f" -> {whole.return_annotation}"
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= 80:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returns}"])


def _argument(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}".replace("'", '"')
    return f"{parameter.name}: {parameter.annotation}{default}"


def described(value: object) -> Iterator[str]:
    """The docstring: paragraphs as they are, `name   what it is` on lines of their own as a table."""
    for paragraph in re.split(r"\n\n+", inspect.getdoc(value) or ""):
        rows = re.findall(r"^(\w+) {2,}(.*(?:\n {4,}.*)*)", paragraph, re.MULTILINE)
        if rows and paragraph.startswith(rows[0][0]):
            yield from ("| | |", "|---|---|")
            yield from (f"| `{name}` | {' '.join(about.split())} |" for name, about in rows)
        else:
            yield paragraph
        yield ""
