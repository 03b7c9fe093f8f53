"""Files that programs write: traces, captures, the state of a search, the journal of a sweep."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worlds.paths import ROOT

from hostile.inputs import NOT_FILES, NOT_JSON, ODD, Content, Input, altered, broken, dumped, link, places, replaced

SPAN = {"lane": "gpu", "action": "run", "component": "denoiser", "step": 0, "block": "a", "variant": "plain",
        "start_s": 0.0, "end_s": 1.0, "bytes": 5, "cold": False}  # fmt: skip
SAMPLE = {"time_s": 0.0, "baseline": 1, "resident": 0, "loading": 0, "working": 0, "residual": 0}
COMPONENT = {"total_s": 1.0, "run_s": 1.0, "load_s": 0.5, "stall_s": 0.0, "loaded_bytes": 5, "num_visits": 1,
             "num_loads": 1, "peak_bytes": 6}  # fmt: skip
ADVICE = {"title": "Nothing.", "keys": ["memory: {budget: 1}"], "command": None, "total_s": 2.0, "saved_s": 0.0,
          "peak_bytes": 6, "kill_share": 0.0, "reason": None, "quality": None}  # fmt: skip
PEAK = {"time_s": 1.0, "component": "denoiser", "step": 0, "block": "a",
        "parts": [{"holder": "baseline", "component": None, "blocks": [], "bytes": 6}]}  # fmt: skip
RESULT: dict[str, Any] = {
    "verdict": "fits", "total_s": 2.0, "unlimited_s": 2.0, "interval_s": [1.5, 2.5],
    "components": {"denoiser": COMPONENT}, "peak_bytes": 6, "needed_bytes": 6, "limit_bytes": 1000,
    "limit_source": "made up", "budget_bytes": None,
    "kill_share": 0.0, "killed_at_s": None, "killed_by": None, "busy_share": {"gpu": 0.9, "load": 0.1},
    "bounded_by": "runs", "advice": [ADVICE], "marks": {"estimated": 1.0},
    "bounds": {"run_s": 1.0, "load_s": 0.5, "lower_s": 1.0, "sequential_s": 2.0}, "num_evaluations": 1,
    "evaluations": {"1": 1.0},
    "what_ifs": [{"title": "a", "detail": "b", "verdict": "fits", "total_s": 1.0, "peak_bytes": 1, "limit_bytes": 2}],
    "blocks": [{"component": "denoiser", "block": "a", "variant": "plain", "compute_units": "cpu_and_gpu",
                "stored_bytes": 1, "resident_bytes": 2, "working_bytes": 3, "load_cold_s": 1.0, "load_warm_s": 0.5,
                "run_s": 0.1, "num_loads": 1, "num_runs": 1, "load_marks": {"estimated": 1.0},
                "run_marks": {"estimated": 1.0}}],
    "notes": ["A note."], "peak": PEAK,
    "residents": [{"component": "denoiser", "num_blocks": 1, "num_passes": 1, "always": ["a"], "always_bytes": 5,
                   "sometimes": [], "sometimes_bytes": 0}],
}  # fmt: skip
TRACE: dict[str, Any] = {
    "kind": "measured", "plan": "x", "device": "y", "model": "z",
    "spans": [SPAN | {"action": "load", "lane": "load", "end_s": 0.5}, SPAN | {"start_s": 0.5}],
    "memory": [SAMPLE, SAMPLE | {"time_s": 1.0, "resident": 5}], "limit_bytes": 1000, "conditions": {"os": "none"},
    "format": "ondevice-sora-trace-1", "result": RESULT,
    "kill": {"time_s": 1.0, "action": "run", "component": "denoiser", "step": 0, "block": "a", "footprint_bytes": 7,
             "limit_bytes": 6},
}  # fmt: skip
(CAPTURE_TEXT,) = re.findall(
    r"^```json capture\n(.*?)^```", (ROOT / "docs" / "profile.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
CAPTURE = json.loads(CAPTURE_TEXT)


def _raw(data: Any, old: str, new: str) -> str:
    """JSON with a piece of text that no encoder would write."""
    text = json.dumps(data)
    assert old in text, old
    return text.replace(old, new, 1)


def traces() -> Iterator[Input]:
    def trace(name: str, text: Content, **more: Any) -> Input:
        return Input(name, "report trace.json -o out.html", {"trace.json": text}, **more)

    for kind, content in (NOT_FILES | NOT_JSON).items():
        yield trace(kind, content)
    for number in ("NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "9" * 5000, "-1", '"1"', "null", "[]", "1e300"):
        for field in ('"end_s": 1.0', '"total_s": 2.0', '"peak_bytes": 6', '"limit_bytes": 1000'):
            if number == "null" and "total_s" in field:
                continue
            key = field.split(":")[0]
            yield trace(f"{key} of {number[:20]}", _raw(TRACE, field, f"{key}: {number}"))
    yield trace("NaN where nothing is read", json.dumps(TRACE)[:-1] + ', "x": NaN}')
    yield trace("400 digits where nothing is read", json.dumps(TRACE)[:-1] + ', "x": ' + "9" * 400 + "}")
    for way in places(TRACE):
        inside: Any = TRACE
        for step in way:
            inside = inside[step]
        if isinstance(inside, str):
            for odd in ("\x1b[31m", "a\n", "\u202e", "\x9b"):
                yield trace(f"{odd!r} in {'.'.join(map(str, way))}", json.dumps(replaced(TRACE, way, odd)))
    for html in ("</script><script>alert(1)</script>", "<!--", "${x}", "{{x}}", "' onload='x"):
        for way in (("plan",), ("spans", 0, "block"), ("result", "notes", 0)):
            yield trace(
                f"{html} in {way[0]}", json.dumps(replaced(TRACE, way, html)), expected="fine", writes=("out.html",)
            )
    for name, data in altered(TRACE, 120, 11):
        yield trace(f"altered: {name}", dumped(data), expected="either", writes=("out.html",))
    for name, content in broken(json.dumps(TRACE), 30, 11):
        yield trace(name, content, expected="either", writes=("out.html",))


def captures() -> Iterator[Input]:
    def capture(name: str, text: Content, **more: Any) -> Input:
        return Input(name, "profile import capture.json -o out.yaml", {"capture.json": text}, **more)

    for kind, content in (NOT_FILES | NOT_JSON).items():
        yield capture(kind, content)
    for odd in ("\x1b[31m", "a\n", "a\nb: 1", "a\r", "\0", "\ufffe", "\x85", "\x9b31m", "\u2028", "\u202e"):
        for field in ("device_model", "os", "os_build"):
            refused = replaced(CAPTURE, ("conditions", field), odd)
            expected = "either" if odd == "\ufffe" else "refused"
            yield capture(f"{odd!r} in {field}", json.dumps(refused), expected=expected, writes=("out.yaml",))
        yield capture(
            f"{odd!r} in the model",
            json.dumps(replaced(CAPTURE, ("model",), odd)),
            expected="either",
            writes=("out.yaml",),
        )
    for name, data in altered(CAPTURE, 60, 12):
        yield capture(f"altered: {name}", dumped(data), expected="either", writes=("out.yaml",))
    yield Input(
        "a profile made of a name with odd characters is read back",
        "profile show ./out.yaml",
        {"capture.json": json.dumps(CAPTURE)},
        expected="fine",
        arrange=_imported,
    )


def _imported(work: Path) -> None:
    """The capture imported from a name that would end a comment."""
    from ondevice_sora.commands.main import main

    before = os.getcwd()
    os.chdir(work)
    try:
        (work / "a\nb\x1b.json").write_text((work / "capture.json").read_text())
        main(["profile", "import", "a\nb\x1b.json", "-o", "out.yaml"])
        (work / "a\nb\x1b.json").unlink()
    finally:
        os.chdir(before)


SEARCH = "plan search --plan plan.yaml --seconds 1 --state state.json"


def states() -> Iterator[Input]:
    def state(name: str, change: Any, **more: Any) -> Input:
        return Input(name, SEARCH, made=("state",), arrange=lambda work: _changed(work / "state.json", change), **more)

    for kind, content in (NOT_FILES | NOT_JSON).items():
        if kind == "a dangling link":
            continue
        yield Input(kind, SEARCH, {"state.json": content}, ("state",))
    yield Input("the output is the state", f"{SEARCH} -o state.json --force", made=("state",))
    yield Input("the output is the state, not there yet", f"{SEARCH} -o state.json", made=("toy",))
    yield Input(
        "the output is a link to the state",
        f"{SEARCH} -o out.yaml --force",
        {"out.yaml": link("state.json")},
        ("state",),
    )
    yield Input("the report is the state", f"{SEARCH} --report ./state.json --force", made=("state",))
    yield Input(
        "a state in no folder", SEARCH.replace("state.json", "nowhere/state.json"), made=("toy",), expected="refused"
    )
    entry: list[tuple[str, Any]] = [
        ("all of it null", lambda data: dict.fromkeys(data)),
        ("entries null", lambda data: _entries(data, lambda entry: None)),
        ("entries of nulls", lambda data: _entries(data, lambda entry: [None, None, None])),
        ("entries empty", lambda data: _entries(data, lambda entry: [])),
        ("scores of other plans", lambda data: _entries(data, lambda e: [[], "shared", e[2]])),
        ("text for a score", lambda data: _scored(data, score="fast")),
        ("a score of -1", lambda data: _scored(data, score=-1)),
        ("a score of 1e300", lambda data: _scored(data, score=1e300)),
        ("a peak of 10^30", lambda data: _scored(data, peak_bytes=10**30)),
        ("no peak", lambda data: _scored(data, peak_bytes=None)),
        ("starts that do not exist", lambda data: _entries(data, lambda e: [[[[0, 999], 1, "none"]], "shared", None])),
        ("a budget of text", lambda data: data | {"scored": {"much": []}}),
        ("a negative budget", lambda data: data | {"scored": {"-5": []}}),
        ("another version", lambda data: data | {"version": 2}),
        ("another search", lambda data: data | {"search": "0" * 64}),
        ("an unknown key", lambda data: data | {"more": 1}),
    ]
    for name, change in entry:
        fine = name == "starts that do not exist"
        yield state(name, change, expected="either" if fine else "refused", writes=("state.json",), kept=())
    yield state("a lie about the best", lambda data: _scored(data, score=1e-3, totals_s=[1e-3]), kept=("state.json",))
    for number in range(40):

        def change(data: Any, number: int = number) -> Any:
            first = copy.deepcopy(data)
            budget = next(iter(first["scored"]))
            first["scored"] = {budget: first["scored"][budget][:2]}
            return list(altered(first, 60, 13))[number][1]

        yield state(f"altered {number}", change, expected="either", writes=("state.json",))


def _changed(path: Path, change: Any) -> None:
    path.write_text(dumped(change(json.loads(path.read_text()))), "utf-8", "surrogatepass")


def _entries(data: Any, change: Any) -> Any:
    return data | {"scored": {budget: [change(e) for e in entries] for budget, entries in data["scored"].items()}}


def _scored(data: Any, **changes: Any) -> Any:
    return _entries(data, lambda e: [e[0], e[1], None if e[2] is None else e[2] | changes])


def journals() -> Iterator[Input]:
    command = "plan sweep grid.yaml -o table.csv --processes 1"
    name = "table.csv.rows.jsonl"

    def journal(title: str, change: Any, **more: Any) -> Input:
        return Input(title, command, made=("sweep",), arrange=lambda work: _lines(work / name, change), **more)

    yield journal("as it was", lambda lines: lines, expected="fine", writes=("table.csv", name))
    for kind, content in NOT_FILES.items():
        yield Input(kind, command, {name: content}, ("sweep",))
    yield Input("a link out of the folder", command, {name: link("../outside/secret.txt")}, ("sweep",))
    for title, line in {
        "null": "null",
        "text": '"x"',
        "a number": "3",
        "an empty list": "[]",
        "a mapping": "{}",
        "three": '["x", {}, 1]',
        "nested without end": "[" * 100_000,
        "nested": "[" * 500 + "]" * 500,
        "NaN": "[NaN, {}]",
        "binary": "\x00\x01",
        "no JSON": "hello",
        "a key of text": '["x", {}]',
        "broken off": '["x',
    }.items():
        yield journal(title, lambda lines, line=line: [line, *lines])
    yield journal("empty", lambda lines: [""], expected="refused")
    for field, value in {
        "total_s": "long",
        "low_s": [1],
        "peak_bytes": 0.5,
        "limit_bytes": "much",
        "verdict": "lovely",
        "model": None,
        "frames": "x",
        "kill_share": {"a": 1},
        "device": 3,
        "reason": 7,
        "width": 1e300,
    }.items():
        yield journal(f"{field} is {value!r}", lambda lines, f=field, v=value: _rows(lines, {f: v}))
    yield journal("a row of nothing", lambda lines: [json.dumps([json.loads(lines[0])[0], {}])])
    yield journal("a row of null", lambda lines: [json.dumps([json.loads(lines[0])[0], None])])
    for formula in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"):
        yield journal(
            f"{formula!r} as a name",
            lambda lines, f=formula: _rows(lines, {"technique": f}),
            expected="fine",
            writes=("table.csv", name),
        )
    for number in range(len(ODD)):
        yield journal(
            f"technique is odd {number}",
            lambda lines, n=number: _rows(lines, {"technique": ODD[n]}),
            expected="either",
            writes=("table.csv", name),
        )


def _lines(path: Path, change: Any) -> None:
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in change(lines)), "utf-8", "surrogatepass")


def _rows(lines: list[str], changes: dict[str, Any]) -> list[str]:
    rows = [json.loads(line) for line in lines]
    return [dumped([key, row | changes]) for key, row in rows]


SURFACES = {"trace": traces, "profile import": captures, "search state": states, "sweep journal": journals}
