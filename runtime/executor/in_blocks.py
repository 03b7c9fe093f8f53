"""A video generated block by block: the model cut, stored, and loaded as a plan says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ondevice_sora.plans.partition import cut
from ondevice_sora.plans.schedule import build_schedule
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.costs import bytes_alone
from ondevice_sora.records.trace import Trace
from ondevice_sora.runtime.executor.executor import Executor
from ondevice_sora.runtime.executor.reading import drop_pages
from ondevice_sora.runtime.executor.scheduling import describe_networks
from ondevice_sora.runtime.executor.store import write_store
from ondevice_sora.runtime.executor.torch_blocks import TorchBlocks, check_host
from ondevice_sora.runtime.sampling.generation import Video, generate
from ondevice_sora.runtime.sampling.sampler import StepRecord
from ondevice_sora.runtime.sampling.video import VideoNetworks


def generate_in_blocks(
    video: VideoNetworks,
    token_ids: Tensor,
    token_mask: Tensor,
    *,
    name: str,
    plan: Plan,
    folder: Path,
    seed: int,
    on_step: Callable[[StepRecord], None] | None = None,
) -> tuple[Video, Trace]:
    """One video of the request that `plan` makes, and the trace of it; the blocks are stored in `folder`.

    The model has no weights afterwards. `name` is the model's in the trace. Raises UserError for a plan that cannot be
    kept to here, and as the executor does.
    """
    check_host(plan)
    described = describe_networks(name, video.networks)
    schedule, costs = build_schedule(plan, described, {}, bytes_alone(), evaluations=plan.most_evaluations())
    store = write_store(folder, described, video.networks, cut(plan, described, {}))
    for block in store.manifest.blocks:
        drop_pages(store.path(block))
    with Executor(schedule, costs, TorchBlocks(schedule, video.networks, store)) as executor:
        result = generate(video, token_ids, token_mask, seed=seed, player=executor, on_step=on_step)
    return result, executor.trace()
