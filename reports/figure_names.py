"""The figures of a profile's costs in words, for people who do not know its file."""

from __future__ import annotations

PLACES = {
    "loads": "Loading",
    "engine_loads": "Loading on the Neural Engine",
    "thermal": "Heat",
    "processors.gpu": "GPU",
    "processors.cpu": "CPU",
    "processors.ane": "Neural Engine",
    "core_ai": "Core AI",
}
FIGURES = {
    "baseline_bytes": "memory of the app itself",
    "framework_bytes": "memory of Core ML itself",
    "load_fixed_s": "fixed time of a load",
    "read_bytes_per_s": "reading from storage",
    "prepare_bytes_per_s": "preparing weights",
    "specialise_fixed_s": "fixed time of a first load",
    "specialise_bytes_per_s": "specialising weights at a first load",
    "compressed_held_bytes": "memory of a compressed weight",
    "transient_share": "extra memory during a load",
    "unload_s": "time of an unload",
    "residual_share": "memory left behind by an unload",
    "page_cache_share": "share of memory for files that were read",
    "floor": "speed that is left",
    "time_constant_s": "time until it slows down",
    "compile_s": "compiling at a first load",
    "compile_exponent": "growth of compiling with size",
    "refused_s": "compiling in vain",
    "matmul_flops_per_s": "speed of matrix products",
    "attention_flops_per_s": "speed of attention",
    "convolution_flops_per_s": "speed of convolutions",
    "moved_bytes_per_s": "speed of moving data",
    "dispatch_s": "time to start an operation",
    "first_run_s": "extra time of a first run",
    "token_merge_s": "time to merge tokens",
    "load_rate": "speed of loads beside runs",
    "run_rate": "speed of runs beside loads",
    "charged_share": "share of memory charged to the app",
    "engine_charged_factor": "memory charged for a byte on the Neural Engine",
    "clean_share": "share of memory that clean pages may fill",
    "finish_bytes_per_s": "finishing weights at a first load",
    "float16_factor": "gain of float16",
    "weight_bytes_per_s": "streaming of weights",
    "convolution_working_factor": "working memory of convolutions",
}


def figure_words(name: str) -> str:
    """'GPU, speed of matrix products' for 'processors.gpu.matmul_flops_per_s'; an unknown name stays as it is."""
    place, _, figure = name.rpartition(".")
    if figure not in FIGURES or (place and place not in PLACES):
        return name
    return f"{PLACES[place]}, {FIGURES[figure]}" if place else FIGURES[figure].capitalize()
