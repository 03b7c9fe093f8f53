"""The small model as it ships, and what a plan must be to run on it."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Plan
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.profiles.models.opensora import check_video
from ondevice_sora.runtime.networks.components import DECODER, DENOISER, TEXT_ENCODER, TextToVideo, load_text_to_video
from ondevice_sora.runtime.sampling.request import VideoRequest, request_of
from ondevice_sora.runtime.small.model import REQUEST
from ondevice_sora.runtime.small.vocabulary import MAX_TOKENS, VOCABULARY_SIZE

SMALL = "small"
WEIGHTS = Path(__file__).parent / "weights"


def shipped_weights() -> Path | None:
    """The folder of the small model's weights: beside this file in a checkout, else the distribution that has them."""
    found = [WEIGHTS]
    if spec := find_spec("ondevice_sora_small"):
        found += [Path(place) / "weights" for place in spec.submodule_search_locations or ()]
    return next((folder for folder in found if (folder / DENOISER).is_dir()), None)


def weights_folder(given: Path | None = None) -> Path:
    """The folder given, or else the shipped one. Raises UserError if there is none."""
    if folder := given or shipped_weights():
        return folder
    raise UserError(
        "this installation has no weights of the small model",
        mend="Install them from a checkout (pip install CHECKOUT/runtime/small/distribution), "
        "or give a folder of them with --weights.",
    )


def load_small(directory: Path | None = None) -> TextToVideo:
    """The small model from `directory`, by default as shipped.

    Other sizes of the same classes will do, if they read our words. Raises UserError if there are no weights, or if
    they do not fit.
    """
    folder = weights_folder(directory)
    model = load_text_to_video(folder)
    check_is_small(model, folder)
    return model


def check_is_small(model: TextToVideo, folder: Path) -> None:
    """Raise UserError unless networks of any sizes read the small model's words."""
    words, tokens = model.text_encoder.config.vocab_size, model.denoiser.config.model_max_length
    if words != VOCABULARY_SIZE or tokens < MAX_TOKENS:
        raise UserError(
            f"this model reads {tokens} tokens out of {words}, the small model {MAX_TOKENS} out of {VOCABULARY_SIZE}",
            str(folder),
            "Point to weights that ondevice_sora.runtime.small.training.train has written.",
        )


def small_request(plan: Plan) -> VideoRequest:
    """What the plan asks of the small model. Raises UserError for another model or a shape that it cannot have."""
    if plan.model != SMALL:
        raise UserError(
            f"plan '{plan.name}' is for the model '{plan.model_name}', and only '{SMALL}' generates here",
            mend=f"Choose a plan with `model: {SMALL}`, such as the ready plan '{SMALL}'.",
        )
    request = request_of(plan, REQUEST)
    described = architecture(SMALL)
    assert described is not None
    check_video(request.width, request.height, request.num_frames, described.config)
    return request


def weights_digest(directory: Path | None = None) -> str:
    """SHA-256 over the files of the three components, the same for the same weights wherever they lie."""
    folder = weights_folder(directory)
    digest = hashlib.sha256()
    for component in (TEXT_ENCODER, DENOISER, DECODER):
        for file in sorted((folder / component).iterdir()):
            if file.is_file():
                digest.update(f"{component}/{file.name}\0{file.stat().st_size}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()
