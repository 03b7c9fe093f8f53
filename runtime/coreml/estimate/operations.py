"""Types of operations, by how counting.py counts them. One that is in none of these sets is counted as reading its
inputs and writing its outputs, and told to the user.
"""

from __future__ import annotations

from typing import Literal

from ondevice_sora.runtime.coreml.package.package import Operation

VIEWS = {
    "reshape", "reshape_like", "expand_dims", "squeeze", "flatten2d", "identity", "split", "slice_by_index",
    "slice_by_size", "read_state",
}  # fmt: skip
COPIES = {
    "transpose", "tile", "concat", "stack", "pad", "reverse", "reverse_sequence", "space_to_depth",
    "depth_to_space", "pixel_shuffle", "pixel_unshuffle", "sliding_windows", "space_to_batch", "batch_to_space",
}  # fmt: skip
REDUCTIONS = {
    "reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1_norm", "reduce_l2_norm",
    "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp", "reduce_argmax", "reduce_argmin",
}  # fmt: skip
POINTWISE = {
    "add", "sub", "mul", "real_div", "floor_div", "mod", "pow", "maximum", "minimum", "equal", "not_equal",
    "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor", "logical_not",
    "select", "cast", "abs", "acos", "asin", "atan", "atanh", "ceil", "clip", "cos", "cosh", "erf", "exp", "exp2",
    "floor", "inverse", "log", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh",
    "threshold", "thresholded_relu", "clamped_relu", "elu", "gelu", "leaky_relu", "linear_activation", "prelu",
    "relu", "relu6", "scaled_tanh", "sigmoid", "sigmoid_hard", "silu", "softplus", "softplus_parametric",
    "softsign", "quantize", "dequantize", "batch_norm",
}  # fmt: skip
"""One result an element; batch_norm's statistics are constants."""
AFFINE = {"add", "sub", "mul", "real_div", "batch_norm"}
"""What may follow a normalisation and still be part of it, with constants."""
PRODUCTS = {
    "linear", "matmul", "einsum", "conv", "conv_quantized", "conv_transpose", "scaled_dot_product_attention",
    "lstm", "gru", "rnn",
}  # fmt: skip
OTHERS = {
    "layer_norm", "instance_norm", "l2_norm", "local_response_norm", "softmax", "avg_pool", "max_pool", "l2_pool",
    "gather", "gather_along_axis", "gather_nd", "scatter", "scatter_along_axis", "scatter_nd", "resize",
    "resize_bilinear", "resize_nearest_neighbor", "upsample_bilinear", "upsample_nearest_neighbor", "crop",
    "crop_resize", "resample", "affine", "argsort", "topk", "cumsum", "band_part", "fill", "fill_like", "one_hot",
    "range_1d", "shape", "non_zero", "non_maximum_suppression", "random_normal", "random_uniform",
    "random_bernoulli", "random_categorical", "coreml_update_state", "write_state", "slice_update", "classify",
    "make_list", "list_read", "list_write", "list_gather", "list_scatter", "list_length", "while_loop", "cond",
}  # fmt: skip
KNOWN = VIEWS | COPIES | REDUCTIONS | POINTWISE | PRODUCTS | OTHERS

Fused = Literal["pointwise", "copy", ""]


def fused_kind(operation: Operation) -> Fused:
    """Operations of one kind run as one where nothing else reads what is between them; '' runs alone."""
    if operation.type in POINTWISE or operation.type in REDUCTIONS:
        return "pointwise"
    return "copy" if operation.type in COPIES else ""
