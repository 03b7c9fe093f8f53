"""Numbers as files may hold them: bounded by what could be true of any device, and still exact enough to add up."""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=10**18)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**13)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1 + 1e-6)]
"""Of a whole; sums of shares may end a little above one."""
