"""This computer, as captures, traces and results name it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Host:
    """`processor` is its model, as the system calls it; `threads` are those that PyTorch runs an operation on."""

    processor: str
    architecture: str
    cores: int
    system: str
    release: str
    torch: str
    threads: int

    @property
    def name(self) -> str:
        """'this machine (x86_64, 2 cores)', as captured profiles and measured traces call it."""
        return f"this machine ({self.architecture}, {self.cores} cores)"

    @property
    def os(self) -> str:
        """'Linux 6.1.0'."""
        return f"{self.system} {self.release}"


def this_host() -> Host:
    """As it is now."""
    return Host(
        processor=_processor(),
        architecture=platform.machine(),
        cores=os.cpu_count() or 1,
        system=platform.system(),
        release=platform.release(),
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
