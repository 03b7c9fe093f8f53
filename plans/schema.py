"""The plan: everything decided before a run, as read from plan.yaml.

A plan may start from another one with `extends: other.yaml`. `ondevice-sora plan schema` prints the JSON Schema of
this file for editors.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.files.complaints import decode
from ondevice_sora.base.files.keys import kinds_in, meanings, means
from ondevice_sora.base.hashing import hash_of
from ondevice_sora.base.text import LINE, Title
from ondevice_sora.plans.step_plan import Even, Grid, Index, Solver, Steps, evaluated_steps, num_evaluations
from ondevice_sora.profiles.blocks import ComputeUnits, Loading
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.configured import ConfiguredModel
from ondevice_sora.profiles.models.model import (
    ActivationFormat,
    Branches,
    Precision,
    WeightFormat,
    family,
    precision_of,
)

EXTENDS = "The plan to start from: a ready plan's name, or a path that starts from this file's folder."

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Packages = Literal["shared", "separate"]
Start = Literal["first", "cached", "loaded"]
NamedKeep = Literal["none", "app", "paper", "belady", "optimal", "always"]
Keep = NamedKeep | Annotated[int, msgspec.Meta(ge=0, le=5000)] | tuple[str, ...]


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Width and height in pixels, length in frames."""

    width: Annotated[int, msgspec.Meta(ge=64, le=2048), means("Pixels, a multiple of 8.")]
    height: Annotated[int, msgspec.Meta(ge=64, le=2048), means("Pixels, a multiple of 8.")]
    frames: Annotated[int, msgspec.Meta(ge=1, le=1000), means("Open-Sora makes 24 for each second; a picture has 1.")]


def guidance_branches(guidance: float) -> Literal[1, 2]:
    """Branches of one network evaluation: 2, with the prompt and with none; 1 at a guidance of 1.0, with the prompt.

    v_uncond + 1.0 * (v_cond - v_uncond) is v_cond.
    """
    return 1 if guidance == 1.0 else 2


class Sampler(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rectified-flow sampling with classifier-free guidance."""

    steps: Annotated[
        Steps,
        means(
            "Denoising steps. Each costs one network evaluation, unless the grid makes fewer or LPL ends them early."
        ),
    ] = 30
    guidance: Annotated[
        float,
        msgspec.Meta(ge=0, le=100),
        means(
            "Classifier-free guidance: each evaluation computes the video with the prompt and without it. 1.0 computes "
            "it with the prompt alone, which is half the work."
        ),
    ] = 7.0
    branches: Annotated[
        Branches,
        means(
            "How guidance computes its two branches. `batch`: both at once. `in_turn`: at each visit a block of the "
            "denoiser, or of a text encoder that takes both, runs for one branch and then for the other. That halves "
            "the working memory, adds the fixed time of a second call, and loads nothing twice. The video differs only "
            "by rounding."
        ),
    ] = "batch"
    grid: Annotated[
        Even | Grid,
        means(
            "The times at which the network is evaluated. `even`: one for each step, evenly spaced, then shifted as "
            "the model does it. Other grids need a model with a rectified flow."
        ),
    ] = "even"
    solver: Annotated[
        Solver,
        means(
            "How the sampler goes from one time to the next. `euler`: along the drift. `ab2`: it also uses how the "
            "drift has changed since the evaluation before (two-step Adams-Bashforth on uneven steps). Not with LPL."
        ),
    ] = "euler"

    @property
    def num_branches(self) -> Literal[1, 2]:
        """Branches of one network evaluation, as guidance_branches."""
        return guidance_branches(self.guidance)

    @property
    def branch_runs(self) -> Literal[1, 2]:
        """How often a block of the denoiser runs in a visit."""
        return self.num_branches if self.branches == "in_turn" else 1

    @property
    def evaluations(self) -> int:
        """Network evaluations if nothing ends them early."""
        return num_evaluations(self.grid, self.steps)


class Lpl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Linear Proportional Leap: one last leap instead of the remaining steps."""

    mode: Annotated[
        Literal["off", "fixed", "dynamic"],
        means("`fixed`: leap at `leap_step`. `dynamic`: a rule decides from the drifts when to leap."),
    ] = "off"
    leap_step: Annotated[
        Index | None,
        means("For `fixed`: the step at which to leap, from 0. 15 makes 16 network evaluations."),
    ] = None
    stop_steps: Annotated[
        Annotated[dict[Index, Share], msgspec.Meta(max_length=100)] | None,
        means(
            "For `dynamic`, and only for a simulation, which has no video to decide from: how probable each leap step "
            "is. The probabilities add up to 1. Measure them on prompts like yours."
        ),
    ] = None
    rule: Annotated[
        Literal["paper", "gpu_code", "curvature", "bent_curvature"] | None,
        means(
            "For `dynamic`, and only for a generation: when to leap. `paper`: when the cosine of the drifts stops "
            "growing, after half the steps. `gpu_code`: as in the published GPU code, for one row of the drift and "
            "from step 14. `curvature`: when the estimated error is at most `accepted_error`. `bent_curvature`: the "
            "same, and the leap follows the estimated curve."
        ),
    ] = None
    accepted_error: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=10)] | None,
        means("For the curvature rules: the error of the result that is accepted, relative to it, such as 0.05."),
    ] = None


class FirstSteps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    first: Annotated[int, msgspec.Meta(ge=0, le=1000), means("So many steps from the first.")]


class Tdtm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Temporal Dimension Token Merging: on which steps, in which units, whether a block's variants share a package."""

    steps: Annotated[
        Literal["none", "all"] | FirstSteps | tuple[Index, ...],
        means("On which steps tokens are merged. A list has the steps' numbers, from 0."),
    ] = "none"
    units: Annotated[
        tuple[Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=100)], ...],
        msgspec.Meta(min_length=1, max_length=100),
        means("In which units, of those that can merge tokens: patterns of their names, such as `[spatial_*]`."),
    ] = ("*",)
    packages: Annotated[
        Packages,
        means(
            "`shared`: one package holds a block with and without merging. `separate`: two packages, as the reference "
            "app has: twice the storage, and two first loads."
        ),
    ] = "shared"

    @property
    def is_separate(self) -> bool:
        """Whether a block that merges tokens lies in another package than the same block without."""
        return self.packages == "separate"

    def chosen(self, names: Iterable[str]) -> tuple[str, ...]:
        """The units among `names` that merge tokens."""
        return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in self.units))


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much memory the plan may use."""

    budget: Annotated[
        ByteCount | None,
        means(
            "The footprint that the plan must not exceed. A plan that cannot keep it is refused, with the block and "
            "the bytes that are missing. Without a budget, loads never wait for memory."
        ),
    ] = None
    entitlement: Annotated[
        bool,
        means("Whether the app has `com.apple.developer.kernel.increased-memory-limit`, with which iOS allows more."),
    ] = False


class BlockEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One block: a unit, or `first..last`; its compute units if they differ from the component's."""

    units: Annotated[str, means("A unit, or `first..last`.")]
    compute_units: Annotated[ComputeUnits | None, means("Where it runs, if elsewhere than its component.")] = None


class UnitsPerBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    units_per_block: Annotated[int, msgspec.Meta(ge=1, le=5000), means("So many units in each block.")]


class ComponentPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one component is cut, stored and loaded."""

    blocks: Annotated[
        Literal["reference", "unit", "whole"] | UnitsPerBlock | tuple[Annotated[str | BlockEntry, msgspec.Meta()], ...],
        means(
            "How it is cut. `reference`: as in the reference app, or every unit alone if that app does not have the "
            "component. `unit`: every unit alone. `whole`: one block. Or a list of blocks."
        ),
    ] = "reference"
    precision: Annotated[
        Precision | None,
        means("How weights are stored and in what the block computes, in one name. `float32` if nothing is given."),
    ] = None
    compute_units: Annotated[ComputeUnits, means("What Core ML may run it on. `all` is Core ML's own default.")] = (
        "cpu_and_gpu"
    )
    prefetch: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=64)] | Literal["app"],
        means(
            "Loads ahead: how many blocks ahead loads may begin. 0 loads a block when it is needed. `app`: as the "
            "reference app does."
        ),
    ] = 1
    keep: Annotated[Keep, means("Which blocks stay in memory from one pass to the next, see below.")] = "none"
    weights: Annotated[WeightFormat | None, means("How weights are stored. Instead of `precision`.")] = None
    activations: Annotated[ActivationFormat | None, means("In what the block computes. Instead of `precision`.")] = None
    loading: Annotated[Loading, means("Which of Apple's frameworks loads it, see below.")] = "core_ml"

    @property
    def stored(self) -> Precision:
        """The precision that `precision`, or `weights` and `activations`, name; float32 where nothing is said."""
        if self.weights is None:
            return self.precision or self.activations or "float32"
        usual: ActivationFormat = "float32" if self.weights == "float32" else "float16"
        return precision_of(self.weights, self.activations or usual) or self.weights


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole plan."""

    name: Annotated[Title, means("What reports call the plan.")]
    model: Annotated[
        Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=200)] | ConfiguredModel,
        means(
            "`opensora`, `small` (the model that ships with its weights), a model of the catalogue such as "
            "`sdxl_base_ios`, a model file (its path starts from the plan's folder), or a model by its config."
        ),
    ]
    video: Annotated[
        Video | None,
        means(
            "Size and length. By default 256x256 pixels and 68 frames; for `small` 64x64 pixels. A model file, "
            "or a model of the catalogue, has a fixed size and takes none."
        ),
    ] = None
    text_tokens: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=4096)] | None,
        means(
            "Tokens of the prompt that the denoiser attends to, at most and by default 300; for `small` 24. For a "
            "model by its config: tokens that its large text encoder reads, at most 4096."
        ),
    ] = None
    encoder_tokens: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=300)] | None,
        means(
            "Tokens that the text encoder is given, padding included; at least `text_tokens`. By default 300; for "
            "`small` 24."
        ),
    ] = None
    sampler: Annotated[Sampler, means("How often the network is evaluated, and when.")] = Sampler()
    lpl: Annotated[Lpl, means("Linear Proportional Leap: one last leap instead of the remaining steps.")] = Lpl()
    tdtm: Annotated[Tdtm, means("Temporal Dimension Token Merging.")] = Tdtm()
    memory: Annotated[Memory, means("How much memory the plan may use.")] = Memory()
    components: Annotated[
        dict[str, ComponentPlan],
        means("How each component is cut, stored and loaded. One that is not named gets the defaults."),
    ] = {}
    start: Annotated[
        Start,
        means(
            "What the app has done before. `first`: nothing, it is newly installed. `cached`: it generated in an "
            "earlier launch. `loaded`: it generated in this launch."
        ),
    ] = "first"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as data: msgspec leaves out a default that is the very object, which a copy of it is not."""
        return _plan_of, (plan_data(self),)

    def component(self, name: str) -> ComponentPlan:
        """The settings of a component: its own entry, else its family's, else the defaults."""
        return self.components.get(self.entry(name)) or ComponentPlan()

    def entry(self, name: str) -> str:
        """The key under which `components` would have a component's settings: its own, else its family's."""
        return family(name) if name not in self.components and family(name) in self.components else name

    @property
    def model_name(self) -> str:
        """What the model is called; one that is described from a config has no name that others know."""
        return self.model if isinstance(self.model, str) else f"{{config: {self.model.config}}}"

    @property
    def keeps_loaded(self) -> bool:
        """Whether any component stays loaded as long as the app lives."""
        return any(settings.keep == "always" for settings in self.components.values())

    def merges(self, step: int) -> bool:
        """Whether TDTM merges tokens on this step."""
        steps = self.tdtm.steps
        if isinstance(steps, FirstSteps):
            return step < steps.first
        return steps == "all" if isinstance(steps, str) else step in steps

    @property
    def merging_steps(self) -> frozenset[int]:
        """The steps on which TDTM merges tokens."""
        return frozenset(step for step in range(self.sampler.evaluations) if self.merges(step))

    def evaluation_odds(self) -> dict[int, float]:
        """Number of network evaluations -> its probability; all with certainty without LPL."""
        if self.lpl.mode == "fixed" and self.lpl.leap_step is not None:
            return {self.lpl.leap_step + 1: 1.0}
        if self.lpl.mode == "dynamic" and self.lpl.stop_steps:
            return {step + 1: p for step, p in sorted(self.lpl.stop_steps.items()) if p > 0}
        return {self.sampler.evaluations: 1.0}

    def most_evaluations(self) -> int:
        """Network evaluations of a schedule to be played: under dynamic LPL all, of which the last may not come."""
        return self.sampler.evaluations if self.lpl.mode == "dynamic" else self.evaluations()

    def evaluations(self) -> int:
        """The number of network evaluations that the trace shows: the median one under dynamic LPL."""
        passed = 0.0
        chosen = self.sampler.evaluations
        for count, probability in self.evaluation_odds().items():
            passed += probability
            chosen = count
            if passed >= 0.5:
                break
        return chosen

    def evaluated_steps(self) -> list[bool]:
        """Of each step whether it is evaluated, else leapt over; under dynamic LPL in the median run."""
        return evaluated_steps(self.sampler.grid, self.sampler.steps, self.evaluations())


def json_schema() -> dict[str, Any]:
    """The plan's JSON Schema, for editors: `# yaml-language-server: $schema=plan.schema.json`."""

    def custom(kind: type) -> dict[str, Any]:
        assert kind is ByteCount
        return {"type": ["integer", "number", "string"], "examples": ["3.3 GB", 3300000000]}

    (schema,), definitions = msgspec.json.schema_components([Plan], schema_hook=custom, ref_template="#/$defs/{name}")
    for kind in kinds_in(Plan):
        for key, text in meanings(kind).items():
            definitions[kind.__name__]["properties"][key]["description"] = text
    definitions["Plan"]["properties"]["extends"] = {"type": "string", "description": EXTENDS}
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return plain


def _plan_of(data: dict[str, Any]) -> Plan:
    return msgspec.convert(data, Plan, str_keys=True, dec_hook=decode)


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, to be written as YAML; what equals the default is left out."""
    data: dict[str, Any] = msgspec.to_builtins(plan, enc_hook=int)
    return data


def plan_hash(plan: Plan) -> str:
    """SHA-256 of the plan as data, the same however its file is written."""
    return hash_of(plan_data(plan))
