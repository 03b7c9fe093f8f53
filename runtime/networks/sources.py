"""Where weights come from, for work that never has all of them in memory: checkpoints, or a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ondevice_sora.runtime.networks.weights import Checkpoint

Shapes = Mapping[str, tuple[int, ...]]


class WeightSource(Protocol):
    """The weights of a text-to-video model, by component and checkpoint name."""

    @property
    def description(self) -> str:
        """What they are, for people."""

    @property
    def seed(self) -> int | None:
        """What they were drawn from, None if they were not."""

    def read(self, component: str, shapes: Shapes) -> dict[str, Tensor]:
        """Float32 tensors of these names and shapes."""

    def dtype(self, component: str, name: str) -> torch.dtype:
        """The floating-point type that the values of a weight are in."""

    def as_stored(self, component: str, name: str, shape: tuple[int, ...]) -> Tensor:
        """A weight in that type."""

    def digest(self, component: str, shapes: Shapes) -> str:
        """A hash that differs where the values do."""

    def sampled(self, component: str, shapes: Shapes) -> str:
        """A hash of names, types and a few values of each weight: quick, and another after any training."""


@dataclass(frozen=True)
class CheckpointWeights:
    """Weights on disk. `networks` tell which names are tied: a checkpoint may hold either."""

    description: str
    networks: Mapping[str, nn.Module]
    checkpoints: Mapping[str, Checkpoint]
    seed: None = None

    def read(self, component: str, shapes: Shapes) -> dict[str, Tensor]:
        """Raises UserError if a file cannot be read."""
        stored = self._stored_names(component, shapes)
        found = self.checkpoints[component].read(set(stored.values()))
        return {name: found[held].float().contiguous() for name, held in stored.items()}

    def dtype(self, component: str, name: str) -> torch.dtype:
        (held,) = self._stored_names(component, (name,)).values()
        found = self.checkpoints[component].dtypes[held]
        assert found is not None, "checked when the network was described"
        return found

    def as_stored(self, component: str, name: str, shape: tuple[int, ...]) -> Tensor:
        """Raises UserError if the file cannot be read."""
        (held,) = self._stored_names(component, (name,)).values()
        return self.checkpoints[component].read((held,))[held].contiguous()

    def digest(self, component: str, shapes: Shapes) -> str:
        digest = hashlib.sha256()
        for name, tensor in sorted(self.read(component, shapes).items()):
            digest.update(f"{name} {tuple(tensor.shape)}\0".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
        return digest.hexdigest()

    def sampled(self, component: str, shapes: Shapes) -> str:
        """Raises UserError if a file cannot be read."""
        checkpoint, digest = self.checkpoints[component], hashlib.sha256()
        for name, values in checkpoint.samples(sorted(set(self._stored_names(component, shapes).values()))):
            digest.update(f"{name} {checkpoint.shapes[name]} {values.dtype}\0".encode())
            digest.update(values.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _stored_names(self, component: str, names: Collection[str]) -> dict[str, str]:
        """Name -> the name under which the checkpoint has it."""
        there = self.checkpoints[component].shapes
        held = self.networks[component].state_dict(keep_vars=True)
        by_tensor = {id(tensor): name for name, tensor in held.items() if name in there}
        return {name: name if name in there else by_tensor[id(held[name])] for name in names}


@dataclass(frozen=True)
class RandomWeights:
    """Weights out of a seed, each tensor's own whatever else is drawn, at scales that keep activations near one.

    Matrices and kernels are normal with variance 1 / inputs; T5's queries are smaller by `query_scale`, the root of the
    head width, for its scores are not divided by it. Vectors named `weight` are norms', near one; other vectors are
    small. `fixed` has the values that are not learnt, by component and name.
    """

    seed: int
    query_scale: float
    fixed: Mapping[tuple[str, str], Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def description(self) -> str:
        return f"random, seed {self.seed}"

    def read(self, component: str, shapes: Shapes) -> dict[str, Tensor]:
        return {name: self._tensor(component, name, shape) for name, shape in shapes.items()}

    def dtype(self, component: str, name: str) -> torch.dtype:
        return torch.float32

    def as_stored(self, component: str, name: str, shape: tuple[int, ...]) -> Tensor:
        return self._tensor(component, name, shape)

    def digest(self, component: str, shapes: Shapes) -> str:
        listed = sorted((name, tuple(shape)) for name, shape in shapes.items())
        return hashlib.sha256(f"{self} {component} {listed}".encode()).hexdigest()

    def sampled(self, component: str, shapes: Shapes) -> str:
        return self.digest(component, shapes)

    def _tensor(self, component: str, name: str, shape: tuple[int, ...]) -> Tensor:
        if (component, name) in self.fixed:
            return self.fixed[component, name]
        key = hashlib.sha256(f"{self.seed} {component} {name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)
        drawn = torch.randn(shape, generator=generator)
        if drawn.dim() == 1:
            return drawn.mul_(0.1).add_(1.0) if name.endswith("weight") else drawn.mul_(0.02)
        scale = math.prod(shape[1:]) ** -0.5
        return drawn.mul_(scale * (self.query_scale if name.endswith(".SelfAttention.q.weight") else 1.0))
