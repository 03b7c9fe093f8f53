"""A model before anything is decided: a plan of whole components in float16, as a plain conversion makes them."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import ComponentPlan, LoadedPlan, Plan, Sampler, Video
from ondevice_sora.profiles.blocks import Loading
from ondevice_sora.profiles.models.configured import ConfiguredModel, Shape, shipped_config
from ondevice_sora.simulator.prepare import model_of

TITLES: dict[Loading, str] = {"core_ml": "Core ML", "core_ai": "Core AI"}


def whole_plan(config: str, shape: Shape | None) -> LoadedPlan:
    """A shipped config's whole components at a shape, its own unless given, with the steps and guidance published.

    Raises UserError for another name, and where there is no description of the shape.
    """
    pipeline = shipped_config(config)
    shape = shape or pipeline.video
    if shape is None:
        raise UserError(f"{config} has no shape of its own", mend="Give one with --video.")
    plan = Plan(
        name=f"{pipeline.name}, whole components in float16, {shape}",
        model=ConfiguredModel(config),
        video=Video(shape.width, shape.height, shape.frames),
        sampler=Sampler(steps=pipeline.steps, guidance=pipeline.guidance),
    )
    return with_whole_components(LoadedPlan(plan))


def loaded_by(loaded: LoadedPlan, loading: Loading) -> LoadedPlan:
    """The plan with every component loaded so, and told so in its name. Raises UserError as `model_of`."""
    plan = loaded.plan
    names = [component.name for component in model_of(loaded).model.components]
    components = {name: replace(plan.component(name), loading=loading) for name in names}
    return loaded.changed(name=f"{plan.name} · {TITLES[loading]}", components=components)


def with_whole_components(loaded: LoadedPlan) -> LoadedPlan:
    """The plan with every component as one block in float16. Raises UserError where its model cannot be had."""
    names = [component.name for component in model_of(loaded).model.components]
    whole = ComponentPlan(blocks="whole", precision="float16")
    return loaded.changed(components=dict.fromkeys(names, whole))
