"""What to change about a plan, each tried for itself. Seconds and bytes, null for unknown."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ondevice_sora.base.quantities import Bytes, Seconds, Share
from ondevice_sora.base.text import Line


class Advice(msgspec.Struct, frozen=True):
    """One change that is worth making, and what a simulation of the changed plan comes to.

    title        what to do, in words
    keys         the plan's keys to write, one a line, as YAML; none if a command is to be run
    command      the command line that finds the plan; null if there are keys
    saved_s      seconds less than the plan takes as it is, were there no limit; negative: more
    kill_share   as in Result
    reason       why it helps; null where the title says it
    quality      what is known of the picture that the changed plan makes; null if it stays the same
    """

    title: Line
    keys: list[Line]
    command: Line | None
    total_s: Seconds
    saved_s: Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
    peak_bytes: Bytes
    kill_share: Share
    reason: Line | None = None
    quality: Line | None = None
