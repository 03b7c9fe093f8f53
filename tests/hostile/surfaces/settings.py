"""Files that people write: plans, models, profiles, cases files, grids."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import yaml
from worlds.toy_files import TOY_MODEL, TOY_PLAN

from hostile.inputs import NOT_FILES, Content, Input, altered, broken, dumped

FIGURE = {"value": 1e9, "mark": "estimated", "source": "made up"}


def _figure(value: float) -> dict[str, object]:
    return {**FIGURE, "value": value}


PROCESSOR = {
    **dict.fromkeys(("matmul_flops_per_s", "attention_flops_per_s", "convolution_flops_per_s"), _figure(1e12)),
    "moved_bytes_per_s": _figure(1e10), "dispatch_s": _figure(0.001), "first_run_s": _figure(0.01),
    "token_merge_s": _figure(0.001), "load_rate": _figure(0.7), "run_rate": _figure(0.7), "charged_share": _figure(1),
}  # fmt: skip
PROFILE = {
    "device": "iphone15pro",
    "costs": {
        "baseline_bytes": _figure(1e8),
        "loads": {
            "load_fixed_s": _figure(0.01), "read_bytes_per_s": _figure(1e9), "prepare_bytes_per_s": _figure(1e9),
            "specialise_fixed_s": _figure(0.1), "specialise_bytes_per_s": _figure(1e9),
            "compressed_held_bytes": _figure(2), "transient_share": _figure(0), "unload_s": _figure(0),
            "residual_share": _figure(0),
        },
        "processors": {"gpu": PROCESSOR},
        "thermal": {"contained": False, "floor": _figure(0.6), "time_constant_s": _figure(300)},
    },
    "measurements": [
        {"model": "toy", "component": "denoiser", "first_unit": "a", "last_unit": "a", "run_s": _figure(0.1),
         "resident_bytes": _figure(4000), "working_bytes": _figure(10)},
    ],
}  # fmt: skip
PLAN = {
    "name": "fuzzed", "model": "model.yaml", "sampler": {"steps": 4, "guidance": 7.0},
    "tdtm": {"steps": [0, 2], "units": ["c"], "packages": "separate"},
    "memory": {"budget": "3 GB", "entitlement": False},
    "components": {"denoiser": {"blocks": ["a..b", {"units": "c", "compute_units": "cpu_and_gpu"}], "prefetch": 2,
                                "keep": ["a"], "precision": "float16"}},
}  # fmt: skip
CASES = {
    "source": "made up", "device": "iphone15pro",
    "cases": [{"name": "first", "plan": "plan.yaml", "figures": [
        {"quantity": "total_s", "published": 100, "place": "Table 1"},
        {"quantity": "denoiser_s", "published": 50, "place": "Table 1", "role": "calibration"}]}],
}  # fmt: skip
GRID = {
    "models": ["plan.yaml"], "devices": ["iphone15pro"], "budgets": [None, "3.0 GB"],
    "techniques": {"as planned": None, "ahead": {"components": {"denoiser": {"prefetch": 2}}}},
}  # fmt: skip
OUTPUTS = "--report out.html --trace out.json --perfetto out.perfetto.json"
WRITTEN = ("out.html", "out.json", "out.perfetto.json")
HUGE = "name: x\nmodel: opensora\ntdtm: {{steps: all, units: [{}]}}\n"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefgh")
)
TERMINAL = {"ESC": "\\e[31m", "a newline": "\\n", "NUL": "\\0", "CSI": "\\x9b", "a bidi override": "\\u202e",
            "a carriage return": "\\r", "U+2028": "\\u2028"}  # fmt: skip
PATHS = ("../outside/secret.txt", "/etc/passwd", "/dev/zero", "/dev/stdin", ".", "", "x" * 5000, "~")


def plans() -> Iterator[Input]:
    def plan(name: str, text: Content, **more: Any) -> Input:
        return Input(name, f"simulate --plan plan.yaml {OUTPUTS}", {"plan.yaml": text}, ("toy",), **more)

    for kind, content in NOT_FILES.items():
        yield plan(kind, content)
    texts: dict[str, Content] = {
        "empty": "",
        "a list": "- a\n",
        "binary": b"\x7fELF\xff",
        "UTF-16": "name: x\n".encode("utf-16"),
        "a bomb": BOMB,
        "nested without end": "name: x\nvideo: " + "[" * 100_000,
        "10 MB": "name: " + "x" * 10_000_000,
        "a tag": "name: !!python/object/apply:os.system [ls]\n",
        "two documents": "name: x\n---\nname: y\n",
        "a number of 100,000 digits": f"name: x\ntext_tokens: {'9' * 100_000}\n",
        "NaN": "name: x\nbudget: .nan\n",
        "100,000 keys": "".join(f"k{i}: 1\n" for i in range(100_000)),
        "100,000 patterns": HUGE.format(", ".join(f"u{i}" for i in range(100_000))),
        "patterns of stars": HUGE.format(", ".join("'" + "*a" * 49 + "'" for _ in range(200))),
        "extends itself": "extends: plan.yaml\n",
        "extends a folder": "extends: ..\n",
        "extends /dev/zero": "extends: /dev/zero\n",
        "a key like part of a message": "name: x\n'x[...]y': 1\n",
    }
    for kind, text in texts.items():
        yield plan(kind, text)
    for what, escape in TERMINAL.items():
        yield plan(f"{what} in its name", f'name: "a{escape}b"\nmodel: model.yaml\n')
        yield plan(f"{what} at the end of its name", f'name: "a{escape}"\nmodel: model.yaml\n')
        yield plan(f"{what} in a pattern", f'{TOY_PLAN}tdtm: {{steps: all, units: ["{escape}"]}}\n')
        yield plan(f"{what} in a key", f'{TOY_PLAN}"{escape}": 1\n')
    for path in PATHS:
        yield plan(f"its model is {path[:20]!r}", f"name: x\nmodel: {json.dumps(path)}\n")
    for name, data in altered(PLAN, 70, 1):
        yield plan(f"altered: {name}", dumped(data), expected="either", writes=WRITTEN)
    for name, content in broken(yaml.safe_dump(PLAN), 30, 1):
        yield plan(name, content, expected="either", writes=WRITTEN)


def models() -> Iterator[Input]:
    def model(name: str, text: Content, **more: Any) -> Input:
        return Input(name, f"simulate --plan plan.yaml {OUTPUTS}", {"model.yaml": text}, ("toy",), **more)

    for kind, content in NOT_FILES.items():
        yield model(kind, content)
    yield model("stored bytes below zero", TOY_MODEL.replace("b, parameters: 1000", "b, parameters: 10, tables: -1000"))
    for field in ("matmul_flops", "attention_flops", "convolution_flops", "moved_elements", "working_elements"):
        yield model(f"1e18 {field}", TOY_MODEL.replace("matmul_flops: 1e9", f"{field}: 1e18"))
    yield model("10^18 parameters", TOY_MODEL.replace("b, parameters: 1000", "b, parameters: 1000000000000000000"))
    yield model("10^18 passes", TOY_MODEL.replace("passes: steps", "passes: 1000000000000000000"))
    for what, escape in TERMINAL.items():
        yield model(f"{what} in its name", TOY_MODEL.replace("name: toy", f'name: "a{escape}"'))
        yield model(f"{what} in its source", TOY_MODEL.replace("source: made up", f'source: "a{escape}"'))
        yield model(f"{what} in a unit's name", TOY_MODEL.replace("name: b,", f'name: "b{escape}",'))
    yield model(
        "HTML in its name",
        TOY_MODEL.replace("name: toy", "name: '<script>alert(1)</script>'"),
        expected="fine",
        writes=WRITTEN,
        shows=("<script>",),
    )
    for name, data in altered(yaml.safe_load(TOY_MODEL.replace("1e9", "1.0e+9").replace("1e3", "1000.0")), 40, 2):
        yield model(f"altered: {name}", dumped(data), expected="either", writes=WRITTEN)
    for name, content in broken(TOY_MODEL, 20, 2):
        yield model(name, content, expected="either", writes=WRITTEN)


def profiles() -> Iterator[Input]:
    shown, simulated = "profile show ./profile.yaml", f"simulate --plan plan.yaml --device profile.yaml {OUTPUTS}"

    def profile(name: str, text: Content, command: str = simulated, **more: Any) -> Input:
        return Input(f"{command.split()[0]}: {name}", command, {"profile.yaml": text}, ("toy",), **more)

    for kind, content in NOT_FILES.items():
        yield profile(kind, content)
    text = dumped(PROFILE)
    for field in ("resident_bytes", "working_bytes", "run_s"):
        data = json.loads(text)
        data["measurements"][0][field]["value"] = 1e18
        yield profile(f"{field} of 1e18", dumped(data))
    for what in ("\x1b[31m", "\n", "\0", "\x9b31m", "\u202e", "\r", "\u2028"):
        data = json.loads(text)
        data["costs"]["baseline_bytes"]["source"] = f"a{what}"
        for command in (shown, simulated):
            yield profile(f"{what!r} in a source", json.dumps(data), command)
        data = json.loads(text) | {"conditions": {"os": f"a{what}"}}
        yield profile(f"{what!r} in a condition", json.dumps(data), shown)
    for name, data in altered(PROFILE, 60, 3):
        yield profile(f"altered: {name}", dumped(data), expected="either", writes=WRITTEN)
    for name, data in altered(PROFILE, 20, 4):
        yield profile(f"altered: {name}", dumped(data), shown, expected="either")


def cases() -> Iterator[Input]:
    def case(name: str, text: Content, **more: Any) -> Input:
        return Input(name, "validate published --cases cases.yaml", {"cases.yaml": text}, ("toy",), **more)

    for kind, content in NOT_FILES.items():
        yield case(kind, content)
    for what, escape in TERMINAL.items():
        for field in ("name: first", "source: made up", "place: Table 1"):
            key, value = field.split(": ")
            start, _, end = yaml.safe_dump(CASES).partition(f"{key}: {value}")
            yield case(f"{what} in {key}", f'{start}{key}: "a{escape}"{end}')
    for name, data in altered(CASES, 40, 5):
        yield case(f"altered: {name}", dumped(data), expected="either")


def grids() -> Iterator[Input]:
    def grid(name: str, text: Content, **more: Any) -> Input:
        return Input(name, "plan sweep grid.yaml -o table.csv --processes 1", {"grid.yaml": text}, ("toy",), **more)

    for kind, content in NOT_FILES.items():
        yield grid(kind, content)
    for name in ("components.__class__", "components.__init__", "lpl.__dict__", "sampler.__class__"):
        outer, inner = name.split(".")
        technique = {"odd": {outer: {inner: {"prefetch": 2}}}}
        yield grid(f"{name} as an override", dumped(GRID | {"techniques": technique}))
    yield grid("an unknown component", dumped(GRID | {"techniques": {"odd": {"components": {"denoizer": {}}}}}))
    for what, escape in TERMINAL.items():
        yield grid(f"{what} in a technique", f'models: [plan.yaml]\ntechniques: {{"a{escape}": }}\n')
        yield grid(f"{what} in a model", f'models: ["a{escape}"]\n')
    yield grid("100,001 combinations", dumped(GRID | {"budgets": list(range(1, 100_002))}))
    broken_grids = [each for each in altered(GRID, 60, 6) if "[" not in each[0]]
    for name, data in broken_grids[:30]:
        yield grid(f"altered: {name}", dumped(data), expected="either", writes=("table.csv",), is_quick=False)


SURFACES = {"plan": plans, "model": models, "profile": profiles, "cases": cases, "grid": grids}
