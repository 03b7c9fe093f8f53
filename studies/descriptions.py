"""Write the descriptions that ship anew: python -m ondevice_sora.studies.descriptions [NAME ...]

Those that the ready plans ask for, and a few more at the shapes that others publish figures of. Takes a minute; needs
the extra `describe`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ondevice_sora.plans.schema import load_plan, ready_plans
from ondevice_sora.profiles.models.configured import DESCRIPTIONS, ConfiguredModel, Request, Shape, request_of
from ondevice_sora.runtime.describe.describe import describe, write_model

WAN = ConfiguredModel("wan2.1-1.3b")
FURTHER = (Request(WAN, Shape(480, 320, 49)), Request(WAN, Shape(832, 480, 81)))


def shipped_requests() -> dict[str, Request]:
    """File's stem -> what it describes."""
    requests = list(FURTHER)
    for name in ready_plans():
        plan = load_plan(name).plan
        if isinstance(plan.model, ConfiguredModel) and plan.video is not None:
            shape = Shape(plan.video.width, plan.video.height, plan.video.frames)
            requests.append(request_of(plan.model, Path(), shape, plan.sampler.branches, plan.text_tokens))
    return {request.stem: request for request in requests}


def main(names: list[str]) -> None:
    for stem, request in shipped_requests().items():
        if not names or any(stem.startswith(name) for name in names):
            write_model(DESCRIPTIONS / f"{stem}.yaml", describe(request))
            print(stem)


if __name__ == "__main__":
    main(sys.argv[1:])
