"""Whatever is wrong with the input: one message with file, line and mend, exit status 2, and nothing written."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.toy_files import TOY_MODEL as MODEL
from worlds.toy_files import TOY_PLAN as TOY

from ondevice_sora.commands.main import main

FIGURE = "{value: %s, mark: estimated, source: made up}"
PROFILE = f"""\
device: iphone15pro
costs:
  baseline_bytes: {FIGURE % "100 MB".replace(" MB", "000000")}
  loads:
    load_fixed_s: {FIGURE % 0.01}
    read_bytes_per_s: {FIGURE % 1e9}
    prepare_bytes_per_s: {FIGURE % 1e9}
    specialise_fixed_s: {FIGURE % 0.1}
    specialise_bytes_per_s: {FIGURE % 1e9}
    compressed_held_bytes: {FIGURE % 2}
    transient_share: {FIGURE % 0}
    unload_s: {FIGURE % 0}
    residual_share: {FIGURE % 0}
  processors:
    gpu:
      matmul_flops_per_s: {FIGURE % 1e12}
      attention_flops_per_s: {FIGURE % 1e12}
      convolution_flops_per_s: {FIGURE % 1e12}
      moved_bytes_per_s: {FIGURE % 1e10}
      dispatch_s: {FIGURE % 0.001}
      first_run_s: {FIGURE % 0.01}
      token_merge_s: {FIGURE % 0.001}
      load_rate: {FIGURE % 0.7}
      run_rate: {FIGURE % 0.7}
      charged_share: {FIGURE % 1}
  thermal:
    contained: false
    floor: {FIGURE % 0.6}
    time_constant_s: {FIGURE % 300}
"""
FIT = """\
fit:
  command: none
  noise: 0.02
  cells:
    - {case: x, quantity: total_s, place: y, published: 1, simulated: 1}
  parameters:
    - {name: loads.unload_s, prior: 1, prior_spread: 1, fitted: 1, fitted_spread: 1, learned: 0}
    - {name: loads.load_fixed_s, prior: 1, prior_spread: 1, fitted: 1, fitted_spread: 1, learned: 0}
  correlation:
    - []
    - [0.5]
"""
CASES = """\
source: made up
device: iphone15pro
cases:
  - name: first
    plan: plan.yaml
    figures:
      - {quantity: total_s, published: 100, place: Table 1}
      - {quantity: denoiser_s, published: 50, place: Table 1, role: calibration}
      - {quantity: first_step_s, published: 10, place: Table 1, role: context}
"""
READY = "Known: app-192"
DEVICES = "Known: ipadprom1, ipadprom2, ipadprom4, iphone12, iphone12pro, iphone13"
OUTPUTS = "--report out.html --trace out.json --perfetto out.perfetto.json"
Content = str | bytes | Callable[[], "str | bytes"]


class Mistake(NamedTuple):
    """A command, the files it finds, and what it must say: how the message begins, and what else is in it."""

    name: str
    files: dict[str, Content]
    arguments: list[str]
    start: str
    parts: tuple[str, ...]


MISTAKES: list[Mistake] = []


def command(name: str, arguments: str, start: str, *parts: str, **files: Content) -> None:
    """A command line that is wrong by itself; `files` are given without the suffix .yaml."""
    named = {f"{stem}.yaml": content for stem, content in files.items()}
    MISTAKES.append(Mistake(name, named, arguments.split(), start, parts))


def plan(name: str, text: Content, start: str, *parts: str, **files: Content) -> None:
    """A plan that is wrong. `start` begins with the line, or with another file's name and line."""
    named = {f"{stem}.yaml": content for stem, content in {"plan": text, "model": MODEL, **files}.items()}
    device = "--device profile.yaml" if "profile" in files else ""
    arguments = f"simulate --plan plan.yaml {device} {OUTPUTS}".split()
    start = start if re.match(r"[a-z0-9]+\.yaml:", start) else f"plan.yaml:{start}"
    MISTAKES.append(Mistake(f"plan: {name}", named, arguments, start, parts))


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def edited(kind: str, text: str, arguments: str) -> Callable[..., None]:
    """A file in which `old` is replaced by `new`; the complaint is of the line on which `new` then begins."""

    def add(name: str, old: str, new: str, what: str, *parts: str, at: str = "") -> None:
        changed = replaced(text, old, new)
        line = line_of(changed, at) if at else text[: text.index(old)].count("\n") + 1
        files: dict[str, Content] = {
            "model.yaml": MODEL, "profile.yaml": PROFILE, "cases.yaml": CASES, "plan.yaml": TOY, f"{kind}.yaml": changed
        }  # fmt: skip
        start = f"{kind}.yaml:{line}: {what}" if what else f"{kind}.yaml:{line}: "
        MISTAKES.append(Mistake(f"{kind}: {name}", files, arguments.split(), start, parts))

    return add


profile = edited("profile", PROFILE + FIT, f"simulate --plan plan.yaml --device profile.yaml --thermal {OUTPUTS}")
model = edited("model", MODEL, f"simulate --plan plan.yaml {OUTPUTS}")
cases = edited("cases", CASES, "validate published --cases cases.yaml --json")
leave_out = edited("cases", CASES, "validate published --leave-out figure --cases cases.yaml")
fit = edited("cases", CASES, "profile fit --cases cases.yaml -o out.yaml")


# fmt: off

# Plans: not YAML at all

BOMB = "a: &a [x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

plan("empty", "", "1: expected keys with values, but the file is empty")
plan("only a comment", "# nothing\n", "1: expected keys with values, but the file is empty")
plan("a list", "- a\n- b\n", "1: expected keys with values, but the file is a list")
plan("a word", "hello\n", "1: expected keys with values, but the file is only 'hello'")
plan("a tab", "name: x\n\tmodel: opensora\n", "2: not valid YAML", "tab")
plan("a bracket left open", "name: x\nmodel: opensora\nvideo: {width: 64\n", "4: not valid YAML")
plan("wrong indentation", "name: x\nsampler:\n  steps: 3\n guidance: 2\n", "4: not valid YAML")
plan("two documents", "name: x\n---\nname: y\n", "2: not valid YAML", "document")
plan("a key twice", "name: x\nmodel: opensora\nname: y\n", "3: the key 'name' stands twice", "Keep one of the two")
plan("a key that is a list", "name: x\n? [a, b]\n: 3\n", "2: a key must be a word")
plan("a merge key", "name: x\nmodel: opensora\n<<: {name: y}\n", "3: <<: this key is not known", "Known: name, model")
plan("a Python tag", "name: x\nmodel: !!python/object/apply:os.system [ls]\n", "2: YAML tags", "Write plain values")
plan("an alias", "name: &n x\nmodel: *n\n", "2: YAML aliases (*n) are not read", "Write the value out")
plan("a bomb of aliases", BOMB, "2: YAML aliases (*a) are not read")
plan("deep nesting", "name: x\nvideo: " + "[" * 100_000 + "]" * 100_000, "2: nested deeper than 40 levels")
plan("a number of 100,000 digits", f"name: x\ntext_tokens: {'9' * 100_000}\n", "2: ", "is too long for a number")
plan("100,000 keys", lambda: "".join(f"k{i}: 1\n" for i in range(100_000)), "1: k0: this key is not known")
plan("a key of a million letters", lambda: f"name: x\n{'k' * 1_000_000}: 1\n", "2: not valid YAML")

for _name, _content, _message in (
    ("10 MB", lambda: "name: " + "x" * 10_000_000, "the file is too large; at most 2000000 bytes"),
    ("binary", b"\x7fELF\x02\x01\xff\xfe\x00\x80", "not UTF-8 text (byte 6)\nSave it as UTF-8."),
    ("UTF-16", "name: x\n".encode("utf-16"), "not UTF-8 text (byte 0)\nSave it as UTF-8."),
    ("a NUL", "name: x\0\n", "not valid YAML: control characters are not allowed"),
):
    MISTAKES.append(Mistake(f"plan: {_name}", {"plan.yaml": _content}, ["simulate", "--plan", "plan.yaml"],
                            f"plan.yaml: {_message}", ()))


# Plans: types and ranges

plan("no name", "model: opensora\n", "1: the key 'name' is missing", "Add 'name:'")
plan("no model", "name: x\n", "1: the key 'model' is missing")
plan("an empty name", "name: ''\nmodel: opensora\n", "1: name: expected text of length >= 1")
plan("an unknown key", "name: x\nmodel: opensora\nvidio: {}\n", "3: vidio: this key is not known",
     "Did you mean 'video'?")
plan("an unknown key inside", TOY + "memory:\n  buget: 3 GB\n", "5: memory.buget: this key is not known",
     "Did you mean 'budget'? Known: budget, entitlement.")
plan("text for a number", "name: x\nmodel: opensora\nsampler: {steps: thirty}\n",
     "3: sampler.steps: expected a whole number, found 'thirty'")
plan("a fraction of a step", "name: x\nmodel: opensora\nsampler:\n  steps: 2.5\n",
     "4: sampler.steps: expected a whole number, found 2.5")
plan("no steps", "name: x\nmodel: opensora\nsampler: {steps: 0}\n",
     "3: sampler.steps: expected a whole number >= 1, found 0")
plan("a million steps", "name: x\nmodel: opensora\nsampler: {steps: 1000000}\n",
     "3: sampler.steps: expected a whole number <= 1000")
plan("steps of 40 digits", f"name: x\nmodel: opensora\nsampler: {{steps: {'9' * 39}}}\n",
     "3: sampler.steps: expected a whole number <= 1000")
plan("a truth for a number", "name: x\nmodel: opensora\nsampler: {steps: true}\n",
     "3: sampler.steps: expected a whole number, found true")
plan("a number for a mapping", "name: x\nmodel: opensora\nsampler: 30\n",
     "3: sampler: expected keys with values, found 30")
plan("NaN", "name: x\nmodel: opensora\nsampler:\n  guidance: .nan\n", "4: .nan is not a finite number")
plan("infinity", "name: x\nmodel: opensora\nsampler: {guidance: .inf}\n", "3: .inf is not a finite number")
plan("1e999", "name: x\nmodel: opensora\nsampler: {guidance: 1e999}\n", "3: 1e999 is not a finite number")
plan("negative guidance", "name: x\nmodel: opensora\nsampler: {guidance: -7}\n",
     "3: sampler.guidance: expected a number >= 0.0")
plan("zero frames", "name: x\nmodel: opensora\nvideo: {width: 64, height: 64, frames: 0}\n",
     "3: video.frames: expected a whole number >= 1")
plan("a video without frames", "name: x\nmodel: opensora\nvideo: {width: 64, height: 64}\n",
     "3: video: the key 'frames' is missing")
plan("a giant video", "name: x\nmodel: opensora\nvideo: {width: 1e9, height: 64, frames: 1}\n",
     "3: video.width: expected a whole number")
plan("an odd side", "name: x\nmodel: opensora\nvideo:\n  width: 256\n  height: 250\n  frames: 4\n",
     "5: video.height: height 250 is not a multiple of 8 pixels", "Use 248 or 256.")
plan("301 text tokens", "name: x\nmodel: opensora\ntext_tokens: 301\n",
     "3: text_tokens: text_tokens 301 is out of range", "from 1 to 300")
plan("a precision that is none", "name: x\nmodel: opensora\ncomponents: {denoiser: {precision: float64}}\n",
     "3: components.denoiser.precision: 'float64' is not one of the choices", "float16, float32", "int8")
plan("compute units that are none", TOY + "components: {denoiser: {compute_units: gpu}}\n",
     "4: components.denoiser.compute_units: 'gpu' is not one of the choices", "cpu_and_gpu")
plan("negative prefetch", TOY + "components: {denoiser: {prefetch: -1}}\n",
     "4: components.denoiser.prefetch: expected a whole number >= 0")
plan("an absurd prefetch", TOY + "components: {denoiser: {prefetch: 100000}}\n",
     "4: components.denoiser.prefetch: expected a whole number <= 64")


# Plans: what they start from and what they name

plan("extends itself", "extends: plan.yaml\n", "1: extends: the files extend each other in a circle",
     "plan.yaml -> plan.yaml")
plan("extends in a circle", "name: x\nextends: other.yaml\n",
     "other.yaml:1: extends: the files extend each other in a circle: plan.yaml -> other.yaml -> plan.yaml",
     "Remove one 'extends'", other="extends: plan.yaml\n")
plan("extends what is missing", "extends: modle.yaml\n", "1: extends: no such file: 'modle.yaml'",
     "Did you mean 'model.yaml'?")
plan("extends a number", "extends: 3\n", "1: extends: 3 is not a file name", "Name one file")
plan("extends a list", "extends: [a, b]\n", "1: extends: ['a', 'b'] is not a file name")
plan("a mistake in what it extends", "extends: base.yaml\n", "base.yaml:3: text_tokens: expected a whole number",
     base="name: x\nmodel: opensora\ntext_tokens: none\n")
plan("steps that what it extends does not allow", "extends: base.yaml\nsampler: {steps: 10}\n",
     "base.yaml:3: lpl.leap_step: leap step 15 lies beyond the 10 steps",
     "Or write 'lpl.leap_step' anew in plan.yaml, which extends that file.",
     base="name: x\nmodel: opensora\nlpl: {mode: fixed, leap_step: 15}\n")
plan("an unknown model in place of the one that is extended", "extends: ours-256\nmodel: opensora2\n",
     "2: model: unknown model 'opensora2'", "Did you mean 'opensora'?")
plan("a chain without end", "extends: p0.yaml\n", "p39.yaml:1: extends: more than 40 files extend each other",
     **{f"p{i}": f"extends: p{i + 1}.yaml\n" for i in range(60)})
plan("an unknown model", "name: x\nmodel: opensorra\n", "2: model: unknown model 'opensorra'",
     "Did you mean 'opensora'?")
plan("a model file that is missing", "name: x\nmodel: toy.yaml\n", "2: model: no such file: toy.yaml")
plan("a model that is a folder", "name: x\nmodel: ..\n", "2: model: unknown model '..'")
plan("a model's name with a NUL", 'name: x\nmodel: "a\\0.yaml"\n',
     "2: model: expected one line without control characters, found 'a\\x00.yaml'")
plan("a model's name of 100,000 letters", f"name: x\nmodel: {'m' * 100_000}.yaml\n",
     "2: model: expected text of length <= 200")
plan("a video for a listed model", TOY + "video: {width: 64, height: 64, frames: 4}\n", "4: video: has no effect",
     "Remove it")
plan("text tokens for a listed model", TOY + "text_tokens: 60\n",
     "4: text_tokens: has no effect: model.yaml lists its units")
plan("an unknown component", "name: x\nmodel: opensora\ncomponents:\n  denoizer: {}\n",
     "4: components.denoizer: Open-Sora v1.2 has no such component", "Did you mean 'denoiser'?")
plan("settings that inherited ones hide", "extends: app-256\ncomponents:\n  decoder: {prefetch: 2}\n",
     "3: components.decoder: has no effect: decoder.temporal and decoder.spatial have settings of their own",
     "Give the settings to them.")


# Plans: LPL and TDTM

plan("leap without a step", TOY + "lpl: {mode: fixed}\n", "4: lpl: mode 'fixed' needs a leap_step",
     "Add `leap_step: 15`")
plan("leap beyond the steps", "name: x\nmodel: opensora\nlpl:\n  mode: fixed\n  leap_step: 30\n",
     "5: lpl.leap_step: leap step 30 lies beyond the 30 steps", "Write a step from 0 to 29.")
plan("leap at minus one", TOY + "lpl: {mode: fixed, leap_step: -1}\n", "4: lpl.leap_step: expected a whole number >= 0")
plan("a leap step without effect", TOY + "lpl:\n  leap_step: 2\n", "5: lpl.leap_step: has no effect with mode 'off'",
     "Remove it")
plan("stop steps without effect", TOY + "lpl:\n  mode: fixed\n  leap_step: 2\n  stop_steps: {2: 1}\n",
     "7: lpl.stop_steps: has no effect with mode 'fixed'")
plan("dynamic without stop steps", TOY + "lpl: {mode: dynamic}\n", "4: lpl: mode 'dynamic' needs stop_steps")
plan("a simulation by a rule alone", "name: x\nmodel: small\n\nlpl: {mode: dynamic, rule: paper}\n",
     "4: lpl: a simulation of dynamic LPL needs stop_steps")
plan("too many tokens for the small model", "name: x\nmodel: small\ntext_tokens: 60\n",
     "3: text_tokens: text_tokens 60 is out of range", "from 1 to 24")
plan("more tokens than the text encoder is given", "name: x\nmodel: opensora\nencoder_tokens: 50\ntext_tokens: 60\n",
     "4: text_tokens: text_tokens 60 is out of range", "from 1 to 50")
plan("encoder tokens for a listed model", TOY + "encoder_tokens: 60\n",
     "4: encoder_tokens: has no effect: model.yaml lists its units")
plan("merging in units that do not", "name: x\nmodel: opensora\ntdtm:\n  steps: all\n  units: [spatial_*, input]\n",
     "5: tdtm.units[1]: no unit that merges tokens has a name like 'input'")
plan("merging in no units", TOY + "tdtm: {steps: all, units: []}\n", "4: tdtm.units: expected a list of length >= 1")
plan("dynamic with no stop step", TOY + "lpl: {mode: dynamic, stop_steps: {}}\n",
     "4: lpl: mode 'dynamic' needs stop_steps")
plan("probabilities of 0.7", TOY + "lpl:\n  mode: dynamic\n  stop_steps: {1: 0.4, 2: 0.3}\n",
     "6: lpl.stop_steps: the probabilities add up to 0.7, not 1")
plan("a probability of 2", TOY + "lpl: {mode: dynamic, stop_steps: {1: 2}}\n",
     "4: lpl.stop_steps.1: expected a number <= 1.0, found 2")
plan("a negative probability", TOY + "lpl: {mode: dynamic, stop_steps: {1: -0.5, 2: 1.5}}\n",
     "4: lpl.stop_steps.1: expected a number >= 0.0")
plan("a stop step beyond the steps", TOY + "lpl: {mode: dynamic, stop_steps: {3: 1}}\n",
     "4: lpl.stop_steps: leap step 3 lies beyond the 3 steps")
plan("a stop step that is a word", TOY + "lpl: {mode: dynamic, stop_steps: {late: 1}}\n",
     "4: lpl.stop_steps.late: as a key, expected a whole number")
plan("a thousand stop steps",
     TOY + f"lpl: {{mode: dynamic, stop_steps: {{{', '.join(f'{i}: 0.001' for i in range(1000))}}}}}\n",
     "4: lpl.stop_steps: expected keys with values of length <= 100")
plan("an unknown mode", TOY + "lpl: {mode: fixxed, leap_step: 2}\n",
     "4: lpl.mode: 'fixxed' is not one of the choices", "dynamic, fixed, off")
plan("LPL for a model that does not flow", TOY + "lpl: {mode: fixed, leap_step: 2}\n",
     "4: lpl: LPL leaps along a rectified flow, which toy is not")
plan("merging beyond the steps", TOY + "tdtm: {steps: [0, 3]}\n", "4: tdtm.steps: step 3 lies beyond the 3 steps",
     "Steps go from 0 to 2")
plan("merging the first 4 of 3 steps", TOY + "tdtm: {steps: {first: 4}}\n",
     "4: tdtm.steps: step 3 lies beyond the 3 steps")
plan("merging a step twice", TOY + "tdtm: {steps: [1, 1]}\n", "4: tdtm.steps: a step is listed twice")
plan("merging on some steps", TOY + "tdtm: {steps: some}\n", "4: tdtm.steps: 'some' is not one of the choices",
     "all, none")
plan("merging where no unit merges", TOY + "tdtm: {steps: all}\n",
     "4: tdtm: has no effect: no unit of toy merges tokens", model=replaced(MODEL, ", tdtm: {token_merges: 1}", ""))


# Plans: blocks, residents, budget

BLOCKS = TOY + "components:\n  denoiser:\n    blocks:\n"
plan("a unit in no block at the start", BLOCKS + "      - b\n      - c\n",
     "7: components.denoiser.blocks[0]: unit 'a' is in no block", "The next block starts with 'a'.")
plan("a unit in no block between", BLOCKS + "      - a\n      - c\n",
     "8: components.denoiser.blocks[1]: unit 'b' is in no block")
plan("a unit in no block at the end", BLOCKS + "      - a..b\n",
     "6: components.denoiser.blocks: unit 'c' is in no block")
plan("no blocks", TOY + "components: {denoiser: {blocks: []}}\n",
     "4: components.denoiser.blocks: unit 'a' is in no block")
plan("blocks that overlap", BLOCKS + "      - a..b\n      - b..c\n",
     "8: components.denoiser.blocks[1]: unit 'b' is in a block already", "The next block starts with 'c'.")
plan("blocks after the end", BLOCKS + "      - a..c\n      - a\n",
     "8: components.denoiser.blocks[1]: unit 'a' is in a block already", "The blocks end with 'c' already.")
plan("a block backwards", BLOCKS + "      - b..a\n", "7: components.denoiser.blocks[0]: 'a' comes before 'b'",
     "Write 'a..b'.")
plan("an unknown unit", BLOCKS + "      - a\n      - bb\n      - c\n",
     "8: components.denoiser.blocks[1]: denoiser has no unit 'bb'", "Known: a, b, c")
plan("an unknown last unit", BLOCKS + "      - a..z\n", "7: components.denoiser.blocks[0]: denoiser has no unit 'z'")
plan("a range without ends", BLOCKS + "      - '..'\n", "7: components.denoiser.blocks[0]: '..' names no block",
     "first..last")
plan("a range without a first unit", BLOCKS + "      - ..c\n",
     "7: components.denoiser.blocks[0]: '..c' names no block")
plan("a range without a last unit", BLOCKS + "      - a..\n",
     "7: components.denoiser.blocks[0]: 'a..' names no block")
plan("a block that is a number", BLOCKS + "      - 7\n",
     "7: components.denoiser.blocks[0]: expected text or keys with values, found 7")
plan("a block without units", BLOCKS + "      - {compute_units: cpu_only}\n",
     "7: components.denoiser.blocks[0]: the key 'units' is missing")
plan("zero units per block", TOY + "components: {denoiser: {blocks: {units_per_block: 0}}}\n",
     "4: components.denoiser.blocks.units_per_block: expected a whole number >= 1")
plan("a partition that is none", TOY + "components: {denoiser: {blocks: whol}}\n",
     "4: components.denoiser.blocks: 'whol' is not one of the choices")
plan("blocks of a stage under its family's name",
     "name: x\nmodel: opensora\ncomponents:\n  decoder:\n    prefetch: 0\n    blocks: [input]\n",
     "6: components.decoder.blocks: unit 'res_0' is in no block")
plan("keep an unknown block", TOY + "components:\n  denoiser:\n    keep:\n      - a\n      - z\n",
     "8: components.denoiser.keep[1]: no block starts with unit 'z'", "Known: a, b, c")
plan("keep a unit inside a block", TOY + "components: {denoiser: {blocks: [a..b, c], keep: [b]}}\n",
     "4: components.denoiser.keep[0]: no block starts with unit 'b'", "Known: a, c")
plan("keep more than there are", TOY + "components: {denoiser: {keep: 4}}\n",
     "4: components.denoiser.keep: 4 blocks cannot be kept: there are 3")
plan("keep fewer than none", TOY + "components: {denoiser: {keep: -1}}\n",
     "4: components.denoiser.keep: expected a whole number >= 0")
plan("keep by a rule that is none", TOY + "components: {denoiser: {keep: optimum}}\n",
     "4: components.denoiser.keep: 'optimum' is not one of the choices", "none, optimal, paper")
plan("keep all of them", TOY + "components: {denoiser: {keep: all}}\n",
     "4: components.denoiser.keep: 'all' is not one of the choices", "paper; or a number; or a list.")
plan("a precision as others call it", TOY + "components: {denoiser: {precision: fp16}}\n",
     "4: components.denoiser.precision: 'fp16' is not one of the choices", "Did you mean 'float16'? Choose from:")
plan("compute units as others call them", TOY + "components: {denoiser: {compute_units: ane}}\n",
     "4: components.denoiser.compute_units: 'ane' is not one of the choices", "Did you mean 'cpu_and_ne'?")
plan("a plan misspelt that it extends", "extends: ours-265\n", "1: extends: no such file: 'ours-265'",
     "Did you mean 'ours-256'?")
plan("a tab before a key", "extends: ours-256\nmemory:\n\tbudget: 2 GB\n", "3: not valid YAML: a tab", "Write blanks.")
plan("a budget without a unit", TOY + "memory: {budget: 2.6}\n", "4: memory.budget: 2.6 has no unit", "2.6 GB")
plan("words for keys", "extends: ours-256\nmemory: 2 GB\n", "2: memory: expected keys with values, found '2 GB'",
     "Write keys: budget, entitlement.")
plan("a number for blocks", "extends: ours-256\ncomponents: {denoiser: {blocks: 7}}\n",
     "2: components.denoiser.blocks: expected text or keys with values or a list, found 7", "keys: units_per_block.")
plan("steps in quotes", "extends: ours-256\nsampler: {steps: '20'}\n",
     "2: sampler.steps: expected a whole number, found '20'",
     "Write 20, without quotes.")
plan("a model instead of a plan", MODEL, "1: this is a model, not a plan", "`model: plan.yaml`")
plan("a grid instead of a plan", "models: [ours-256]\n", "1: this is a grid, not a plan", "plan sweep")
plan("a budget too small", TOY + "memory:\n  budget: 450 MB\n",
     "5: memory.budget: block 'b' of denoiser needs 510 MB (100 MB baseline, 400 MB weights, 10.0 MB working memory), "
     "60.0 MB more than the budget of 450 MB",
     "Allow 510 MB, or cut the block smaller.", profile=PROFILE,
     model=MODEL.replace("b, parameters: 1000", "b, parameters: 100000000").replace("1e3", "2.5e6"))
plan("a budget too small for what is kept",
     "extends: ours-256\nmemory: {budget: 1 GB}\ncomponents: {denoiser: {keep: 28}}\n", "2: memory.budget: block '",
     "kept resident", "or keep fewer blocks.")
plan("a budget below the baseline", TOY + "memory: {budget: 100 MB}\n",
     "4: memory.budget: block 'a' of denoiser needs 150 MB (150 MB baseline",
     "50.0 MB more than the budget of 100 MB")
plan("a budget of zero", TOY + "memory: {budget: 0}\n", "4: memory.budget: block 'a'")
plan("a negative budget", TOY + "memory: {budget: -3 GB}\n", "4: memory.budget: '-3 GB' is not a size",
     "'3.3 GB' or '512 MiB'")
plan("a budget in furlongs", TOY + "memory: {budget: 3 furlongs}\n", "4: memory.budget: '3 furlongs' is not a size")
plan("a budget beyond all devices", TOY + "memory: {budget: 1e300 TB}\n",
     "4: memory.budget: '1e300 TB' is not a size")
plan("a budget that is a list", TOY + "memory: {budget: [3]}\n", "4: memory.budget: [3] is not a size")
plan("far too many visits", TOY.replace("3}", "1000}"),
     "1: 1,000,000 visits of blocks; at most 100,000 are simulated", "Cut fewer blocks, or take fewer steps.",
     model=MODEL + "".join(f"      - {{name: d{i}, parameters: 1, plain: {{}}}}\n" for i in range(997)))


# Profiles

profile("an unknown device", "device: iphone15pro", "device: iphone15prp", "device: unknown device 'iphone15prp'",
     "Did you mean 'iphone15pro'?", DEVICES)
profile("no device", "device: iphone15pro\n", "", "the key 'device' is missing")
for _figure, _value, _what in (
    ("read_bytes_per_s", "0", "0 is out of range\nGive a number from 1 to 1e+18."),
    ("read_bytes_per_s", "-1e9", "expected a number >= 0.0"),
    ("read_bytes_per_s", "1e300", "expected a number <= 1e+18"),
    ("read_bytes_per_s", "fast", "expected a number, found 'fast'"),
    ("prepare_bytes_per_s", "0", "0 is out of range"),
    ("specialise_bytes_per_s", "0.0", "0 is out of range"),
    ("matmul_flops_per_s", "0", "0 is out of range"),
    ("attention_flops_per_s", "1e-300", "1e-300 is out of range"),
    ("moved_bytes_per_s", "0", "0 is out of range"),
    ("load_rate", "0", "0 is out of range"),
    ("run_rate", "0", "0 is out of range"),
    ("floor", "0", "0 is out of range\nGive a number from 0.01 to 1."),
    ("time_constant_s", "0", "0 is out of range"),
    ("transient_share", "1e12", "1e+12 is out of range"),
    ("charged_share", "2", "2 is out of range"),
    ("baseline_bytes", "1e18", "1e+18 is out of range"),
    ("dispatch_s", "1e18", "1e+18 is out of range"),
):
    _line = re.search(rf"^ *{_figure}: .*", PROFILE, re.MULTILINE)
    assert _line is not None
    profile(
        f"{_figure} of {_value}",
        _line[0],
        re.sub(r"value: [^,]*", f"value: {_value}", _line[0]),
        "",
        f"{_figure}.value: {_what}",
    )
profile("NaN", "unload_s: {value: 0", "unload_s: {value: .nan", ".nan is not a finite number")
profile("a figure without a source", f"unload_s: {FIGURE % 0}", "unload_s: {value: 0, mark: estimated}",
     "costs.loads.unload_s: the key 'source' is missing")
profile("a mark that is none", f"unload_s: {FIGURE % 0}", "unload_s: {value: 0, mark: guessed, source: x}",
     "costs.loads.unload_s.mark: 'guessed' is not one of the choices", "estimated, fitted, measured, published")
profile("a figure too few", f"    unload_s: {FIGURE % 0}\n", "", "costs.loads: the key 'unload_s' is missing",
     at="  loads:")
profile("a figure too many", "    unload_s", "    unlod_s: 3\n    unload_s",
     "costs.loads.unlod_s: this key is not known", "Did you mean 'unload_s'?")
profile("a number for a figure", f"unload_s: {FIGURE % 0}", "unload_s: 0",
     "costs.loads.unload_s: expected keys with values, found 0")
profile("an unknown processor", "    gpu:", "    npu:", "costs.processors.npu: 'npu' is not one of the choices",
     "ane, cpu, gpu")
profile("a spread of 400 %", f"floor: {FIGURE % 0.6}", "floor: {value: 0.6, mark: estimated, source: x, spread: 4}",
     "costs.thermal.floor.spread: expected a number <= 3.0")
profile("a fit of an unknown figure", "loads.unload_s,", "loads.unlod_s,",
     "fit.parameters[0].name: unknown figure 'loads.unlod_s'", "Did you mean 'loads.unload_s'?")
profile("a correlation above one", "- [0.5]", "- [1.5]",
     "fit.correlation: no correlation matrix: it is not positive definite", at="  correlation:")
profile("a correlation of another size", "- [0.5]", "- [0.5, 0.5]",
     "fit.correlation: not a lower triangle for 2 parameters", at="  correlation:")
profile("a fit to a figure of zero", "published: 1", "published: 0", "fit.cells[0].published: expected a number > 0.0")
profile("negative noise", "noise: 0.02", "noise: -0.02", "fit.noise: expected a number >= 0.0")
plan("a processor that the profile leaves out", TOY + "components:\n  denoiser: {compute_units: cpu_and_ne}\n",
     "5: components.denoiser.compute_units: profile profile.yaml has no costs for 'cpu_and_ne'",
     "It has some for: cpu_and_gpu.", profile=PROFILE)
plan("a block where the profile has no costs", BLOCKS + "      - a..b\n      - {units: c, compute_units: cpu_only}\n",
     "8: components.denoiser.blocks[1].compute_units: profile profile.yaml has no costs for 'cpu_only'",
     profile=PROFILE)


# Models

model("negative parameters", "{name: b, parameters: 1000", "{name: b, parameters: -1000",
     "components[0].units[1].parameters: expected a whole number >= 0")
model("parameters beyond all models", "{name: b, parameters: 1000", "{name: b, parameters: 10000000000000",
     "components[0].units[1].parameters: expected a whole number <=")
model("operations without end", "matmul_flops: 1e9", "matmul_flops: .inf", ".inf is not a finite number")
model("negative operations", "matmul_flops: 1e9", "matmul_flops: -1",
     "components[0].units[0].plain.matmul_flops: expected a number >= 0.0")
model("an operator class that is none", "matmul_flops: 1e9", "matmull_flops: 1e9",
     "components[0].units[0].plain.matmull_flops: this key is not known", "Did you mean 'matmul_flops'?")
model("a unit twice", "name: b,", "name: a,", "components[0].units[1].name: 'a' stands twice")
model("no passes", "passes: steps", "passes: 0", "components[0].passes: expected a whole number >= 1")
model("a million passes", "passes: steps", "passes: 1000000", "components[0].passes: expected a whole number <= 10000")
model("passes that are none", "passes: steps", "passes: step",
     "components[0].passes: 'step' is not one of the choices")
model("a unit without work", ", plain: {matmul_flops: 1e9}", "", "components[0].units[0]: the key 'plain' is missing")
model("no components", MODEL[MODEL.index("components:") :], "components: []\n",
     "components: expected a list of length >= 1")
model("a unit's name with a colour in it", "name: b,", 'name: "\\e[31mb",',
     "components[0].units[1].name: expected letters, digits, spaces, and any of _ . -, found '\\x1b[31mb'")


# Cases files

cases("an unknown quantity", "quantity: denoiser_s", "quantity: denoisr_s",
     "cases[0].figures[1].quantity: unknown quantity 'denoisr_s'",
     "known: total_s, denoiser_s, first_step_s, steady_step_s, peak_bytes")
cases("a quantity without its unit", "quantity: denoiser_s", "quantity: denoiser",
     "cases[0].figures[1].quantity: unknown quantity 'denoiser'")
cases("zero published", "published: 50", "published: 0", "cases[0].figures[1].published: expected a number >= 1e-09")
cases("negative published", "published: 50", "published: -50",
     "cases[0].figures[1].published: expected a number >= 1e-09")
cases("NaN published", "published: 50", "published: .NaN", ".NaN is not a finite number")
cases("a role that is none", "role: context", "role: heldout",
     "cases[0].figures[2].role: 'heldout' is not one of the choices", "calibration, context, held_out")
cases("no place", ", place: Table 1}", "}", "cases[0].figures[0]: the key 'place' is missing")
cases("an unknown plan", "plan: plan.yaml", "plan: app-25",
     "cases[0].plan: no file beside this one and no ready plan is named 'app-25'", "Did you mean 'app-256'?", READY)
cases("a plan that is a number", "plan: plan.yaml", "plan: 7",
      "cases[0].plan: expected text or keys with values, found 7")
cases("an unknown key in a plan written out", "plan: plan.yaml", "plan:\n      extends: app-192\n      nam: x",
     "nam: this key is not known", "Did you mean 'name'?", at="nam:")
cases("a mistake in a plan written out", "plan: plan.yaml",
     "plan:\n      extends: app-192\n      sampler:\n        steps: 0", "sampler.steps: expected a whole number >= 1",
     at="steps: 0")
cases("a plan that extends what is missing", "plan: plan.yaml", "plan: {extends: app-191}",
     "extends: no such file: 'app-191'")
cases("an unknown device", "device: iphone15pro", "device: iphone51pro", "device: unknown device 'iphone51pro'",
     DEVICES)
cases("an unknown device of a case", "    plan: plan.yaml", "    device: iphone99\n    plan: plan.yaml",
     "cases[0].device: unknown device 'iphone99'")
cases("a profile that is missing", "device: iphone15pro", "device: my.yaml", "device: my.yaml: no such file")
cases("no cases", CASES[CASES.index("cases:") :], "cases: []\n", "cases: expected a list of length >= 1")
cases("no source", "source: made up\n", "", "the key 'source' is missing")
cases("no steady step in one step", "{quantity: first_step_s, published: 10",
     "{quantity: steady_step_s, published: 10",
     "cases[0].figures[2].quantity: the plan has too few denoising steps for 'steady_step_s'")
MISTAKES[-1].files["plan.yaml"] = TOY.replace("steps: 3", "steps: 1")
fit("an unknown quantity after others", "quantity: denoiser_s", "quantity: denoisr_s",
     "cases[0].figures[1].quantity: unknown quantity 'denoisr_s'")
fit("nothing to fit to", "role: calibration", "role: held_out", "cases: no case has a figure with role 'calibration'",
     at="cases:")
fit("another device's figures", "    plan: plan.yaml", "    device: iphone14pro\n    plan: plan.yaml",
     "cases[0].device: a fit of iphone15pro cannot use calibration figures of 'iphone14pro'")
leave_out("the only figure", "published: 50", "published: 60",
          "cases[0].figures[1]: the only calibration figures cannot be left out", "Give others that role.")
gains = edited("cases", CASES + """\
gains:
  - {technique: LPL, case: first, without: plan.yaml, quantity: denoiser_s, published: 5, place: Table 1}
""", "validate published --cases cases.yaml")
gains("a gain of no case", "case: first", "case: frist", "gains[0].case: no case is named 'frist'",
      "Did you mean 'first'?")
gains("a gain over no plan", "without: plan.yaml", "without: plam.yaml", "gains[0].without: no file beside this one")


# Command lines

command("no such plan", "simulate --plan ours-25", "no plan file and no ready plan is named 'ours-25'",
     "Did you mean 'ours-256'?", READY)
command("no such plan file", "simulate --plan pla.yaml", "pla.yaml: no such file", "Did you mean 'plan.yaml'?",
     plan=TOY)
command("a plan in no folder", "simulate --plan nowhere/plan.yaml", "nowhere/plan.yaml: no such file",
     "There is no folder 'nowhere'.")
command("a folder for a plan", "simulate --plan folder", "folder: this is a folder without a plan.yaml")
command("a plan's name of 5,000 letters", f"simulate --plan {'p' * 5000}",
     "no plan file and no ready plan is named 'ppp")
command("a file's name of 5,000 letters", f"simulate --plan {'p' * 5000}.yaml", "ppp", "name too long")
command("no such device", "simulate --device iphone15prp", "unknown device 'iphone15prp'",
     "Did you mean 'iphone15pro'?", DEVICES)
command("no such profile file", "simulate --device my.yaml", "my.yaml: no such file")
command("a folder for a profile", "profile show ./folder", "folder: this is a folder, not a file")
command("an unknown verb", "simulat --plan x", "unknown verb 'simulat'",
     "Did you mean 'simulate'? Known: simulate, plan")
command("an unknown option", "simulate --reprt", "there is no option --reprt here. Did you mean --report?",
     "See `ondevice-sora simulate --help`.")
command("an abbreviated option", "simulate --dev iphone15pro", "there is no option --dev here. Did you mean --device?")
command("an option of another name", "plan search --memory 3GB", "there is no option --memory here.",
        "Did you mean --budget or --memory-limit?", "See `ondevice-sora plan search --help`.")
command("a limit without a unit", "simulate --memory-limit 3.3", "argument --memory-limit: '3.3' has no unit",
        "Write '3.3 GB' or '3.3 MB'.")
command("a whole limit without a unit", "simulate --memory-limit 3", "argument --memory-limit: '3' is 3 bytes.",
        "Write '3 GB' or '3 MB'.")
command("a page under another kind's name", "simulate --report out.pdf", "out.pdf: a .html file is written",
        "Choose a name that ends in .html.")
command("a plan under another kind's name", "plan search -o best.html", "best.html: a .yaml file is written")
command("a page on standard output", "simulate --report -", "'-' is a file's name here", "Write /dev/stdout")
command("a device with a suffix", "simulate --device iphone15pro.yaml", "iphone15pro.yaml: no such file",
        "The device of the catalogue is named without a suffix: iphone15pro.")
command("an option given twice", "simulate --os 18.1 --os 18.2", "--os is given twice. Give it once.")
command("a plan named twice", "plan explain ours-256 --plan ours-192", "--plan: two plans are named")
command("a word too many", "plan explain ours-256 ours-192",
        "there is no place for 'ours-192'. One plan is taken here.")
command("two devices without a comma", "simulate ours-256 --device iphone15 iphone16",
        "there is no place for 'iphone16'. Plans stand before the options; several devices are joined by commas")
command("a device as a plan", "simulate iphone15", "'iphone15' is a device, not a plan",
        "Give it as --device iphone15.")
command("a plan as a device", "simulate --device ours-256", "'ours-256' is a plan, not a device",
        "Give it as --plan ours-256.")
command("a budget for simulate", "simulate --budget 2GB",
        "there is no option --budget here. A plan's own budget is its `memory.budget`")
command("-o where a page is written", "plan explain ours-256 -o x.html", "there is no option -o here. What is written")
command("a prompt without quotes", "generate a red circle", 'there is no place for "red circle". Put the prompt')
command("an action for a verb", "search", "unknown verb 'search'", "Did you mean `ondevice-sora plan search`?")
command("an option without its value", "simulate --plan", "--plan is not followed by a value.")
command("plan without an action", "plan", "the following arguments are required: list|show|schema|search|explain|sweep")
command("an unknown action", "plan shwo", "argument list|show|schema|search|explain|sweep: invalid choice: 'shwo'",
        "list", "show", "schema", "Did you mean 'show'?")
command("plan show without a plan", "plan show", "no plan is named", "ondevice-sora plan list")
command("plan show of what is missing", "plan show app-257", "no plan file and no ready plan is named 'app-257'",
     "Did you mean 'app-256'?")
command("profile show of what is missing", "profile show iphone", "unknown device 'iphone'", DEVICES)
command("validate without what", "validate", "the following arguments are required: published")
command("no such cases file", "validate published --cases mine.yaml", "mine.yaml: no such file")
command("no such shipped cases", "validate published --cases iphone15",
     "no cases file and no shipped one is named 'iphone15'", "Did you mean 'iphone15pro'?")
command("no such device to validate on", "validate published --device iphone0", "unknown device 'iphone0'")
command("no prior to fit", "profile fit --device iphone14pro", "no prior is known for 'iphone14pro'")
command("report of nothing", "report", "the following arguments are required: TRACE")
for _size in ("lots", "0", "-3", "nan", "inf", "1e30", "3.3.3GB", "GB"):
    command(
        f"a limit of {_size}", f"simulate --memory-limit={_size}", f"argument --memory-limit: '{_size}' is not a size"
    )
for _version in ("eighteen", "18.1.2", "-1", "18.", "1e3"):
    command(
        f"OS {_version}",
        f"simulate --os={_version}",
        f"--os: '{_version}' is not a version",
        "Write one such as 18 or 18.1.",
    )
command("an OS version that there is not", "simulate --os 99", "--os: there is no iOS 99", "such as 18.1 or 26.4")
command("a limit below zero", "simulate --memory-limit -2GB", "argument --memory-limit: '-2GB' is not a size")
command("a package as a plan", "simulate Unet.mlpackage", "Unet.mlpackage: this is a Core ML package",
        "ondevice-sora profile estimate Unet.mlpackage ... -o DIR")
command("a package as a model", "simulate --model Unet.mlpackage/", "Unet.mlpackage/: this is a Core ML package",
        "ondevice-sora profile estimate")
command("a package to describe", "describe Unet.mlpackage", "Unet.mlpackage: this is a Core ML package")
command("one frame of a plan that merges frames", "simulate ours-256 --video 256x256",
        "--video 256x256x1: one frame has no tokens to merge", "Write 256x256x68")
command("an option that no other one is like", "simulate --duration 4s", "there is no option --duration here.\n")
command("an OS version beside a limit", "simulate --os 18 --memory-limit 3GB",
     "--os has no effect with --memory-limit")
command("an entitlement beside a limit", "simulate --entitlement --memory-limit 3GB",
     "--entitlement has no effect with --memory-limit")
for _threads in ("0", "-1", "1025", "two"):
    command(f"{_threads} threads", f"run --plan plan.yaml --store s --threads={_threads}",
         f"argument --threads: '{_threads}' is not a whole number from 1 to 1024")
command("a search's time without a search", "validate host --search-seconds 5",
     "--search-seconds has no effect without --search")
command("a number of plans beside a search", "validate host --search --plans 5",
     "--plans has no effect with --search")
command("weights beside a search", "validate host --search --weights d", "--weights has no effect with --search")
command("a report that is there", "simulate --report out.yaml", "out.yaml: the file exists already", "--force",
     out="mine\n")
command("a trace that is there", "simulate --trace out.yaml", "out.yaml: the file exists already", out="mine\n")
command("a schema that is there", "plan schema -o out.yaml", "out.yaml: the file exists already", out="mine\n")
command("a fit that is there", "profile fit -o out.yaml", "out.yaml: the file exists already", out="mine\n")
command("a report in no folder", "simulate --report nowhere/out.html", "nowhere/out.html: there is no folder nowhere",
     "Make the folder first.")
command("a report that is a folder", "simulate --report folder --force",
     "folder: this is a folder; a file name is needed")
command("a report's name of 5,000 letters", f"simulate --report {'r' * 5000}", "rrr",
     "cannot be written: File name too long")
command("two outputs of one name", "simulate --trace out.json --perfetto ./out.json",
     "two outputs have the same name")
command("an output over the plan", "simulate --plan plan.yaml --trace plan.yaml --force",
     "plan.yaml: this file is read", plan=TOY, model=MODEL)
command("an output over the profile", "simulate --device p.yaml --trace p.yaml --force", "p.yaml: this file is read",
     p=PROFILE)
command("an output over the cases", "profile fit --cases c.yaml -o c.yaml --force", "c.yaml: this file is read",
     c=CASES)
command("one trace of two plans", "simulate --plan app-192 --plan app-256 --trace",
     "--trace writes one plan, but 2 are given")


# Traces

SPAN = {"lane": "gpu", "action": "run", "component": "denoiser", "step": 0, "block": "a", "variant": "plain",
        "start_s": 0.0, "end_s": 1.0, "bytes": 5}
TRACE: dict[str, Any] = {
    "kind": "measured", "plan": "x", "device": "y", "model": "z", "spans": [SPAN, dict(SPAN)],
    "memory": [{"time_s": 0.0, "baseline": 1, "resident": 0, "loading": 0, "working": 0, "residual": 0},
               {"time_s": 1.0, "baseline": 1, "resident": 5, "loading": 0, "working": 0, "residual": 0}],
    "limit_bytes": 1000, "format": "ondevice-sora-trace-1",
}


def trace(name: str, content: Content, start: str, *parts: str) -> None:
    arguments = ["report", "trace.json", "-o", "out.html"]
    MISTAKES.append(Mistake(f"trace: {name}", {"trace.json": content}, arguments, f"trace.json: {start}", parts))


def changed(*path: str | int, to: object) -> str:
    data = copy.deepcopy(TRACE)
    inside: Any = data
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = to
    return json.dumps(data)


WRITE_ONE = "Write one with `simulate --trace FILE`."
trace("broken off", json.dumps(TRACE)[:-40], "not valid JSON", WRITE_ONE)
trace("empty", "", "not valid JSON", WRITE_ONE)
trace("not JSON", "name: x\n", "not valid JSON", WRITE_ONE)
trace("a list", "[]", "expected keys with values, found a list []", WRITE_ONE)
trace("for another viewer", '{"traceEvents": []}', "not a trace: no 'format': 'ondevice-sora-trace-1'", WRITE_ONE)
trace("of another format", changed("format", to="ondevice-sora-trace-0"),
     "format 'ondevice-sora-trace-0' is not 'ondevice-sora-trace-1'")
trace("without its kind", changed("kind", to=None), "kind: ")
trace("binary", b"\x80\x81", "not UTF-8 text (byte 0)")
trace("nested without end", json.dumps(TRACE)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
      "nested deeper than 40 levels")
trace("a lane that is none", changed("spans", 1, "lane", to="npu"),
     "spans[1].lane: 'npu' is not one of the choices", "ane, cpu, gpu, load")
trace("before the start", changed("spans", 1, "start_s", to=-1), "spans[1].start_s: expected a number >= 0.0")
trace("a time beyond reason", changed("spans", 1, "end_s", to=1e300), "spans[1].end_s: expected a number <=")
trace("NaN", json.dumps(TRACE).replace('"end_s": 1.0', '"end_s": NaN'), "NaN is not a number")
trace("NaN where nothing is expected", json.dumps(TRACE)[:-1] + ', "x": NaN}', "NaN is not a number")
trace("1e400 where nothing is expected", json.dumps(TRACE)[:-1] + ', "x": 1e400}', "1e400 is not a finite number")
trace("a number of 400 digits", json.dumps(TRACE).replace('"bytes": 5', f'"bytes": {"9" * 400}', 1), "999")
trace("a key twice", json.dumps(TRACE)[:-1] + ', "plan": "y"}', "the key 'plan' stands twice")
trace("a name with a colour in it", changed("plan", to="\x1b[31mx"), "plan: expected one line without control")
trace("backwards", changed("spans", 1, "start_s", to=2), "spans[1]: ends before it starts")
trace("memory out of order", changed("memory", 0, "time_s", to=2), "memory[1]: is earlier than the one before")
trace("negative memory", changed("memory", 1, "resident", to=-1), "memory[1].resident: expected a whole number >= 0")
trace("a limit of nothing", changed("limit_bytes", to=0), "limit_bytes: expected a whole number >= 1")
for _name, _arguments, _start in (
    ("a trace that is missing", "report nope.json", "nope.json: no such file"),
    ("a folder for a trace", "report folder", "folder: this is a folder, not a file"),
    ("a report over its trace", "report trace.json -o trace.json --force", "trace.json: this file is read"),
):
    MISTAKES.append(Mistake(_name, {"trace.json": json.dumps(TRACE)}, _arguments.split(), _start, ()))


# fmt: on

# The table's test


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_gives_one_message_and_writes_nothing(mistake, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, content in mistake.files.items():
        made = content() if callable(content) else content
        (tmp_path / name).write_bytes(made if isinstance(made, bytes) else made.encode())
    before = contents(tmp_path)
    status = status_of(mistake.arguments)
    out, err = capsys.readouterr()
    assert status == 2, (status, out, err)
    assert err.startswith(f"error: {mistake.start}"), err
    for part in mistake.parts:
        assert part in err
    assert err.count("error:") == 1
    assert "Traceback" not in out + err
    assert len(err) < 1000 or "name too long" in err.lower() or "p" * 5000 in err
    assert out == "" or "name too long" in err.lower(), out
    assert contents(tmp_path) == before


def test_the_table_is_as_long_as_promised_and_names_each_mistake_once():
    assert len(MISTAKES) >= 70
    names = [mistake.name for mistake in MISTAKES]
    assert sorted(set(names)) == sorted(names)


def test_what_the_mistakes_start_from_is_itself_usable(tmp_path, monkeypatch, capsys):
    """Otherwise a case above could be refused for another reason than the one it is about."""
    monkeypatch.chdir(tmp_path)
    files = {"plan": TOY, "model": MODEL, "profile": PROFILE + FIT, "cases": CASES}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "trace.json").write_text(json.dumps(TRACE))
    for arguments in (
        "simulate --plan plan.yaml --device profile.yaml --thermal",
        "validate published --cases cases.yaml",
        "profile show profile.yaml",
        "report trace.json",
    ):
        assert status_of(arguments.split()) == 0, capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_file_that_may_not_be_read_is_named(tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    path.write_text(TOY)
    path.chmod(0)
    assert status_of(["simulate", "--plan", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: cannot be read: Permission denied")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_may_not_be_written_is_named(tmp_path, capsys):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    path = folder / "out.json"
    assert status_of(["simulate", "--plan", "app-192-all", "--trace", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: cannot be written: Permission denied")


def status_of(arguments: list[str]) -> object:
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


# Fuzz: usable files, broken at random. Nothing but exit status 0, 2 or 3, never an exception, never a warning.

PLAN = """\
name: fuzzed
model: small
video: {width: 64, height: 64, frames: 5}
text_tokens: 20
sampler: {steps: 4, guidance: 7.0}
lpl: {mode: dynamic, stop_steps: {2: 0.5, 3: 0.5}}
tdtm: {steps: [0, 2], packages: separate}
memory: {budget: 200 MB, entitlement: false}
components:
  text_encoder: {blocks: {units_per_block: 2}, precision: int8, prefetch: app, keep: none}
  denoiser: {blocks: reference, prefetch: 2, keep: optimal}
  decoder.temporal: {blocks: whole, compute_units: cpu_only, keep: 1}
  decoder.spatial:
    blocks: [input, mid_res_0..up0_up, {units: up1_res_0..up3_res_1, compute_units: cpu_only}, output]
    keep: [input, output]
"""
USABLE = {
    "plan": (PLAN, "simulate --plan fuzzed.yaml"),
    "model": (MODEL, "simulate --plan plan.yaml"),
    "profile": (PROFILE + FIT, "simulate --plan plan.yaml --device fuzzed.yaml --thermal --json"),
    "cases": (CASES, "validate published --cases fuzzed.yaml --json"),
    "trace": (json.dumps(TRACE), "report fuzzed.json -o out.html --force"),
}
ODD: list[object] = [
    None, True, -1, 0, 1, 3, 2**70, 1e-300, 0.5, 1e17, 1e300, "", "x", "..", "a\0b", "none", "all", "3 GB", "1e999",
    [], {}, [1], ["a"], {"a": 1}, "\x1b[31m", "steps", "[/b]", "\u2028",
]  # fmt: skip
PIECES = [
    b"\t",
    b"\x00",
    b"\xff",
    b": ",
    b"- ",
    b"*a",
    b"&a ",
    b"!!int ",
    b"{",
    b"]",
    b"'",
    b"\n",
    b"..",
    b".nan",
    b"9" * 30,
    b"<<",
    b"# ",
    b"|",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz")
    for name, text in {"plan.yaml": TOY.replace("model.yaml", "fuzzed.yaml"), "model.yaml": MODEL}.items():
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize("kind", USABLE)
def test_the_files_to_be_broken_are_usable(kind, folder):
    """Otherwise nearly all that is drawn below would be refused for the one reason that these are."""
    text, arguments = USABLE[kind]
    assert check(folder, kind, text.encode(), arguments) == 0


@pytest.mark.parametrize("kind", USABLE)
@given(data=st.data())
@settings(max_examples=20)
def test_a_usable_file_with_other_bytes_is_simulated_or_refused(kind, folder, data):
    text, arguments = USABLE[kind]
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 8))] = data.draw(
            st.sampled_from(PIECES) | st.binary(max_size=3)
        )
    check(folder, kind, bytes(content), arguments)


@pytest.mark.parametrize("kind", USABLE)
@given(data=st.data())
@settings(max_examples=40)
def test_a_usable_file_with_other_values_is_simulated_or_refused(kind, folder, data):
    text, arguments = USABLE[kind]
    tree = yaml.safe_load(text)
    for _ in range(data.draw(st.integers(1, 2))):
        inside = tree
        while True:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            key = data.draw(st.sampled_from(keys))
            child = inside[key]
            if not (isinstance(child, (dict, list)) and child) or data.draw(st.integers(0, 3)) == 0:
                break
            inside = child
        action = data.draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        if action == "replace":
            inside[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        else:
            value = inside.pop(key)
            if action == "rename" and isinstance(inside, dict):
                inside[f"{key}s"] = value
        if not tree:
            break
    written = json.dumps(tree) if kind == "trace" else yaml.safe_dump(tree)
    check(folder, kind, written.encode(), arguments)


def check(folder: Path, kind: str, content: bytes, arguments: str) -> object:
    (folder / ("fuzzed.json" if kind == "trace" else "fuzzed.yaml")).write_bytes(content)
    (folder / "plan.yaml").write_text(TOY.replace("model.yaml", "fuzzed.yaml") if kind == "model" else TOY)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = status_of(arguments.split())
    assert status in (0, 2, 3), (status, err.getvalue())
    assert err.getvalue().count("error:") == (1 if status == 2 else 0), err.getvalue()
    assert "Traceback" not in out.getvalue() + err.getvalue()
    assert not (status == 2 and out.getvalue()), (out.getvalue(), err.getvalue())
    return status
