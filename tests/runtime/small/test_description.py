"""What the simulator is told of the small model is what the small model is."""

import torch

from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.profiles.models.catalogue import architecture
from ondevice_sora.profiles.models.opensora import opensora
from ondevice_sora.runtime.networks.stdit3 import LatentSize, PixelSize, STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.video_vae import VideoVAE
from ondevice_sora.runtime.small import model as small


def described():
    found = architecture("small")
    assert found is not None
    return found


def test_the_description_counts_the_parameters_of_the_networks():
    with torch.device("meta"):
        networks = [T5Encoder(small.TEXT_ENCODER), STDiT3(small.DENOISER), VideoVAE(small.VIDEO_VAE)]
    video = described().video
    model = opensora(video.width, video.height, video.frames, described().text_tokens, config=described().config)
    counted = {"text_encoder": 0, "denoiser": 0, "decoder": 0}
    for component in model.components:
        counted[component.family] += sum(unit.parameters for unit in component.units)
    assert counted == dict(zip(counted, map(stored_values, networks), strict=True))


def stored_values(network):
    """Parameters as learned, without the null caption, the VAE's normalisation and tied copies."""
    tensors = {id(tensor): (name, tensor) for name, tensor in network.state_dict(keep_vars=True).items()}
    held_apart = ("shift", "scale", "y_embedder.y_embedding")
    return sum(tensor.numel() for name, tensor in tensors.values() if name not in held_apart)


def test_the_units_have_the_names_of_the_networks_units():
    model = opensora(64, 64, 68, 12, config=described().config)
    with torch.device("meta"):
        units = STDiT3(small.DENOISER).units(LatentSize(20, 8, 8), PixelSize(64, 64))
    names = {component.name: [unit.name for unit in component.units] for component in model.components}
    assert names["denoiser"] == [unit.name for unit in units]


def test_shape_text_length_and_sampling_agree():
    request, plan = small.REQUEST, load_plan("small").plan
    video = described().video
    assert (video.width, video.height, video.frames) == (request.width, request.height, request.num_frames)
    assert described().text_tokens == small.DENOISER.model_max_length
    assert (plan.sampler.steps, plan.sampler.guidance) == (request.num_steps, request.guidance_scale)
