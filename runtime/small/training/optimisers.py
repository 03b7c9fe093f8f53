"""How a stage's parameters are moved: AdamW for all of them, or Muon for matrices and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

Rule = Literal["adamw", "muon"]

WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.99)
# Muon's steps are measured by their largest gain, AdamW's by their elements; rates that suit both are about this apart.
ADAMW_SHARE_OF_MUON_RATE = 0.1


class Optimiser:
    """One optimiser from outside, of one or two within. Kernels of convolutions count as matrices [out, in * kernel].

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) makes every direction of a matrix move alike.
    Embeddings are no matrices to it: only the rows of the words seen have a gradient.
    """

    def __init__(self, module: nn.Module, rule: Rule) -> None:
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        embeddings = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
        is_matrix = [parameter.ndim >= 2 and id(parameter) not in embeddings for parameter in self.parameters]
        self._sources = [p for p, is_one in zip(self.parameters, is_matrix, strict=True) if is_one]
        vectors = [p for p, is_one in zip(self.parameters, is_matrix, strict=True) if not is_one]
        # Views of the same memory, which Muon may take for two-dimensional parameters.
        self._matrices = [nn.Parameter(source.detach().flatten(1)) for source in self._sources]
        decaying: torch.optim.Optimizer
        if rule == "muon":
            decaying = torch.optim.Muon(self._matrices, weight_decay=WEIGHT_DECAY)
        else:
            decaying = torch.optim.AdamW(self._matrices, betas=BETAS, weight_decay=WEIGHT_DECAY)
        self._steps: list[tuple[torch.optim.Optimizer, float]] = [(decaying, 1.0)] if self._matrices else []
        if vectors:
            share = ADAMW_SHARE_OF_MUON_RATE if rule == "muon" else 1.0
            self._steps.append((torch.optim.AdamW(vectors, betas=BETAS, weight_decay=0.0), share))

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, rate: float) -> None:
        """Move every parameter along its gradient."""
        for matrix, source in zip(self._matrices, self._sources, strict=True):
            matrix.grad = None if source.grad is None else source.grad.flatten(1)
        for optimizer, share in self._steps:
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()

    def state(self) -> list[dict[str, Any]]:
        """What `restore` takes to go on as if nothing had come between."""
        return [optimizer.state_dict() for optimizer, _ in self._steps]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        for (optimizer, _), saved in zip(self._steps, state, strict=True):
            optimizer.load_state_dict(saved)
