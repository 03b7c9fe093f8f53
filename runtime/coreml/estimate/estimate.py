"""What packages cost on a device, from their programs alone, and the model, profile and plan that `simulate` takes.

Each package becomes a unit of a described model: its FLOPs by class, and what it moves and keeps alive, in elements of
the component's precision so that bytes come out as counted. Its parameters are its stored bytes over that precision's.
Seconds are the device's own figures for these amounts, with their marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError, nearest
from ondevice_sora.base.files.writing import write_yaml
from ondevice_sora.base.interrupts import check
from ondevice_sora.base.units import format_bytes, format_percent
from ondevice_sora.plans.schema import BlockEntry, Plan, Sampler, plan_data
from ondevice_sora.profiles.blocks import PROCESSORS, BlockSpec, ComputeUnits
from ondevice_sora.profiles.devices import Device
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.models.model import (
    ActivationFormat,
    Component,
    Model,
    Precision,
    Unit,
    Variant,
    Work,
    activation_bytes,
    is_compressed,
    precision_of,
    weight_bytes,
    weight_format,
)
from ondevice_sora.profiles.models.operators import mean_work
from ondevice_sora.profiles.packages import package_rules, size_notes
from ondevice_sora.profiles.pricing import price_blocks
from ondevice_sora.profiles.profile import Profile, profile_data
from ondevice_sora.records.estimate import Estimate, EstimatedFunction, EstimatedPackage, Refused
from ondevice_sora.runtime.coreml.estimate.counting import Counted, count
from ondevice_sora.runtime.coreml.estimate.folders import Found, FoundBlock, Passes, none_left
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.package import Operation, Package
from ondevice_sora.runtime.coreml.package.types import TensorType
from ondevice_sora.runtime.coreml.package.weights import Weights, weights_of

Together = Literal["shared", "separate"]
DEFAULT_UNITS: ComputeUnits = "cpu_and_gpu"
LARGEST_WORK = 1e17
RESIDENT_TOLERANCE = 0.005
"""Beyond this relative difference a package's held weights are told to the profile, since the model's would be off."""
MODEL_FILE = "model.yaml"
FILES = (MODEL_FILE, "profile.yaml", "plan.yaml")


@dataclass(frozen=True)
class Described:
    """Packages as a model, with the profile and the plan (as data) that go with it."""

    model: Model
    profile: Profile
    plan: dict[str, Any]
    estimate: Estimate


@dataclass(frozen=True)
class _Counted:
    """A block with its weights and what each variant does; `tail` is what the last pass does instead."""

    found: FoundBlock
    weights: Weights
    works: dict[Variant, Counted]
    tail: Counted | None
    compute_units: ComputeUnits


Counts = tuple[list[_Counted], list[UserError]]
"""What was counted, and what could not be."""


def describe(
    found: Found,
    profile: Profile,
    device: Device,
    *,
    name: str,
    compute_units: ComputeUnits | None = None,
    passes: Mapping[str, Passes] | None = None,
    steps: int = 30,
    is_lenient: bool = False,
    together: Together | None = None,
    counts: Counts | None = None,
) -> Described:
    """Everything that is known of the packages on the device.

    compute_units   of all blocks; without, as an export's plan says, else CPU and GPU
    passes          how often components are walked in a generation; without, as an export says, else once
    steps           of the plan; an export has its own
    together        whether functions of one package that are loaded together hold their weights once or each for
                    itself; the plan then keeps them loaded. Nobody documents which it is
    is_lenient      tells in the estimate which packages could not be read or counted, as long as one remains
    counts          of the same packages, where they were counted before: they do not depend on the device

    Raises UserError for a package that cannot be counted, or for passes of a component that there is not.
    """
    counted, refused = counts or count_packages(found, compute_units, is_lenient=is_lenient)
    components: dict[str, list[_Counted]] = {}
    for each in counted:
        components.setdefault(each.found.component, []).append(each)
    for component in passes or ():
        if component not in components:
            raise UserError(f"there is no component '{component}'", "--passes", nearest(component, list(components)))
    walked = {**found.passes, **(passes or {})}
    precisions = {component: _precision(blocks) for component, blocks in components.items()}
    model = Model(
        name=name,
        source=_source(refused),
        components=tuple(
            _component(component, blocks, precisions[component], walked.get(component, 1))
            for component, blocks in components.items()
        ),
        is_rectified_flow=found.plan is not None,
    )
    _check(model, [each.found for each in counted])
    held = profile.costs.loads.compressed_held_bytes.value
    measurements = [m for each in counted for m in _measurements(each, model.name, precisions, held, together)]
    described = replace(profile, measurements=(*profile.measurements, *measurements), name="")
    is_cached = profile.fits_page_cache(
        device, sum(each.weights.stored_bytes for each in counted if each.found.is_first)
    )
    specs = _specs(model, components, precisions, device.engine_bytes)
    rows = [_row(each, specs, described, device, held, is_cached) for each in counted]
    notes = [*found.notes, *_together_notes(counted, held, together)]
    if "steps" not in walked.values() and not passes:
        largest = max(components, key=lambda name: sum(each.weights.stored_bytes for each in components[name]))
        notes.append(f"no component is walked every step: say which with --passes, e.g. --passes {largest}=steps")
    return Described(
        model,
        described,
        _plan(model, components, precisions, found.plan, steps, together),
        Estimate(device.name, rows, notes, [Refused(each.where or "", each.what, each.mend or "") for each in refused]),
    )


def _component(name: str, blocks: Sequence[_Counted], precision: Precision, passes: Passes) -> Component:
    """A component with a unit for each block."""
    return Component(name, passes, tuple(_unit(each, precision, passes) for each in blocks))


Specs = dict[tuple[str, str, Variant], BlockSpec]
"""By component, unit and variant."""


def _specs(
    model: Model,
    components: Mapping[str, Sequence[_Counted]],
    precisions: Mapping[str, Precision],
    engine_bytes: int,
) -> Specs:
    """Every variant of every block, as it is priced."""
    found: Specs = {}
    for component in model.components:
        precision = precisions[component.name]
        for each, unit in zip(components[component.name], component.units, strict=True):
            for variant in each.works:
                found[component.name, unit.name, variant] = BlockSpec(
                    model=model.name,
                    component=component.name,
                    index=0,
                    name=unit.name,
                    units=(unit,),
                    variant=variant,
                    precision=precision,
                    compute_units=each.compute_units,
                    engine_bytes=engine_bytes,
                )
    return found


def _source(refused: Sequence[UserError]) -> str:
    """Where the model is from; what it lacks is said in it, since it is simulated as if it were all."""
    source = "counted from the operations of Core ML packages by `ondevice-sora profile estimate`"
    return f"{source}; {len(refused)} more could not be counted and are missing" if refused else source


def write_described(described: Described, directory: Path) -> None:
    """Write FILES, which `simulate` takes, to a folder that is made if it is not there. Raises UserError."""
    comment = "Written by `ondevice-sora profile estimate` from the operations of Core ML packages; nothing was run."
    directory.mkdir(exist_ok=True)
    data = msgspec.to_builtins(described.model), profile_data(described.profile), described.plan
    for name, content in zip(FILES, data, strict=True):
        write_yaml(directory / name, content, comment)


def _check(model: Model, blocks: Sequence[FoundBlock]) -> None:
    """Raises UserError for a model that a model file could not hold, such as one with passes below one."""
    names = [(block.component, block.unit) for block in blocks]
    try:
        msgspec.convert(msgspec.to_builtins(model), Model)
    except msgspec.ValidationError as error:
        raise UserError(f"these packages make no model: {error}", str(blocks[0].path.parent)) from None
    if len(set(names)) < len(names):
        raise UserError("two blocks begin with the same unit", str(blocks[0].path.parent))


def count_packages(found: Found, compute_units: ComputeUnits | None, *, is_lenient: bool = False) -> Counts:
    """What can be counted, and the complaints about the rest. Raises UserError if nothing can, or for the first."""
    if not is_lenient:
        found.complete()
    counted, refused = [], [*found.refused]
    for block in found.blocks:
        try:
            counted.append(_count(block, compute_units))
        except PackageError as error:
            refused.append(error)
            if not is_lenient:
                break
    if refused and (not counted or not is_lenient):
        raise none_left(refused) if is_lenient else refused[0]
    return counted, refused


def _count(found: FoundBlock, compute_units: ComputeUnits | None) -> _Counted:
    """Raises PackageError with the package's path."""
    check()
    try:
        works = {variant: count(function) for variant, function in found.functions.items()}
        tail = None if found.tail is None else count(found.tail)
        for counted in (*works.values(), *filter(None, [tail])):
            if max(counted.flops, counted.moved_bytes, counted.peak_bytes) > LARGEST_WORK:
                raise PackageError("one run would do more than 1e17 operations, or move or hold as many bytes")
    except PackageError as error:
        place = f"{found.path}: {error.where}" if error.where else str(found.path)
        raise PackageError(error.what, place, error.mend) from None
    units = compute_units or found.compute_units or DEFAULT_UNITS
    return _Counted(found, weights_of(found.packages), works, tail, units)


def _precision(counted: Sequence[_Counted]) -> Precision:
    """That of most of the component's weights, and of most of what its operations make."""
    sizes: dict[Precision, int] = {}
    for each in counted:
        sizes[each.weights.precision] = sizes.get(each.weights.precision, 0) + each.weights.stored_bytes
    weights = weight_format(max(sizes, key=lambda precision: sizes[precision]))
    made: dict[ActivationFormat, int] = {"float32": 0, "float16": 0}
    for each in counted:
        for function in each.found.functions.values():
            for operation in function.walk():
                made["float32"] += _makes(operation, ("fp32",)) and not operation.type.startswith("const")
                made["float16"] += _makes(operation, ("fp16",)) and not operation.type.startswith("const")
    return precision_of(weights, max(made, key=lambda name: made[name])) or weights


def _unit(each: _Counted, precision: Precision, passes: Passes) -> Unit:
    """A unit whose bytes at the component's precision are the package's."""
    width = activation_bytes(precision)
    works = {variant: _work(counted, width, variant) for variant, counted in each.works.items()}
    if each.tail is not None and isinstance(passes, int) and passes > 1:
        works["plain"] = mean_work([(works["plain"], passes - 1), (_work(each.tail, width, "plain"), 1)])
    works = {
        variant: work.in_turn(each.found.runs, each.works[variant].edge_bytes / width)
        for variant, work in works.items()
    }
    parameters = round(each.weights.stored_bytes / weight_bytes(precision))
    return Unit(each.found.unit, parameters, works["plain"], works.get("tdtm"))


def _work(counted: Counted, width: int, variant: Variant) -> Work:
    return Work(
        matmul_flops=float(counted.matmul_flops),
        attention_flops=float(counted.attention_flops),
        convolution_flops=float(counted.convolution_flops),
        moved_elements=counted.moved_bytes / width,
        working_elements=counted.peak_bytes / width,
        token_merges=counted.token_merges if variant == "tdtm" else 0,
    )


def _measurements(
    each: _Counted, model: str, precisions: Mapping[str, Precision], held: float, together: Together | None
) -> list[Measurement]:
    """What the block holds, where its weights are not all of the component's precision, or another block has them."""
    precision = precisions[each.found.component]
    own = each.weights.held_bytes(held)[each.compute_units]
    parameters = round(each.weights.stored_bytes / weight_bytes(precision))
    per_weight = weight_bytes(precision)
    if is_compressed(precision) and each.compute_units in ("cpu_only", "cpu_and_gpu"):
        per_weight = held
    source = "counted from the package: weights of several precisions, or compressed ones"
    if together == "shared" and not each.found.is_first:
        own, source = 0, "assumed: another function of the package holds its weights already; not known"
    elif abs(own - parameters * per_weight) <= RESIDENT_TOLERANCE * max(own, 1):
        return []
    return [
        Measurement(
            model=model,
            component=each.found.component,
            first_unit=each.found.unit,
            last_unit=each.found.unit,
            variant=variant,
            precision=precision,
            compute_units=each.compute_units,
            resident_bytes=Figure(float(own), "estimated", source),
        )
        for variant in each.works
    ]


def _together_notes(counted: Sequence[_Counted], held: float, together: Together | None) -> list[str]:
    """What functions of one package hold when all are loaded."""
    packages: dict[tuple[Path, str], list[int]] = {}
    for each in counted:
        own = each.weights.held_bytes(held)[each.compute_units]
        packages.setdefault((each.found.path, each.found.unit), []).append(own)
    shared = sum(max(sizes) for sizes in packages.values())
    separate = sum(sum(sizes) for sizes in packages.values())
    if shared == separate:
        return []
    told = f"all functions loaded together hold {format_bytes(shared)} if they share weights in memory"
    told += f" and {format_bytes(separate)} if each has its own; which of the two is not known"
    if together is None:
        return [f"{told}. --loaded-together shared or separate writes a plan for it"]
    return [f"{told}. Assumed here: {together}"]


def _row(
    each: _Counted,
    specs: Specs,
    profile: Profile,
    device: Device,
    held: float,
    is_cached: bool,
) -> EstimatedPackage:
    own = [specs[each.found.component, each.found.unit, variant] for variant in each.works]
    dram = device.hardware.dram_bytes_per_s.value
    costs = price_blocks(own, profile.costs, profile.measurements, dram_bytes_per_s=dram, is_cached=is_cached)
    functions = [
        EstimatedFunction(
            component=each.found.component,
            unit=each.found.unit,
            variant=variant,
            function=each.found.functions[variant].name,
            operations=dict(counted.operations.most_common()),
            matmul_flops=float(counted.matmul_flops),
            attention_flops=float(counted.attention_flops),
            convolution_flops=float(counted.convolution_flops),
            moved_bytes=counted.moved_bytes,
            working_bytes=counted.peak_bytes,
            load_cold_s=float(costs.load_cold_s[index, 0]),
            load_warm_s=float(costs.load_warm_s[index, 0]),
            run_s=float(costs.run_s[index, 0]),
            load_marks=costs.load_marks[index],
            run_marks=costs.run_marks[index],
        )
        for index, (variant, counted) in enumerate(each.works.items())
    ]
    ane_notes = _ane_notes(each) if PROCESSORS[each.compute_units] == "ane" else []
    sizes = list(map(_file_bytes, each.found.packages))
    return EstimatedPackage(
        path=str(each.found.path),
        compute_units=each.compute_units,
        precision=each.weights.precision,
        file_bytes=sum(sizes),
        weight_bytes=each.weights.stored_bytes,
        filler_bytes=each.weights.filler_bytes,
        parameters=each.weights.parameters,
        held_bytes=each.weights.held_bytes(held),
        functions=functions,
        shares_weights=not each.found.is_first,
        notes=[*size_notes(max(sizes), each.compute_units, device), *_count_notes(each), *ane_notes],
    )


def _file_bytes(package: Package) -> int:
    return package.model_bytes + package.weight_bytes


def _count_notes(each: _Counted) -> list[str]:
    """What could not be counted, or was left out."""
    notes = []
    unknown = sorted(set().union(*(counted.unknown for counted in each.works.values())))
    if unknown:
        notes.append(f"operations that are not known here, counted as moving bytes: {', '.join(unknown)}")
    if any(counted.open_loops for counted in each.works.values()):
        notes.append("has loops; a loop's body is counted once, since its rounds are not known")
    if each.weights.zeros:
        share = format_percent(each.weights.zeros / each.weights.compressed_count)
        notes.append(f"its compressed weights are sparse: {share} are zeros that are not stored")
    if each.found.runs > 1:
        notes.append("runs twice at a visit, once for each branch of guidance; the seconds are of both")
    notes += each.found.notes
    return notes


def _ane_notes(each: _Counted) -> list[str]:
    """Operations that were seen not to run on the Neural Engine, with how many there are."""
    notes = []
    operations = [op for function in each.found.functions.values() for op in function.walk()]
    for rule in package_rules().not_on_ane:
        met = [op for op in operations if op.type in rule.operations or _makes(op, rule.dtypes)]
        if met:
            notes.append(f"not on the Neural Engine: {rule.what} ({len(met)} operations), {rule.why} ({rule.source})")
    return notes


def _makes(operation: Operation, dtypes: Sequence[str]) -> bool:
    return any(isinstance(out.type, TensorType) and out.type.dtype in dtypes for out in operation.outputs)


def _plan(
    model: Model,
    components: Mapping[str, Sequence[_Counted]],
    precisions: Mapping[str, Precision],
    exported: Plan | None,
    steps: int,
    together: Together | None,
) -> dict[str, Any]:
    """An export's own plan for its blocks; else one that loads one package ahead, a start to edit."""
    base = exported or Plan(model.name, MODEL_FILE, sampler=Sampler(steps))
    loaded = {"keep": "always"} if together else {}
    plan = replace(
        base,
        name=model.name,
        model=MODEL_FILE,
        video=None,
        text_tokens=None,
        encoder_tokens=None,
        components={
            name: replace(
                base.component(name),
                blocks=tuple(BlockEntry(each.found.unit, each.compute_units) for each in blocks),
                precision=precisions[name],
                compute_units=blocks[0].compute_units,
                **loaded,
            )
            for name, blocks in components.items()
        },
    )
    return {**plan_data(plan), "sampler": {"steps": base.sampler.steps}}
