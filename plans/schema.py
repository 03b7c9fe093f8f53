"""The plan: everything decided before a run, as read from plan.yaml.

A plan may start from another one with `extends: other.yaml`. `ondevice-sora plan schema` prints the JSON Schema of
this file for editors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import read_extended
from ondevice_sora.base.text import LINE, Title
from ondevice_sora.profiles.blocks import ComputeUnits
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.model import Precision, family

READY = Path(__file__).parent / "ready"
CURVATURE_RULES = ("curvature", "bent_curvature")

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Steps = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Index = Annotated[int, msgspec.Meta(ge=0, le=999)]


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Width and height in pixels, length in frames."""

    width: Annotated[int, msgspec.Meta(ge=64, le=2048)]
    height: Annotated[int, msgspec.Meta(ge=64, le=2048)]
    frames: Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Sampler(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rectified-flow sampling: `steps` network evaluations if nothing ends them early, classifier-free guidance."""

    steps: Steps = 30
    guidance: Annotated[float, msgspec.Meta(ge=0, le=100)] = 7.0


class Lpl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Linear Proportional Leap.

    fixed    leap at step index `leap_step`: leap_step + 1 network evaluations
    dynamic  leap when the drifts say so. A generation goes by `rule`. No simulation sees the video, so it needs
             `stop_steps`, the probability of each leap step, as measured on prompts like yours

    paper           the paper's rule: the drifts' cosine stops growing, watched after half the steps
    gpu_code        the published GPU code's: the same of one row of the drift, from step 14
    curvature       ours: the estimated error of the result, relative to it, is at most `accepted_error`
    bent_curvature  the same, and the leap follows the estimated curve instead of the last drift
    """

    mode: Literal["off", "fixed", "dynamic"] = "off"
    leap_step: Index | None = None
    stop_steps: Annotated[dict[Index, Share], msgspec.Meta(max_length=100)] | None = None
    rule: Literal["paper", "gpu_code", "curvature", "bent_curvature"] | None = None
    accepted_error: Annotated[float, msgspec.Meta(gt=0, le=10)] | None = None


class FirstSteps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    first: Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Tdtm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Temporal Dimension Token Merging: on which steps, in which units, and whether a block's variants share a package.

    units      patterns of names, as of files: `spatial_*` for all spatial ones
    shared     one multifunction package, one cold load
    separate   two packages with the weights in each, as the reference app ships: twice the storage, two cold loads
    """

    steps: Literal["none", "all"] | FirstSteps | tuple[Index, ...] = "none"
    units: Annotated[
        tuple[Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=100)], ...],
        msgspec.Meta(min_length=1, max_length=100),
    ] = ("*",)
    packages: Literal["shared", "separate"] = "shared"

    def chosen(self, names: Iterable[str]) -> tuple[str, ...]:
        """The units among `names` that merge tokens."""
        return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in self.units))


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`budget`: the footprint the plan keeps to, refused if it cannot. Without one, loading is not held back."""

    budget: ByteCount | None = None
    entitlement: bool = False


class BlockEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block: a unit, or `first..last`; its compute units if they differ from the component's."""

    units: str
    compute_units: ComputeUnits | None = None


class UnitsPerBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    units_per_block: Annotated[int, msgspec.Meta(ge=1, le=5000)]


class ComponentPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one component is cut, stored and loaded.

    blocks     `reference` (the reference app's partition), `unit` (every unit alone), `whole`, `units_per_block: n`, or
               a list of blocks, each a unit, `first..last`, or {units, compute_units}
    prefetch   how many visits the loader may be ahead; 0 loads when needed; `app` follows the reference app: one ahead,
               but not for the first two and the last block of a pass, and not in the first denoising step
    keep       which blocks stay resident between passes: `none`; `paper`, the first that fit in what the first step
               leaves free (App. A.1); `app`, the reference app's 170 MB rule; `optimal`, fewest bytes reloaded; a
               number, that many from the first; or a list of blocks, each named by its first unit
    """

    blocks: (
        Literal["reference", "unit", "whole"] | UnitsPerBlock | tuple[Annotated[str | BlockEntry, msgspec.Meta()], ...]
    ) = "reference"
    precision: Precision = "float32"
    compute_units: ComputeUnits = "cpu_and_gpu"
    prefetch: Annotated[int, msgspec.Meta(ge=0, le=64)] | Literal["app"] = 1
    keep: Literal["none", "app", "paper", "optimal"] | Annotated[int, msgspec.Meta(ge=0, le=5000)] | tuple[str, ...] = (
        "none"
    )


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole plan. `components` is keyed by component; `decoder` stands for those of its stages that have no entry."""

    name: Title
    model: Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=200)]
    description: str = ""
    video: Video | None = None
    text_tokens: Annotated[int, msgspec.Meta(ge=1, le=300)] | None = None
    encoder_tokens: Annotated[int, msgspec.Meta(ge=1, le=300)] | None = None
    sampler: Sampler = Sampler()
    lpl: Lpl = Lpl()
    tdtm: Tdtm = Tdtm()
    memory: Memory = Memory()
    components: dict[str, ComponentPlan] = {}

    def component(self, name: str) -> ComponentPlan:
        """The settings of a component: its own entry, else its family's, else the defaults."""
        return self.components.get(self.entry(name)) or ComponentPlan()

    def entry(self, name: str) -> str:
        """The key under which `components` would have a component's settings: its own, else its family's."""
        return family(name) if name not in self.components and family(name) in self.components else name

    def merges(self, step: int) -> bool:
        """Whether TDTM merges tokens on this step."""
        steps = self.tdtm.steps
        if isinstance(steps, FirstSteps):
            return step < steps.first
        return steps == "all" if isinstance(steps, str) else step in steps

    def leap_steps(self) -> dict[int, float]:
        """Number of network evaluations -> its probability; {steps: 1} without LPL."""
        if self.lpl.mode == "fixed" and self.lpl.leap_step is not None:
            return {self.lpl.leap_step + 1: 1.0}
        if self.lpl.mode == "dynamic" and self.lpl.stop_steps:
            return {step + 1: p for step, p in sorted(self.lpl.stop_steps.items()) if p > 0}
        return {self.sampler.steps: 1.0}

    def evaluations(self) -> int:
        """The number of network evaluations that the trace shows: the median one under dynamic LPL."""
        passed = 0.0
        chosen = self.sampler.steps
        for count, probability in self.leap_steps().items():
            passed += probability
            chosen = count
            if passed >= 0.5:
                break
        return chosen


def ready_plans() -> dict[str, Path]:
    return {path.stem: path for path in sorted(READY.glob("*.yaml"), key=lambda path: path.stem)}


def find_plan(name: str) -> Path:
    """A plan file by path, or a ready plan by name. Raises UserError with the nearest ready plan."""
    path = Path(name)
    # os.path answers "no" where Path raises: too long a name, a NUL in it, a folder that may not be entered
    if os.path.isfile(name) or path.suffix in (".yaml", ".yml", ".json"):
        return path
    ready = ready_plans()
    if name in ready:
        return ready[name]
    if name and os.path.exists(name):
        return path
    raise UserError(f"no plan file and no ready plan is named '{name}'", mend=nearest(name, list(ready)))


def load_plan(name: str | Path) -> tuple[Plan, Document]:
    """A plan and the document it was read from, whose lines later complaints name. Raises UserError."""
    return read_plan(read_extended(find_plan(str(name)), READY))


def read_plan(document: Document) -> tuple[Plan, Document]:
    """The plan in a document whose `extends` has been followed. Raises UserError."""
    plan = document.convert(Plan)
    check_plan(plan, document)
    return plan, document


def check_plan(plan: Plan, document: Document) -> None:
    """What a schema cannot say: steps that do not exist, probabilities that do not add up, options without effect."""
    lpl, steps = plan.lpl, plan.sampler.steps
    _check_lpl(lpl, document)
    for evaluations in plan.leap_steps():
        if evaluations > steps:
            where = "$.lpl.leap_step" if lpl.mode == "fixed" else "$.lpl.stop_steps"
            raise document.error(
                where,
                f"leap step {evaluations - 1} lies beyond the {steps} steps",
                f"Write a step from 0 to {steps - 1}.",
            )
    if lpl.stop_steps is not None and abs(sum(lpl.stop_steps.values()) - 1.0) > 1e-6:
        total = sum(lpl.stop_steps.values())
        raise document.error("$.lpl.stop_steps", f"the probabilities add up to {total:g}, not 1")
    merging = plan.tdtm.steps
    listed = (
        merging if isinstance(merging, tuple) else ((merging.first - 1,) if isinstance(merging, FirstSteps) else ())
    )
    for step in listed:
        if step >= steps:
            raise document.error(
                "$.tdtm.steps", f"step {step} lies beyond the {steps} steps", f"Steps go from 0 to {steps - 1}."
            )
    if len(set(listed)) != len(listed):
        raise document.error("$.tdtm.steps", "a step is listed twice")


def check_merging_units(plan: Plan, document: Document, names: Iterable[str]) -> None:
    """`names` are all units that could merge tokens. Raises UserError for a pattern that chooses none of them."""
    names = list(names)
    for row, pattern in enumerate(plan.tdtm.units):
        if not msgspec.structs.replace(plan.tdtm, units=(pattern,)).chosen(names):
            what = f"no unit that merges tokens has a name like '{pattern}'"
            raise document.error(f"$.tdtm.units[{row}]", what, nearest(pattern, names))


def _check_lpl(lpl: Lpl, document: Document) -> None:
    """Each mode needs its keys and has no use for another's."""
    if lpl.mode == "fixed" and lpl.leap_step is None:
        raise document.error("$.lpl", "mode 'fixed' needs a leap_step", "Add `leap_step: 15`, for instance.")
    if lpl.mode == "dynamic" and not lpl.stop_steps and lpl.rule is None:
        raise document.error(
            "$.lpl",
            "mode 'dynamic' needs stop_steps, to be simulated, or a rule, to generate with",
            "Add `stop_steps: {17: 0.6, 18: 0.4}` or `rule: paper`, for instance.",
        )
    for key, mode in (("leap_step", "fixed"), ("stop_steps", "dynamic"), ("rule", "dynamic")):
        if lpl.mode != mode and getattr(lpl, key) is not None:
            raise document.error(
                f"$.lpl.{key}", f"has no effect with mode '{lpl.mode}'", f"Remove it, or write mode: {mode}."
            )
    if lpl.rule in CURVATURE_RULES:
        if lpl.accepted_error is None:
            raise document.error(
                "$.lpl", f"rule '{lpl.rule}' needs an accepted_error", "Add `accepted_error: 0.05`, for instance."
            )
    elif lpl.accepted_error is not None:
        which = f"rule '{lpl.rule}'" if lpl.rule else f"mode '{lpl.mode}' and no rule"
        raise document.error(
            "$.lpl.accepted_error", f"has no effect with {which}", "Remove it, or write rule: curvature."
        )


@cache
def json_schema() -> dict[str, Any]:
    """The plan's JSON Schema, for editors: `# yaml-language-server: $schema=plan.schema.json`."""

    def custom(kind: type) -> dict[str, Any]:
        assert kind is ByteCount
        return {"type": ["integer", "number", "string"], "examples": ["3.3 GB", 3300000000]}

    (schema,), definitions = msgspec.json.schema_components([Plan], schema_hook=custom, ref_template="#/$defs/{name}")
    definitions["Plan"]["properties"]["extends"] = {"type": "string", "description": "Another plan file to start from."}
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, to be written as YAML; what equals the default is left out."""
    data: dict[str, Any] = msgspec.to_builtins(plan, enc_hook=int)
    return data
