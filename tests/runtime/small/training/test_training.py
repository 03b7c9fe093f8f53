"""Training: resuming equals not having stopped, and the stages leave a model that loads."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ondevice_sora.runtime.networks.components import load_text_to_video
from ondevice_sora.runtime.networks.stdit3 import STDiT3
from ondevice_sora.runtime.networks.t5 import T5Encoder
from ondevice_sora.runtime.networks.video_vae import VideoVAE
from ondevice_sora.runtime.sampling.generation import from_frames, generate
from ondevice_sora.runtime.sampling.video import VideoNetworks
from ondevice_sora.runtime.small import model as small
from ondevice_sora.runtime.small.dataset import MovingObject, Scene, clip_of, describe, held_out_scenes, training_clip
from ondevice_sora.runtime.small.evaluation.adherence import adherence
from ondevice_sora.runtime.small.training import train as training
from ondevice_sora.runtime.small.training.optimisers import Optimiser, Rule
from ondevice_sora.runtime.small.training.stages import (
    DATA_SEED,
    Bucket,
    DecoderStage,
    DenoiserStage,
    SpatialStage,
    TemporalStage,
    encode_clips,
    encode_frames,
    pixel_error,
)
from ondevice_sora.runtime.small.training.trainer import LearningSchedule, Trainer
from ondevice_sora.runtime.small.vocabulary import tokenize

SCHEDULE = LearningSchedule(num_steps=30, learning_rate=0.1, warmup_steps=5)


class LineFit:
    """A line through points drawn from the step number."""

    name = "line"

    def __init__(self, interrupt_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(1, 1)
        self.interrupt_at = interrupt_at

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self.interrupt_at:
            raise KeyboardInterrupt
        torch.manual_seed(step)
        x = torch.randn(16, 1)
        return (self.module(x) - (3 * x + 1)).square().mean(), {"step_seen": float(step)}


@pytest.fixture(autouse=True)
def with_gradients():
    with torch.enable_grad():
        yield


def weights(stage: LineFit) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in stage.module.parameters()]


def test_a_run_interrupted_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    whole = LineFit()
    assert Trainer(whole, SCHEDULE, tmp_path / "whole").run()

    with pytest.raises(KeyboardInterrupt):
        Trainer(LineFit(interrupt_at=12), SCHEDULE, tmp_path / "parts").run()
    resumed = LineFit()
    trainer = Trainer(resumed, SCHEDULE, tmp_path / "parts")
    assert trainer.step == 12
    assert trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_time_up_stops_between_steps_and_says_that_it_is_not_done(tmp_path: Path) -> None:
    trainer = Trainer(LineFit(), SCHEDULE, tmp_path)
    assert not trainer.run(limit_s=0.0)
    assert (trainer.step, (tmp_path / "line.state.pt").is_file()) == (0, True)


def test_a_finished_stage_holds_its_averaged_weights_then_and_later(tmp_path: Path) -> None:
    stage = LineFit()
    trainer = Trainer(stage, SCHEDULE, tmp_path)
    trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(stage), trainer.averages, strict=True))
    last = torch.load(tmp_path / "line.state.pt", weights_only=True)["parameters"]
    assert not torch.equal(weights(stage)[0], last[0])

    again = LineFit()
    assert Trainer(again, SCHEDULE, tmp_path).is_done
    assert torch.equal(weights(again)[0], weights(stage)[0])


def test_the_log_has_a_line_every_25_steps_and_at_the_end_and_none_twice(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Trainer(LineFit(interrupt_at=27), SCHEDULE, tmp_path).run()
    Trainer(LineFit(), SCHEDULE, tmp_path).run()
    lines = [json.loads(line) for line in (tmp_path / "line.log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [25, 30]
    assert lines[0]["step_seen"] == 12
    assert lines[1]["loss"] < lines[0]["loss"]


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth() -> None:
    rates = [SCHEDULE.rate(step) for step in range(31)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == rates[5] == pytest.approx(0.1)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[30] == pytest.approx(0.001)


def test_a_gradient_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    stage = LineFit()
    with torch.no_grad():
        stage.module.weight.fill_(float("inf"))
    with pytest.raises(FloatingPointError, match="line: the gradient at step 0 is not finite"):
        Trainer(stage, SCHEDULE, tmp_path).run()


def test_pixel_error_counts_objects_eight_times() -> None:
    images = torch.zeros(1, 3, 2, 2)
    images[:, :, 1, 1] = 1.0
    off_background, off_object = images.clone(), images.clone()
    off_background[:, :, 0, 1] += 0.5
    off_object[:, :, 1, 1] += 0.5
    assert pixel_error(off_object, images) == pytest.approx(8 * pixel_error(off_background, images).item())
    assert pixel_error(images, images) == 0


def frame_latents() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 20, 4, 8, 8)).astype(np.float16)


def test_the_loss_of_a_step_depends_on_the_step_alone() -> None:
    vae = VideoVAE(small.VIDEO_VAE, with_encoder=True)
    temporal = TemporalStage(vae.temporal_vae, frame_latents(), 17, batch=1)
    for stage in (SpatialStage(vae, batch=2), DecoderStage(vae, batch=2), temporal):
        first, again, other = (stage.loss(step)[0].item() for step in (3, 3, 4))
        assert first == again != other


def test_clips_encoded_in_two_stages_equal_clips_encoded_at_once() -> None:
    vae = VideoVAE(small.VIDEO_VAE, with_encoder=True)
    at_once = vae.encode(from_frames(training_clip(DATA_SEED, 5).frames)[None]).detach().numpy()
    in_two = encode_clips(vae, encode_frames(vae, [5])).astype(np.float32)
    assert in_two.shape == (1, 4, 20, 8, 8)
    assert in_two == pytest.approx(at_once, abs=float(5e-3 * np.abs(at_once).max()))


@pytest.mark.parametrize("rule", ["adamw", "muon"])
def test_every_parameter_is_moved_by_its_gradient_only(rule: Rule) -> None:
    torch.manual_seed(0)
    module = nn.ModuleDict({"seen": nn.Conv2d(2, 4, 3), "words": nn.Embedding(3, 2), "unused": nn.Linear(2, 2)})
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    optimiser = Optimiser(module, rule)
    optimiser.zero_grad()
    image = module["words"](torch.tensor([[0, 1, 2]] * 3)).permute(2, 0, 1)[None]
    module["seen"](image).square().sum().backward()
    optimiser.step(0.01)
    moved = {name for name, parameter in module.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"seen.weight", "seen.bias", "words.weight"}


def test_muon_moves_every_direction_of_a_kernel_about_alike() -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 8, 3, bias=False)
    before = conv.weight.detach().flatten(1).clone()
    optimiser = Optimiser(conv, "muon")
    conv(torch.randn(1, 4, 5, 5, 5) * torch.logspace(-3, 0, 4).reshape(1, 4, 1, 1, 1)).square().sum().backward()
    optimiser.step(0.1)
    gains = torch.linalg.svdvals(conv.weight.detach().flatten(1) - before * (1 - 0.1 * 0.01))
    assert gains.min() > 0.05
    assert gains.max() < 0.15


def denoiser_stage(latents: np.ndarray, buckets: Sequence[Bucket] = (Bucket(5, 4),)) -> DenoiserStage:
    denoiser, text_encoder = STDiT3(small.DENOISER), T5Encoder(small.TEXT_ENCODER)
    small.initialise_denoiser(denoiser)
    small.initialise_text_encoder(text_encoder)
    zeros, ones = torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    return DenoiserStage(denoiser, text_encoder, latents, zeros, ones, buckets, "anywhere", name="test")


def test_the_velocity_regressed_on_is_data_minus_noise() -> None:
    """At the start the network answers zero, so the loss is the mean square of the target: data squared plus one."""
    latents = np.full((3, 4, 20, 8, 8), 3.0, np.float16)
    assert denoiser_stage(latents).loss(0)[0].item() == pytest.approx(3**2 + 1, rel=0.05)


def test_each_step_draws_a_bucket_by_its_share() -> None:
    latents = np.zeros((3, 4, 20, 8, 8), np.float16)
    stage = denoiser_stage(latents, [Bucket(1, 3, share=0.2), Bucket(5, 2, share=0.0), Bucket(20, 1, share=0.8)])
    drawn = Counter(name for step in range(40) for name in stage.loss(step)[1] if name.startswith("frames_"))
    assert set(drawn) == {"frames_1", "frames_20"}
    assert drawn["frames_20"] > drawn["frames_1"]


def test_the_decoder_alone_leaves_the_encoder_as_it_was(tmp_path: Path) -> None:
    vae = VideoVAE(small.VIDEO_VAE, with_encoder=True)
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    Trainer(DecoderStage(vae, batch=2), LearningSchedule(num_steps=2, learning_rate=0.01), tmp_path).run()
    moved = {name for name, tensor in vae.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all(
        name.startswith(("spatial_vae.module.decoder.", "spatial_vae.module.post_quant_conv.")) for name in moved
    )


def test_lateness_draws_late_pieces_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    stage = denoiser_stage(np.zeros((3, 4, 20, 8, 8), np.float16), [Bucket(1, 1)])
    forward = stage.denoiser.forward

    def watched(*inputs: Tensor, first_frame: int, **options: Any) -> Tensor:
        seen.append(first_frame)
        return forward(*inputs, first_frame=first_frame, **options)

    monkeypatch.setattr(stage.denoiser, "forward", watched)
    for stage.lateness in (0.0, 3.0):
        for step in range(40):
            stage.loss(step)
    anywhere, late = np.array(seen[:40]), np.array(seen[40:])
    assert abs(anywhere.mean() - 9.5) < 3
    assert late.mean() > 13
    assert max(seen) == 19


def test_the_gradient_reaches_denoiser_and_text_encoder() -> None:
    stage = denoiser_stage(np.random.default_rng(0).normal(size=(3, 4, 20, 8, 8)).astype(np.float16))
    for block in (*stage.denoiser.spatial_blocks, *stage.denoiser.temporal_blocks):
        nn.init.normal_(block.cross_attn.proj.weight, std=0.1)
    nn.init.normal_(stage.denoiser.final_layer.linear.weight, std=0.1)
    stage.loss(0)[0].backward()
    assert stage.text_encoder.shared.weight.grad.abs().max() > 0
    assert stage.denoiser.temporal_blocks[0].attn.qkv.weight.grad is not None


def test_training_from_nothing_leaves_a_model_that_generates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = ("SPATIAL", "DECODER_ALONE", "TEMPORAL", "CHUNKS", "WHOLE", "MIXED", "PLACES", "CLIPS", "DETAILS")
    for name in stages:
        monkeypatch.setattr(training, name, LearningSchedule(num_steps=1, learning_rate=1e-3))
    monkeypatch.setattr(training, "NUM_CLIPS", 2)
    monkeypatch.setattr(training, "NUM_CENTRED_CLIPS", 1)
    monkeypatch.setattr(training, "NUM_LEANING_CLIPS", 1)
    monkeypatch.setattr(training, "CLIPS_PER_FILE", 1)
    training.train(tmp_path)
    cached = [*tmp_path.glob("*frames/*.npy"), *tmp_path.glob("*latents.npy")]
    written = {path: path.stat().st_mtime_ns for path in cached}
    assert len(written) == 7
    training.train(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in cached} == written

    model = load_text_to_video(tmp_path / "model")
    size_bytes = sum(path.stat().st_size for path in (tmp_path / "model").rglob("*.safetensors"))
    assert size_bytes < 25_000_000
    logs = {log.name for log in (tmp_path / "model" / "training").iterdir()}
    assert logs == {
        f"{stage.lower()}.log.jsonl" for stage in ("DECODER", *(name for name in stages if name != "DECODER_ALONE"))
    }
    ids, mask = tokenize(["a red circle moving left"])
    request = small.VideoRequest(17, 64, 64, 24, num_steps=2, guidance_scale=4.0, transform=False)
    assert generate(VideoNetworks.of(model, request), ids, mask, seed=0).frames.shape == (17, 64, 64, 3)
    latents = np.load(tmp_path / "latents.npy").astype(np.float32)
    assert model.decoder.scale.flatten().tolist() == pytest.approx(latents.std(axis=(0, 2, 3, 4)).tolist(), rel=1e-3)


def test_training_stops_when_its_minutes_are_over(tmp_path: Path) -> None:
    with pytest.raises(training.TimeIsUpError):
        training.train(tmp_path, limit_s=0.0)


def test_adherence_finds_each_attribute_that_is_off() -> None:
    wanted = Scene((MovingObject("circle", "red", "left", "small", "slowly"),), "black")
    for attribute, other in (
        ("shape", "square"),
        ("colour", "cyan"),
        ("direction", "up"),
        ("size", "large"),
        ("speed", "quickly"),
    ):
        values = {**wanted.objects[0].__dict__, attribute: other}
        shown = clip_of(Scene((MovingObject(**values),), "black"), seed=0)
        wrong = [name for name, is_right in adherence(wanted, shown.frames).items() if not is_right]
        assert wrong == [attribute]
    assert all(adherence(wanted, clip_of(wanted, seed=0).frames).values())
    nothing = adherence(wanted, np.full((8, 64, 64, 3), 13, np.uint8))
    assert [name for name, is_right in nothing.items() if is_right] == ["background"]


def test_held_out_scenes_are_prompts_the_model_can_read() -> None:
    assert tokenize([describe(scene) for scene in held_out_scenes()])[0].shape == (144, 24)
