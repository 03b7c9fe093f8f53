"""How this package came to be here, a checkout or a wheel, and the one sentence that says how to install more of it.

The project's name is on no package index, where anybody may take it: `pip install 'ondevice-sora[...]'` is never the
answer. A checkout is installed again with the extra; for a wheel, what the extra asks for is named.
"""

from __future__ import annotations

import os
import re
import shlex
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

DISTRIBUTION = "ondevice-sora"
LEFT_OUT = ("ondevice_sora.studies", "ondevice_sora.runtime.small.training")
"""What no wheel has: studies of the simulator itself, and training."""


def checkout() -> Path | None:
    """The folder of the checkout that this package is run from, or None where it is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "constraints.txt").is_file() and (root / "pyproject.toml").is_file() else None


def how_to_install(extra: str) -> str | None:
    """A command that installs what an extra of ours asks for; None if nothing says what that is."""
    root = checkout()
    if root is not None:
        locked = root / "constraints.txt"
        if os.path.exists(locked.name) and os.path.samefile(locked.name, locked):  # called in the checkout itself
            return shlex.join(["pip", "install", "-c", locked.name, "-e", f".[{extra}]"])
        return shlex.join(["pip", "install", "-c", str(locked), "-e", f"{root}[{extra}]"])
    try:
        return shlex.join(["pip", "install", *_asked_by(extra, requires(DISTRIBUTION) or [])])
    except PackageNotFoundError:
        return None


def _asked_by(extra: str, requirements: list[str]) -> list[str]:
    """What an extra asks for, the extras that it is made of opened."""
    found: list[str] = []
    for requirement in requirements:
        what, _, marker = (part.strip() for part in requirement.partition(";"))
        if marker == f'extra == "{extra}"':
            inner = re.fullmatch(rf"{DISTRIBUTION}\[(.*)\]", what)
            for name in inner[1].split(",") if inner else ():
                found += _asked_by(name, requirements)
            found += [] if inner else [what]
    return list(dict.fromkeys(found))


def missing_in_a_wheel(error: ModuleNotFoundError) -> bool:
    """Whether a module is missing because this package is installed and not a checkout."""
    return checkout() is None and (error.name or "").startswith(LEFT_OUT)
