"""The T5 encoder against reference vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ondevice_sora.records.checks import CaseResult
from ondevice_sora.runtime.networks.config import config_from_mapping
from ondevice_sora.runtime.networks.t5 import IGNORED_SETTINGS, T5Config, T5Encoder
from ondevice_sora.studies.reference.files import T5_TOLERANCE, Tensors, build, compare, read_json

FILES = ("t5_tiny.config.json", "t5_tiny.safetensors")


def cases(directory: Path) -> Iterator[CaseResult]:
    """Last hidden states of every named prompt batch, and each layer's output where given."""
    config_file, tensors_file = (directory / name for name in FILES)
    config = config_from_mapping(T5Config, read_json(config_file), str(config_file), IGNORED_SETTINGS)
    tensors = Tensors(tensors_file)
    model = build(lambda: T5Encoder(config), tensors.under("weights."), tensors_file)
    for prefix in sorted(name.removesuffix(".input_ids") for name in tensors if name.endswith(".input_ids")):
        state = model.initial_state(tensors[f"{prefix}.input_ids"], tensors[f"{prefix}.attention_mask"])
        hidden_states = []
        for unit in model.units():
            state = unit(state)
            hidden_states.append(state["caption"] if unit.name == "final_norm" else state["text_hidden"])
        # The reference lists no output before the final norm: its last entry is the normalised one.
        got = {f"hidden_{index}": hidden for index, hidden in enumerate([*hidden_states[:-2], hidden_states[-1]])}
        got["last_hidden_state"] = hidden_states[-1]
        for name, wanted in tensors.under(f"{prefix}.").items():
            if name in got:
                yield compare(tensors_file.name, f"{prefix}.{name}", got[name], wanted, T5_TOLERANCE)
