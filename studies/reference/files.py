"""Reading a directory of reference vectors, and what comparing with one yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files import json_files
from ondevice_sora.records.checks import CaseResult
from ondevice_sora.runtime.networks.weights import check_fit, fill

# Largest absolute differences that the reference vectors' own description suggests for float32.
STDIT3_TOLERANCE = 5e-5
T5_TOLERANCE = 2e-5
TEMPORAL_VAE_TOLERANCE = 2e-5
SPATIAL_VAE_TOLERANCE = 5e-5
EULER_TOLERANCE = 1e-5
TIMESTEP_TOLERANCE = 1e-3
COSINE_TOLERANCE = 1e-5
EXACT = 0.0
MAX_JSON_BYTES = 100_000_000

Model = TypeVar("Model", bound=nn.Module)


def compare(file: str, case: str, got: Tensor, wanted: Tensor, tolerance: float) -> CaseResult:
    """Largest absolute difference between two tensors; infinite if their shapes differ."""
    if got.shape != wanted.shape:
        note = f"shape {list(got.shape)} for {list(wanted.shape)}"
        return CaseResult(file, case, float("inf"), tolerance, note)
    difference = (got.double() - wanted.double()).abs().max().item() if wanted.numel() else 0.0
    return CaseResult(file, case, difference, tolerance)


def compare_numbers(
    file: str, case: str, got: Sequence[float], wanted: Sequence[float], tolerance: float
) -> CaseResult:
    """Largest absolute difference between two lists of numbers; infinite if their lengths differ."""
    return compare(
        file, case, torch.tensor(got, dtype=torch.float64), torch.tensor(wanted, dtype=torch.float64), tolerance
    )


def compare_exactly(file: str, case: str, misfits: Sequence[str]) -> CaseResult:
    """A comparison that allows no misfit; the first ones are named."""
    return CaseResult(file, case, float(len(misfits)), EXACT, "; ".join(misfits[:3]))


class Tensors(Mapping[str, Tensor]):
    """The tensors of one safetensors file; asking for one that is lacking is a UserError that names it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, "pt") as opened:
                self.metadata: dict[str, str] = opened.metadata() or {}
                self._tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(f"not a whole safetensors file ({error})", str(path), "Copy the file again.") from None

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise UserError(f"{name} is lacking", str(self.path), "Add it, or remove the outputs that depend on it.")
        return self._tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose name begins with `prefix`, by the rest of the name."""
        return {name.removeprefix(prefix): self[name] for name in self if name.startswith(prefix)}

    def number(self, name: str) -> float:
        """The only value of a tensor of one element."""
        tensor = self[name]
        if tensor.numel() != 1:
            raise UserError(f"{name}: shape {list(tensor.shape)} is not one number", str(self.path))
        return tensor.item()


def build(make: Callable[[], Model], weights: Mapping[str, Tensor], path: Path) -> Model:
    """The network with exactly these weights; raises MisfitError, naming the file, if they are not its weights.

    It is made on the meta device, so that a mistaken size costs no memory before it is found.
    """
    with torch.device("meta"):
        model = make()
    check_fit(model, {name: tuple(tensor.shape) for name, tensor in weights.items()}, str(path))
    fill(model, weights.items())
    return model.eval()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    content: dict[str, Any] = json_files.read_json(path, max_bytes=MAX_JSON_BYTES, mend="Copy the file again.").data
    return content


@contextmanager
def malformed_is_a_user_error(path: Path) -> Iterator[None]:
    """Tensors of impossible shapes, or JSON of another form, become one message about the file they came from."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"cannot be compared with ({type(error).__name__}: {reason})",
            str(path),
            "Its contents are not of the documented form; copy the file again.",
        ) from error
