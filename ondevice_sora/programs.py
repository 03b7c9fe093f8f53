"""The two programs that are installed. They note signals before they import what they do, which takes a while."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from ondevice_sora.base.interrupts import Interrupted, note_from_now


def simulate() -> int:
    note_from_now()
    from ondevice_sora.commands.simulate import main

    return _ended(main())


def ondevice_sora() -> int:
    note_from_now()
    from ondevice_sora.commands.main import main

    return _ended(main())


def _ended(status: int) -> int:
    """The status, if nothing was interrupted. Else end here, and wait for no thread.

    What goes on in one is work that nobody wants any more, such as compiling a search, which takes up to a minute.
    """
    if status in Interrupted.STATUSES and threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):  # none, or closed, or read by nobody
                stream.flush()
        os._exit(status)
    return status
