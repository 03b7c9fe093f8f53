"""Which files of which repositories make a model's folder, in the layout that `--weights DIR` names.

Names are those that public code asks for by name: of T5, the DeepFloyd IF project (deepfloyd_if/modules/t5.py) and
PixArt (tools/download.py); of the other two, `from_pretrained` of Open-Sora v1.2's classes, which read config.json and
model.safetensors. Repositories of the hub move on: `main` is what its newest commit has. No commit is pinned, because
none could be looked up where this was written; sizes and checksums are the repository's own, asked for at download.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Files of one repository, and the folder that they go to."""

    folder: str
    repository: str
    files: tuple[str, ...]
    revision: str = "main"


NETWORK_FILES = ("config.json", "model.safetensors")
TOKENIZER_FILES = ("spiece.model", "tokenizer.json")
"""Either has a T5 tokenizer whole; the first is what is published."""
T5_FILES = (
    "config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer_config.json",
    "pytorch_model.bin.index.json",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
)

SOURCES: dict[str, tuple[Source, ...]] = {
    "opensora": (
        Source("denoiser", "hpcai-tech/OpenSora-STDiT-v3", NETWORK_FILES),
        Source("decoder", "hpcai-tech/OpenSora-VAE-v1.2", NETWORK_FILES),
        Source("text_encoder", "DeepFloyd/t5-v1_1-xxl", T5_FILES),
    ),
}
