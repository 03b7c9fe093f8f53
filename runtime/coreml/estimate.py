"""What packages cost on a device, from their programs alone, and the model, profile and plan that `simulate` takes.

Each package becomes a unit of a described model: its FLOPs by class, and what it moves and keeps alive, in elements of
the component's precision so that bytes come out as counted. Its parameters are its stored bytes over that precision's.
Seconds are the device's own figures for these amounts, with their marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from profiles.costs import BlockSpec, ComputeUnits, Measurement, activation_bytes, price
from profiles.devices import Device
from profiles.errors import UserError, nearest
from profiles.estimated import Estimate, EstimatedFunction, EstimatedPackage
from profiles.figures import Figure
from profiles.models import STORED_BYTES, Component, Model, Precision, Unit, Variant, Work
from profiles.packages import package_rules
from profiles.profile import Profile
from runtime.coreml.counting import Counted, count
from runtime.coreml.errors import PackageError
from runtime.coreml.folders import FoundPackage
from runtime.coreml.package import Operation
from runtime.coreml.types import TensorType
from runtime.coreml.weights import Weights, weights_of

Passes = int | Literal["steps"]
RESIDENT_TOLERANCE = 0.005
"""Beyond this relative difference a package's held weights are told to the profile, since the model's would be off."""
MODEL_FILE = "model.yaml"


@dataclass(frozen=True)
class Described:
    """Packages as a model, with the profile and the plan (as data) that go with it."""

    model: Model
    profile: Profile
    plan: dict[str, Any]
    estimate: Estimate


@dataclass(frozen=True)
class _Counted:
    found: FoundPackage
    weights: Weights
    works: dict[Variant, Counted]


def describe(
    packages: Sequence[FoundPackage],
    profile: Profile,
    device: Device,
    compute_units: ComputeUnits,
    *,
    name: str,
    passes: Mapping[str, Passes],
    steps: int,
) -> Described:
    """Everything that is known of the packages on the device.

    `passes` says of components how often they are walked in a generation; once, of those that it leaves out. Raises
    UserError for a package that cannot be counted, or for passes of a component that there is not.
    """
    counted = [_count(found) for found in packages]
    components = list(dict.fromkeys(each.found.component for each in counted))
    for component in passes:
        if component not in components:
            raise UserError(f"there is no component '{component}'", "--passes", nearest(component, components))
    precisions = {name: _precision([each for each in counted if each.found.component == name]) for name in components}
    model = Model(
        name=name,
        source="counted from the operations of Core ML packages by `ondevice-sora profile estimate`",
        components=tuple(
            Component(
                component,
                passes.get(component, 1),
                tuple(_unit(each, precisions[component]) for each in counted if each.found.component == component),
            )
            for component in components
        ),
    )
    held = profile.costs.loads.compressed_held_bytes.value
    measurements = [
        measurement
        for each in counted
        for measurement in _measurements(each, model, precisions[each.found.component], compute_units, held)
    ]
    described = Profile(
        device=profile.device,
        costs=profile.costs,
        hardware=profile.hardware,
        conditions=profile.conditions,
        measurements=(*profile.measurements, *measurements),
        fit=profile.fit,
    )
    rows = [
        _row(each, model, precisions[each.found.component], compute_units, described, device, held) for each in counted
    ]
    notes = []
    if not any(each == "steps" for each in passes.values()):
        notes.append("no component is walked every step: say which with --passes, e.g. --passes denoiser=steps")
    return Described(
        model, described, _plan(model, precisions, compute_units, steps),
        Estimate(device.name, compute_units, rows, notes),
    )  # fmt: skip


def _count(found: FoundPackage) -> _Counted:
    """Raises PackageError with the package's path."""
    try:
        works = {variant: count(function) for variant, function in found.functions.items()}
    except PackageError as error:
        raise PackageError(error.what, f"{found.path}: {error.where}", error.mend) from None
    return _Counted(found, weights_of(found.package.functions), works)


def _precision(counted: Sequence[_Counted]) -> Precision:
    """That of most of the component's weights."""
    sizes: dict[Precision, int] = {}
    for each in counted:
        sizes[each.weights.precision] = sizes.get(each.weights.precision, 0) + each.weights.stored_bytes
    return max(sizes, key=lambda precision: sizes[precision])


def _unit(each: _Counted, precision: Precision) -> Unit:
    width = activation_bytes(precision)
    works = {
        variant: Work(
            matmul_flops=float(counted.matmul_flops),
            attention_flops=float(counted.attention_flops),
            convolution_flops=float(counted.convolution_flops),
            moved_elements=counted.moved_bytes / width,
            working_elements=counted.peak_bytes / width,
            token_merges=counted.token_merges if variant == "tdtm" else 0,
        )
        for variant, counted in each.works.items()
    }
    parameters = round(each.weights.stored_bytes / STORED_BYTES[precision])
    return Unit(each.found.unit, parameters, works["plain"], works.get("tdtm"))


def _spec(each: _Counted, model: Model, precision: Precision, units: ComputeUnits, variant: Variant) -> BlockSpec:
    component = next(component for component in model.components if component.name == each.found.component)
    unit = next(unit for unit in component.units if unit.name == each.found.unit)
    return BlockSpec(model.name, component.name, 0, unit.name, (unit,), variant, precision, units)


def _measurements(
    each: _Counted, model: Model, precision: Precision, units: ComputeUnits, held: float
) -> list[Measurement]:
    """What the package holds, where its weights are not all of the component's precision."""
    own = each.weights.held_bytes(held)[units]
    parameters = round(each.weights.stored_bytes / STORED_BYTES[precision])
    per_weight = {"float32": 4.0, "float16": 2.0}.get(precision, held)
    if abs(own - parameters * per_weight) <= RESIDENT_TOLERANCE * max(own, 1):
        return []
    source = "counted from the package: weights of several precisions, or compressed ones"
    return [
        Measurement(
            model=model.name,
            component=each.found.component,
            first_unit=each.found.unit,
            last_unit=each.found.unit,
            variant=variant,
            precision=precision,
            compute_units=units,
            resident_bytes=Figure(float(own), "estimated", source),
        )
        for variant in each.works
    ]


def _row(
    each: _Counted,
    model: Model,
    precision: Precision,
    units: ComputeUnits,
    profile: Profile,
    device: Device,
    held: float,
) -> EstimatedPackage:
    variants = list(each.works)
    specs = [_spec(each, model, precision, units, variant) for variant in variants]
    dram = device.hardware.dram_bytes_per_s.value
    costs = price(specs, profile.costs, measurements=profile.measurements, dram_bytes_per_s=dram)
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
    package = each.found.package
    return EstimatedPackage(
        path=str(each.found.path),
        precision=each.weights.precision,
        file_bytes=package.model_bytes + package.weight_bytes,
        weight_bytes=each.weights.stored_bytes,
        parameters=each.weights.parameters,
        held_bytes=each.weights.held_bytes(held),
        functions=functions,
        notes=[*_size_notes(each, units), *_count_notes(each), *(_ane_notes(each) if units == "cpu_and_ne" else ())],
    )


def _size_notes(each: _Counted, units: ComputeUnits) -> list[str]:
    size = each.found.package.model_bytes + each.found.package.weight_bytes
    return [
        f"larger than {limit.limit_bytes.value:.4g} bytes: {limit.effect} ({limit.limit_bytes.source})"
        for limit in package_rules().size_limits
        if limit.compute_units == units and size > limit.limit_bytes.value
    ]


def _count_notes(each: _Counted) -> list[str]:
    """What could not be counted, or was left out."""
    notes = []
    unknown = sorted(set().union(*(counted.unknown for counted in each.works.values())))
    if unknown:
        notes.append(f"operations that are not known here, counted as moving bytes: {', '.join(unknown)}")
    if any(counted.open_loops for counted in each.works.values()):
        notes.append("has loops; a loop's body is counted once, since its rounds are not known")
    if each.found.others:
        notes.append(f"functions that are left out: {', '.join(each.found.others)}")
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


def _plan(model: Model, precisions: Mapping[str, Precision], units: ComputeUnits, steps: int) -> dict[str, Any]:
    """Every package a block, loaded one ahead; to be edited by whoever knows the model."""
    return {
        "name": model.name,
        "model": MODEL_FILE,
        "sampler": {"steps": steps},
        "components": {
            component.name: {
                "blocks": "unit",
                "precision": precisions[component.name],
                "compute_units": units,
                "prefetch": 1,
            }
            for component in model.components
        },
    }
