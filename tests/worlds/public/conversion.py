"""Packages out of networks, by coremltools' converter, as the models' authors made theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ondevice_sora.runtime.coreml.quiet import quietly


def randomised(module: nn.Module) -> nn.Module:
    """With weights and statistics of which no tensor is of one value, as in a network that has learned."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.uniform_(-0.5, 0.5, generator=generator)
    for name, buffer in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def converted(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    path: Path,
    *,
    target: str = "iOS16",
    is_float32: bool = False,
    outputs: Sequence[str] = (),
    images: Sequence[str] = (),
    shapes: Mapping[str, Any] | None = None,
    states: Mapping[str, Sequence[int]] | None = None,
    labels: Sequence[str] = (),
    compressed: Any = None,
) -> int:
    """Write the module's package; returns what PyTorch's own counter says of its FLOPs.

    shapes       of inputs that are open, as coremltools writes them
    states       buffers that the package keeps between predictions
    compressed   takes coremltools and a model, and returns the model with compressed weights
    """
    randomised(module)
    examples = tuple(inputs.values())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*examples)
    with quietly() as ct:
        traced = torch.jit.trace(module, examples, check_trace=False)
        model = ct.convert(
            traced,
            inputs=[_input(ct, name, example, images, shapes or {}) for name, example in inputs.items()],
            outputs=[ct.TensorType(name=name) for name in outputs] or None,
            states=[_state(ct, name, shape) for name, shape in (states or {}).items()] or None,
            classifier_config=ct.ClassifierConfig(list(labels)) if labels else None,
            minimum_deployment_target=ct.target[target],
            compute_precision=ct.precision.FLOAT32 if is_float32 else ct.precision.FLOAT16,
            skip_model_load=True,
        )
        if compressed is not None:
            model = compressed(ct, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(str(path))
    return counter.get_total_flops()


def _input(ct: Any, name: str, example: Tensor, images: Sequence[str], shapes: Mapping[str, Any]) -> Any:
    shape = shapes[name](ct) if name in shapes else tuple(example.shape)
    if name in images:
        return ct.ImageType(name=name, shape=shape, scale=1 / 255)
    return ct.TensorType(name=name, shape=shape, dtype=np.float32 if example.is_floating_point() else np.int32)


def _state(ct: Any, name: str, shape: Sequence[int]) -> Any:
    return ct.StateType(wrapped_type=ct.TensorType(shape=tuple(shape), dtype=np.float16), name=name)


def palettes(bits: int, smallest: int = 0, **more: Any) -> Any:
    """Indices of so many bits into a table of floats, for weights above `smallest` elements."""

    def compress(ct: Any, model: Any) -> Any:
        config = ct.optimize.coreml.OpPalettizerConfig("uniform", bits, weight_threshold=smallest, **more)
        return ct.optimize.coreml.palettize_weights(model, ct.optimize.coreml.OptimizationConfig(config))

    return compress


def integers(dtype: str, smallest: int = 0, **more: Any) -> Any:
    """Whole numbers with a scale a channel or a block, for weights above `smallest` elements."""

    def compress(ct: Any, model: Any) -> Any:
        config = ct.optimize.coreml.OpLinearQuantizerConfig(
            "linear_symmetric", dtype=dtype, weight_threshold=smallest, **more
        )
        return ct.optimize.coreml.linear_quantize_weights(model, ct.optimize.coreml.OptimizationConfig(config))

    return compress
