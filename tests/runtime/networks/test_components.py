"""A model saved is the model loaded, and generation follows its request."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ondevice_sora.base.errors import UserError
from ondevice_sora.plans.schema import Tdtm
from ondevice_sora.runtime.networks.components import (
    DENOISER,
    ENCODER_PREFIXES,
    TextToVideo,
    load_text_to_video,
    save_component,
    video_vae_config,
)
from ondevice_sora.runtime.networks.stdit3 import STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.units import State, Unit
from ondevice_sora.runtime.networks.video_vae import VideoVAE, VideoVAEConfig
from ondevice_sora.runtime.sampling.generation import Video, WholePlayer, from_frames, generate, to_frames
from ondevice_sora.runtime.sampling.leap import FixedLeap
from ondevice_sora.runtime.sampling.request import VideoRequest
from ondevice_sora.runtime.sampling.video import VideoNetworks

REQUEST = VideoRequest(num_frames=22, height=16, width=24, fps=24, num_steps=4, guidance_scale=3.0)
IDS, MASK = torch.tensor([[4, 5, 6, 1, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1, 0, 0, 0]])


def made(model: TextToVideo, request: VideoRequest, *, ids: Tensor = IDS, seed: int = 1) -> Video:
    return generate(VideoNetworks.of(model, request), ids, MASK, seed=seed)


@pytest.fixture
def model(text_encoder: T5Encoder, denoiser: STDiT3, video_vae: VideoVAE) -> TextToVideo:
    for parameter in (*text_encoder.parameters(), *denoiser.parameters()):
        parameter.mul_(0.3)
    return TextToVideo(text_encoder, denoiser, video_vae)


@pytest.fixture
def saved(model: TextToVideo, tmp_path: Path) -> Path:
    save_component(tmp_path / "text_encoder", model.text_encoder.config, model.text_encoder)
    save_component(tmp_path / "denoiser", model.denoiser.config, model.denoiser)
    save_component(tmp_path / "decoder", model.decoder.config, model.decoder)
    return tmp_path


def test_a_saved_model_generates_the_same_video(model: TextToVideo, saved: Path) -> None:
    loaded = load_text_to_video(saved)
    assert loaded.denoiser.config == model.denoiser.config
    assert loaded.decoder.config == model.decoder.config
    first, second = (made(one, REQUEST) for one in (model, loaded))
    assert torch.equal(first.sample.latent, second.sample.latent)
    assert np.array_equal(first.frames, second.frames)


def test_a_video_has_the_shape_asked_for_and_depends_on_seed_and_prompt(model: TextToVideo) -> None:
    video = made(model, REQUEST)
    assert video.frames.shape == (22, 16, 24, 3)
    assert video.frames.dtype == np.uint8
    assert len(video.sample.steps) == 4
    other_seed = made(model, REQUEST, seed=2)
    other_prompt = made(model, REQUEST, ids=IDS + MASK)
    assert not torch.equal(video.sample.latent, other_seed.sample.latent)
    assert not torch.equal(video.sample.latent, other_prompt.sample.latent)


class Asked(WholePlayer):
    """All weights in memory; remembers how many latents and captions the denoiser was given at each step."""

    def __init__(self, video: VideoNetworks) -> None:
        super().__init__(video.networks, video.request.merge_steps)
        self.samples: list[tuple[int, int, int]] = []

    def play_each(
        self, component: str, states: Sequence[Mapping[str, Tensor]], units: Sequence[Unit] | None = None
    ) -> list[State]:
        for state in states if component == DENOISER else ():
            self.samples.append((len(state["latent"]), len(state["caption"]), len(state["text_mask"])))
        return super().play_each(component, states, units)


def test_without_guidance_one_branch_is_computed_and_makes_the_same_video(model: TextToVideo) -> None:
    """The next guidance above 1.0 is 1.0 in float32, and computes both branches."""
    latents = {}
    for guidance, batch in ((1.0, 1), (math.nextafter(1.0, 2.0), 2)):
        video = VideoNetworks.of(model, replace(REQUEST, guidance_scale=guidance, merge_steps=[1]))
        player = Asked(video)
        latents[batch] = generate(video, IDS, MASK, seed=1, player=player).sample.latent
        assert player.samples == [(batch, batch, batch)] * 4
    torch.testing.assert_close(latents[1], latents[2], atol=1e-4, rtol=1e-4)


def test_without_guidance_the_null_caption_does_not_matter(model: TextToVideo) -> None:
    request = replace(REQUEST, guidance_scale=1.0)
    before = made(model, request).sample.latent
    model.denoiser.y_embedder.y_embedding.add_(1.0)
    torch.testing.assert_close(made(model, request).sample.latent, before)
    assert not torch.allclose(made(model, REQUEST).sample.latent, before, atol=1e-3)


def test_leaping_and_merging_reach_the_sampler(model: TextToVideo) -> None:
    plain = made(model, REQUEST).sample
    leapt = made(model, replace(REQUEST, leap=FixedLeap(2))).sample
    assert leapt.leap_step == 2
    everywhere = replace(REQUEST, merge_steps=[0])
    merged = made(model, everywhere).sample
    one_block = made(model, replace(everywhere, merged_blocks=Tdtm(units=("temporal_1",)).chosen)).sample
    no_block = made(model, replace(everywhere, merged_blocks=Tdtm(units=("none",)).chosen)).sample
    assert [step.merged for step in merged.steps] == [True, False, False, False]
    assert torch.equal(no_block.latent, plain.latent)
    assert not torch.equal(merged.latent, plain.latent)
    assert not torch.equal(merged.latent, one_block.latent)


def test_a_prompt_longer_than_the_blocks_see_is_refused(model: TextToVideo) -> None:
    length = int(MASK.sum())
    made(model, replace(REQUEST, attended_tokens=length, num_steps=1))
    with pytest.raises(UserError, match=f"the prompt has {length} tokens, the plan's text_tokens are {length - 1}"):
        made(model, replace(REQUEST, attended_tokens=length - 1))


def test_half_precision_weights_come_back_as_float32(model: TextToVideo, saved: Path) -> None:
    save_component(saved / "denoiser", model.denoiser.config, model.denoiser, dtype=torch.float16)
    loaded = load_text_to_video(saved).denoiser
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.x_embedder.proj.weight, model.denoiser.x_embedder.proj.weight.half().float())


def test_the_encoder_of_the_vae_is_left_out_or_passed_over(saved: Path, video_vae: VideoVAE) -> None:
    with_encoder = VideoVAE(video_vae.config, with_encoder=True)
    sizes = []
    for skip in ((), ENCODER_PREFIXES):
        save_component(saved / "decoder", with_encoder.config, with_encoder, skip=skip)
        sizes.append((saved / "decoder" / "model.safetensors").stat().st_size)
        decoder = load_text_to_video(saved).decoder
        assert torch.equal(decoder.state_dict()["scale"], with_encoder.scale)
    assert sizes[1] < 0.8 * sizes[0]


def test_an_interrupted_save_leaves_the_old_files(model: TextToVideo, saved: Path) -> None:
    before = (saved / "denoiser" / "model.safetensors").read_bytes()

    class Unwritable(STDiT3):
        def state_dict(self, *args, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_component(saved / "denoiser", model.denoiser.config, Unwritable(model.denoiser.config))
    assert (saved / "denoiser" / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in (saved / "denoiser").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("published", [{}, {"model_type": "VideoAutoencoderPipeline", "vae_2d": {}}])
def test_the_published_vae_config_means_the_published_sizes(published: dict[str, object]) -> None:
    assert video_vae_config(published, "config.json") == VideoVAEConfig()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("denoiser/config.json", "{", "denoiser/config.json: not valid JSON"),
        ("denoiser/config.json", "[]", "denoiser/config.json: expected keys with values"),
        ("denoiser/config.json", "[" * 10_000, "denoiser/config.json: nested deeper than 40 levels"),
        ("denoiser/config.json", '{"depth": NaN}', "denoiser/config.json: NaN is not a number"),
        (
            "denoiser/config.json",
            '{"depth": 1000000000}',
            "denoiser/config.json: depth: expected a whole number <= 200",
        ),
        ("denoiser/config.json", '{"num_heads": -3}', "denoiser/config.json: num_heads: expected a whole number >= 1"),
        ("denoiser/config.json", '{"num_heads": 5}', "hidden_size 1152 does not divide among num_heads 5"),
        ("denoiser/config.json", '{"hidden_size": "1152"}', "hidden_size: expected a whole number, found '1152'"),
        ("denoiser/config.json", '{"patch_size": [1, 2]}', "patch_size: expected a list of length 3"),
        ("decoder/config.json", '{"spatial": 3}', "decoder/config.json: spatial: expected keys with values, found 3"),
        ("decoder/config.json", '{"spatial": {"norm_num_groups": 3}}', "does not divide among norm_num_groups 3"),
        ("decoder/config.json", '{"temporal": {"temporal_downsample": []}}', "one is needed between any two"),
        ("decoder/config.json", '{"scale": [1]}', "shift, scale: 4 and 1 values for 4 channels"),
        ("decoder/config.json", '{"scale": [0, 1, 1, 1]}', r"scale\[0\]: expected a number > 0"),
        ("text_encoder/config.json", '{"relative_attention_max_distance": 8}', "is not above 8, up to which"),
        ("denoiser/config.json", '{"depht": 2}', "depht: no such setting of STDiT3Config"),
        ("denoiser/config.json", '{"depth": 2}', "the weights do not fit the network"),
        ("decoder/config.json", '{"spatial": {"wings": 2}}', "wings: no such setting of SpatialVAEConfig"),
        ("decoder/config.json", '{"zoom": 2}', "zoom: no such setting"),
        ("text_encoder/config.json", '{"feed_forward_proj": "relu"}', "is not T5 v1.1"),
    ],
)
def test_a_wrong_configuration_is_a_clear_error(saved: Path, file: str, content: str, message: str) -> None:
    (saved / file).write_text(content)
    with pytest.raises(UserError, match=message):
        load_text_to_video(saved)


def test_a_missing_component_is_named(saved: Path) -> None:
    (saved / "denoiser" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"denoiser: no weights here"):
        load_text_to_video(saved)
    with pytest.raises(UserError, match="no such directory"):
        load_text_to_video(saved / "nowhere")


def test_published_settings_that_change_nothing_are_accepted(saved: Path, model: TextToVideo) -> None:
    file = saved / "denoiser" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "enable_flash_attn": True, "drop_path": 0.0}))
    assert load_text_to_video(saved).denoiser.config == model.denoiser.config


def test_frames_survive_the_way_to_values_and_back() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    assert np.array_equal(to_frames(from_frames(frames)), frames)
    assert to_frames(torch.full((3, 1, 1, 1), 7.0)).tolist() == [[[[255, 255, 255]]]]
