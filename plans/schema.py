"""The plan: everything decided before a run, as read from plan.yaml.

A plan may start from another one with `extends: other.yaml`. `ondevice-sora plan schema` prints the JSON Schema of
this file for editors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.complaints import decode
from ondevice_sora.base.files.documents import Document
from ondevice_sora.base.files.reading import read_extended
from ondevice_sora.base.text import LINE, Title
from ondevice_sora.plans.step_file import planned_grid
from ondevice_sora.plans.step_plan import Even, Grid, Index, Solver, Steps, check_grid, evaluated_steps, num_evaluations
from ondevice_sora.profiles.blocks import ComputeUnits, Loading
from ondevice_sora.profiles.figures import ByteCount
from ondevice_sora.profiles.models.configured import ConfiguredModel, config_path
from ondevice_sora.profiles.models.model import (
    ActivationFormat,
    Branches,
    Precision,
    WeightFormat,
    family,
    precision_of,
)

READY = Path(__file__).parent / "ready"
CURVATURE_RULES = ("curvature", "bent_curvature")

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Packages = Literal["shared", "separate"]
Start = Literal["first", "cached", "loaded"]
Keep = (
    Literal["none", "app", "paper", "belady", "optimal", "always"]
    | Annotated[int, msgspec.Meta(ge=0, le=5000)]
    | tuple[str, ...]
)


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Width and height in pixels, length in frames."""

    width: Annotated[int, msgspec.Meta(ge=64, le=2048)]
    height: Annotated[int, msgspec.Meta(ge=64, le=2048)]
    frames: Annotated[int, msgspec.Meta(ge=1, le=1000)]


def guidance_branches(guidance: float) -> Literal[1, 2]:
    """Branches of one network evaluation: 2, with the prompt and with none; 1 at a guidance of 1.0, with the prompt.

    v_uncond + 1.0 * (v_cond - v_uncond) is v_cond.
    """
    return 1 if guidance == 1.0 else 2


class Sampler(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rectified-flow sampling with classifier-free guidance.

    branches  of guidance, with the prompt and with none: both in one `batch`, or `in_turn`: at each of its visits a
              block runs for one and then for the other, which takes half the working memory and loads nothing twice
    grid      `even`: `steps` network evaluations at the model's own even times; else see Grid
    solver    from one time to the next: `euler`, along the drift; `ab2`, the two-step Adams-Bashforth method on uneven
              steps, along the drift and its change since the evaluation before
    """

    steps: Steps = 30
    guidance: Annotated[float, msgspec.Meta(ge=0, le=100)] = 7.0
    branches: Branches = "batch"
    grid: Even | Grid = "even"
    solver: Solver = "euler"

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
    packages: Packages = "shared"

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

    precision  how weights are stored and in what the arithmetic is, in one name; `weights` and `activations` say the
               two apart. Weights of 8 bits and fewer are computed with in float16 unless `activations` says float32
    blocks     `reference` (the reference app's partition), `unit` (every unit alone), `whole`, `units_per_block: n`, or
               a list of blocks, each a unit, `first..last`, or {units, compute_units}
    prefetch   how many visits before its own a load may begin; 0 loads when needed; `app` follows the reference app:
               one ahead, but not for the first two and the last block of a pass, and not in the first denoising step
    keep       which blocks stay resident between passes: `none`; `paper`, the first that fit in what the first step
               leaves free (App. A.1); `app`, the reference app's 170 MB rule; `belady`, whatever fits beside the
               windows, giving up first what is needed last; `optimal`, those with which the plan is fastest; a
               number, that many from the first; or a list of blocks, each named by its first unit. `always`: all of
               them, and after the last pass too, as long as the app lives
    loading    `core_ml`, or `core_ai`: compiled ahead of time, with weights that are not charged to the app on the GPU
    """

    blocks: (
        Literal["reference", "unit", "whole"] | UnitsPerBlock | tuple[Annotated[str | BlockEntry, msgspec.Meta()], ...]
    ) = "reference"
    precision: Precision | None = None
    compute_units: ComputeUnits = "cpu_and_gpu"
    prefetch: Annotated[int, msgspec.Meta(ge=0, le=64)] | Literal["app"] = 1
    keep: Keep = "none"
    weights: WeightFormat | None = None
    activations: ActivationFormat | None = None
    loading: Loading = "core_ml"

    @property
    def stored(self) -> Precision:
        """The precision that `precision`, or `weights` and `activations`, name; float32 where nothing is said."""
        if self.weights is None:
            return self.precision or self.activations or "float32"
        usual: ActivationFormat = "float32" if self.weights == "float32" else "float16"
        return precision_of(self.weights, self.activations or usual) or self.weights


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole plan. `components` is keyed by component; `decoder` stands for those of its stages that have no entry.

    `start` says what the app has done before the clock starts:

    first    nothing: it is newly installed, so each package's first load specialises it for the device
    cached   it has generated in an earlier launch: packages are specialised, nothing is in memory
    loaded   it has generated in this launch: components with `keep: always` are in memory besides
    """

    name: Title
    model: Annotated[str, LINE, msgspec.Meta(min_length=1, max_length=200)] | ConfiguredModel
    video: Video | None = None
    text_tokens: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    encoder_tokens: Annotated[int, msgspec.Meta(ge=1, le=300)] | None = None
    sampler: Sampler = Sampler()
    lpl: Lpl = Lpl()
    tdtm: Tdtm = Tdtm()
    memory: Memory = Memory()
    components: dict[str, ComponentPlan] = {}
    start: Start = "first"

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

    def leap_steps(self) -> dict[int, float]:
        """Number of network evaluations -> its probability; all with certainty without LPL."""
        if self.lpl.mode == "fixed" and self.lpl.leap_step is not None:
            return {self.lpl.leap_step + 1: 1.0}
        if self.lpl.mode == "dynamic" and self.lpl.stop_steps:
            return {step + 1: p for step, p in sorted(self.lpl.stop_steps.items()) if p > 0}
        return {self.sampler.evaluations: 1.0}

    def most_evaluations(self) -> int:
        """The network evaluations of a schedule to be played: under dynamic LPL all, of which the last may not come."""
        return self.sampler.evaluations if self.lpl.mode == "dynamic" else self.evaluations()

    def evaluations(self) -> int:
        """The number of network evaluations that the trace shows: the median one under dynamic LPL."""
        passed = 0.0
        chosen = self.sampler.evaluations
        for count, probability in self.leap_steps().items():
            passed += probability
            chosen = count
            if passed >= 0.5:
                break
        return chosen

    def evaluated_steps(self) -> list[bool]:
        """Of each step whether it is evaluated, else leapt over; under dynamic LPL in the median run."""
        return evaluated_steps(self.sampler.grid, self.sampler.steps, self.evaluations())


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


@dataclass(frozen=True)
class LoadedPlan:
    """A plan and the document it was read from; none for a plan made in a program."""

    plan: Plan
    document: Document | None = None

    def locating(self, field: str | None = None) -> AbstractContextManager[None]:
        """Complaints from within about a key of the plan name its line; those about nothing named are about `field`."""
        return nullcontext() if self.document is None else self.document.locating(field)

    def changed(self, **settings: Any) -> LoadedPlan:
        """The same with other settings; complaints about them name the lines that they had."""
        return LoadedPlan(msgspec.structs.replace(self.plan, **settings), self.document)

    @property
    def folder(self) -> Path:
        """Where the path of a model that lists its units starts from."""
        return Path() if self.document is None else self.document.file_of("$.model").parent

    def moved_to(self, folder: Path) -> Plan:
        """The plan as it is to be written in a folder: a path that `model` names leads from there."""
        model = self.plan.model
        if isinstance(model, str):
            if not model.endswith((".yaml", ".yml", ".json")):
                return self.plan
            return msgspec.structs.replace(self.plan, model=self._from(folder, model))
        if config_path(model.config, self.folder) is None:
            return self.plan
        moved = msgspec.structs.replace(model, config=self._from(folder, model.config))
        return msgspec.structs.replace(self.plan, model=moved)

    def _from(self, folder: Path, path: str) -> str:
        return os.path.relpath((self.folder / path).resolve(), folder.resolve())

    def says(self, field: str) -> bool:
        """Whether the document has a value for '$.sampler.guidance', for instance, be it the default."""
        return self.document is not None and field in self.document.lines


def load_plan(name: str | Path) -> LoadedPlan:
    """A plan by path or, if it is a ready one, by name. Raises UserError."""
    return read_plan(read_extended(find_plan(str(name)), READY))


def read_plan(document: Document) -> LoadedPlan:
    """The plan in a document whose `extends` has been followed; a planned grid is looked up. Raises UserError."""
    plan = document.convert(Plan)
    with document.locating():
        check_plan(plan)
        sampler = plan.sampler
        if isinstance(sampler.grid, Grid) and sampler.grid.planned is not None:
            folder = document.file_of("$.sampler.grid.planned").parent
            grid = planned_grid(sampler.grid.planned, folder, plan.model_name, sampler.steps)
            plan = msgspec.structs.replace(plan, sampler=msgspec.structs.replace(sampler, grid=grid))
    return LoadedPlan(plan, document)


def check_plan(plan: Plan) -> None:
    """What a schema cannot say: steps that do not exist, probabilities that do not add up, options without effect."""
    check_grid(plan.sampler.grid, plan.sampler.steps)
    if plan.sampler.branches == "in_turn" and plan.sampler.num_branches == 1:
        what = "has no effect: a guidance of 1.0 computes one branch"
        raise UserError(what, mend="Remove it, or write batch.", field="$.sampler.branches")
    lpl, steps = plan.lpl, plan.sampler.evaluations
    _check_lpl(lpl)
    if lpl.mode != "off" and plan.sampler.solver != "euler":
        what = f"LPL leaps along the last drift, which is Euler's step, and the solver is {plan.sampler.solver}"
        raise UserError(what, mend="Write solver: euler, or a grid instead of LPL.", field="$.lpl.mode")
    if plan.start == "loaded" and not plan.keeps_loaded:
        mend = "Write keep: always for the components that do, or start: cached."
        raise UserError("no component stays loaded from one generation to the next", mend=mend, field="$.start")
    for name, component in plan.components.items():
        _check_precision(component, f"$.components.{name}")
    for evaluations in plan.leap_steps():
        if evaluations > steps:
            where = "$.lpl.leap_step" if lpl.mode == "fixed" else "$.lpl.stop_steps"
            raise UserError(
                f"leap step {evaluations - 1} lies beyond the {steps} steps",
                mend=f"Write a step from 0 to {steps - 1}.",
                field=where,
            )
    if lpl.stop_steps is not None and abs(sum(lpl.stop_steps.values()) - 1.0) > 1e-6:
        total = sum(lpl.stop_steps.values())
        raise UserError(f"the probabilities add up to {total:g}, not 1", field="$.lpl.stop_steps")
    merging = plan.tdtm.steps
    listed = (
        merging if isinstance(merging, tuple) else ((merging.first - 1,) if isinstance(merging, FirstSteps) else ())
    )
    for step in listed:
        if step >= steps:
            raise UserError(
                f"step {step} lies beyond the {steps} steps",
                mend=f"Steps go from 0 to {steps - 1}.",
                field="$.tdtm.steps",
            )
    if len(set(listed)) != len(listed):
        raise UserError("a step is listed twice", field="$.tdtm.steps")


def loaded_by_core_ai(plan: Plan) -> str | None:
    """The first component that is to be loaded by Core AI, by its key in the plan; None if there is none."""
    return next((name for name, settings in plan.components.items() if settings.loading == "core_ai"), None)


def refuse_core_ai(plan: Plan) -> None:
    """Of what Core ML loads, or this machine. Raises UserError for a plan whose components Core AI is to load."""
    name = loaded_by_core_ai(plan)
    if name is not None:
        what = "blocks are exported and run through Core ML; Core AI is only simulated"
        raise UserError(what, mend="Write loading: core_ml.", field=f"$.components.{name}.loading")


def check_merging_units(plan: Plan, names: Iterable[str]) -> None:
    """`names` are all units that could merge tokens. Raises UserError for a pattern that chooses none of them."""
    names = list(names)
    for row, pattern in enumerate(plan.tdtm.units):
        if not msgspec.structs.replace(plan.tdtm, units=(pattern,)).chosen(names):
            what = f"no unit that merges tokens has a name like '{pattern}'"
            raise UserError(what, mend=nearest(pattern, names), field=f"$.tdtm.units[{row}]")


def _check_precision(component: ComponentPlan, where: str) -> None:
    """One way to say how a component is stored, and a pair of formats that Core ML has."""
    pair = {"weights": component.weights, "activations": component.activations}
    said = [key for key, value in pair.items() if value is not None]
    if component.precision is not None and said:
        raise UserError(
            "has no effect beside `precision`, which says both",
            mend="Write `precision`, or `weights` and `activations`.",
            field=f"{where}.{said[0]}",
        )
    weights, activations = component.weights, component.activations
    if weights is not None and activations is not None and precision_of(weights, activations) is None:
        raise UserError(
            "Core ML stores the weights of float16 arithmetic in float16 or fewer bits",
            mend="Write weights: float16.",
            field=f"{where}.weights",
        )


def _check_lpl(lpl: Lpl) -> None:
    """Each mode needs its keys and has no use for another's."""
    if lpl.mode == "fixed" and lpl.leap_step is None:
        raise UserError("mode 'fixed' needs a leap_step", mend="Add `leap_step: 15`, for instance.", field="$.lpl")
    if lpl.mode == "dynamic" and not lpl.stop_steps and lpl.rule is None:
        raise UserError(
            "mode 'dynamic' needs stop_steps, to be simulated, or a rule, to generate with",
            mend="Add `stop_steps: {17: 0.6, 18: 0.4}` or `rule: paper`, for instance.",
            field="$.lpl",
        )
    for key, mode in (("leap_step", "fixed"), ("stop_steps", "dynamic"), ("rule", "dynamic")):
        if lpl.mode != mode and getattr(lpl, key) is not None:
            raise UserError(
                f"has no effect with mode '{lpl.mode}'", mend=f"Remove it, or write mode: {mode}.", field=f"$.lpl.{key}"
            )
    if lpl.rule in CURVATURE_RULES:
        if lpl.accepted_error is None:
            raise UserError(
                f"rule '{lpl.rule}' needs an accepted_error",
                mend="Add `accepted_error: 0.05`, for instance.",
                field="$.lpl",
            )
    elif lpl.accepted_error is not None:
        which = f"rule '{lpl.rule}'" if lpl.rule else f"mode '{lpl.mode}' and no rule"
        raise UserError(
            f"has no effect with {which}", mend="Remove it, or write rule: curvature.", field="$.lpl.accepted_error"
        )


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


def _plan_of(data: dict[str, Any]) -> Plan:
    return msgspec.convert(data, Plan, str_keys=True, dec_hook=decode)


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, to be written as YAML; what equals the default is left out."""
    data: dict[str, Any] = msgspec.to_builtins(plan, enc_hook=int)
    return data
