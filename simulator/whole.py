"""A model before anything is decided: a plan of whole components in float16, as a plain conversion makes them.

And a plan with one thing changed in all of it: how its components are loaded, or the shape of its video.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import msgspec
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError, in_words, nearest
from ondevice_sora.base.files.complaints import complaint_of
from ondevice_sora.plans.own_policy import Policy, policy_name, refuse_what_stays
from ondevice_sora.plans.plan_file import LoadedPlan
from ondevice_sora.plans.schema import ComponentPlan, NamedKeep, Plan, Sampler, Video
from ondevice_sora.profiles.blocks import Loading
from ondevice_sora.profiles.models.configured import ConfiguredModel, Shape, config_path, shipped_config
from ondevice_sora.simulator.prepare import described_in, model_of

TITLES: dict[Loading, str] = {"core_ml": "Core ML", "core_ai": "Core AI"}


def whole_plan(config: str, shape: Shape | None) -> LoadedPlan:
    """A config's whole components at a shape: a shipped one's with its own shape unless one is given, and the steps and
    guidance published; a folder's or a file's with a plan's usual ones.

    Raises UserError for what is neither, and where there is no description of the shape.
    """
    path = config_path(config, Path())
    pipeline = shipped_config(config) if path is None else None
    if shape is None and pipeline is not None:
        shape = pipeline.video
    if shape is None:
        mend = "Give one with --video, such as 1024x1024, or 832x480x81 for a video."
        raise UserError("it has no shape of its own", config, mend)
    if pipeline is None:
        name, sampler = os.path.basename(os.path.abspath(config)), Sampler()
    else:
        name, sampler = pipeline.name, Sampler(steps=pipeline.steps, guidance=pipeline.guidance)
    plan = Plan(
        name=f"{name}, whole components in float16, {shape}",
        model=ConfiguredModel(config),
        video=Video(shape.width, shape.height, shape.frames),
        sampler=sampler,
    )
    return with_whole_components(LoadedPlan(plan))


def asked_plan(
    loaded: LoadedPlan | None, model: str | None, shape: Shape | None, loading: Loading | None
) -> LoadedPlan:
    """A plan, or the one of a model's config, at another shape and loaded otherwise, as far as these are given.

    Raises UserError as the functions below.
    """
    if model is not None:
        plan = whole_plan(model, shape)
    else:
        assert loaded is not None
        plan = loaded if shape is None else at_shape(loaded, shape)
    return plan if loading is None else loaded_by(plan, loading)


def kept_by(loaded: LoadedPlan, policy: NamedKeep | Policy) -> LoadedPlan:
    """The plan with one policy for what stays of every component, told so in its name.

    What a function decides is not in the plan: it goes to `prepare`. Raises UserError as `model_of`, for a word that is
    no policy, and for a component that stays as long as the app lives where a function is to decide.
    """
    plan, names = loaded.plan, [component.name for component in model_of(loaded).model.components]
    if callable(policy):
        keep, told = "none", policy_name(policy)
        refuse_what_stays(plan, names, told)
    elif policy in get_args(NamedKeep):
        keep = told = policy
    else:
        what = f"{policy!r} is no policy"
        raise UserError(what, mend=nearest(str(policy), list(get_args(NamedKeep))) + " Or give a function.")
    components = {name: replace(plan.component(name), keep=keep) for name in names}
    return loaded.changed(name=f"{plan.name} · keep {told}", components=components)


def loaded_by(loaded: LoadedPlan, loading: Loading) -> LoadedPlan:
    """The plan with every component loaded so, and told so in its name. Raises UserError as `model_of`."""
    plan = loaded.plan
    names = [component.name for component in model_of(loaded).model.components]
    components = {name: replace(plan.component(name), loading=loading) for name in names}
    return loaded.changed(name=f"{plan.name} · {TITLES[loading]}", components=components)


def at_shape(loaded: LoadedPlan, shape: Shape) -> LoadedPlan:
    """The plan for a video of another shape, told so in its name.

    Raises UserError where no plan may have the shape or its model cannot be had at it, and as `model_of`.
    """
    model_of(loaded)  # what is wrong with the plan as it is, is said of its own lines
    where, own = f"--video {shape}", loaded.plan.video
    if shape.frames == 1 and own is not None and own.frames > 1 and loaded.plan.merging_steps:
        as_many = f"Write {shape.width}x{shape.height}x{own.frames} for as many frames as the plan has."
        raise UserError("one frame has no tokens to merge, and the plan merges some (TDTM)", where, as_many)
    data = {"width": shape.width, "height": shape.height, "frames": shape.frames}
    try:
        changed = loaded.changed(name=f"{loaded.plan.name} · {shape}", video=msgspec.convert(data, Video))
        described_in(changed)
    except msgspec.ValidationError as error:
        pointer, what, mend = complaint_of(data, Video, str(error))
        raise UserError(f"{in_words(pointer)}: {what}", where, mend) from None
    except UserError as error:
        raise UserError(error.what, where, error.mend) from None
    return changed


def with_whole_components(loaded: LoadedPlan) -> LoadedPlan:
    """The plan with every component as one block in float16. Raises UserError where its model cannot be had."""
    names = [component.name for component in model_of(loaded).model.components]
    whole = ComponentPlan(blocks="whole", precision="float16")
    return loaded.changed(components=dict.fromkeys(names, whole))
