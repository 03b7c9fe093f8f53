"""Units of Open-Sora's denoiser, an STDiT3: x [branches, frames, places, hidden]."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from ondevice_sora.profiles.models.model import Unit
from ondevice_sora.profiles.models.opensora_sizes import DenoiserConfig, OpenSoraConfig, VideoShape
from ondevice_sora.profiles.models.operators import Graph, Tensor, unit


def denoiser_units(config: OpenSoraConfig, video: VideoShape, runs: int = 1) -> tuple[Unit, ...]:
    """`runs` times `video.branches`, one after the other, are the branches of guidance."""

    def block(kind: str) -> Unit:
        tdtm = _denoiser_block(config.denoiser, video, kind, merged=True) if video.frames > 1 else None
        return unit(kind, _denoiser_block(config.denoiser, video, kind, merged=False), tdtm, runs)

    spatial, temporal = block("spatial"), block("temporal")
    pairs = [
        replace(original, name=f"{original.name}_{index}")
        for index in range(config.denoiser.depth)
        for original in (spatial, temporal)
    ]
    return (
        unit("input", _denoiser_input(config, video), runs=runs),
        *pairs,
        unit("output", _denoiser_output(config, video), runs=runs),
    )


def _denoiser_input(config: OpenSoraConfig, video: VideoShape) -> Graph:
    """Patch and position embedding, timestep and fps embedding, t_block, caption projection and packing."""
    g, c = Graph(), config.denoiser
    caption_width, caption_rows = config.text_encoder.hidden, video.branches * video.caption_tokens
    head_width = c.hidden // c.heads
    g.parameters += head_width // 2  # rope.freqs, one table for all temporal units
    g.tables += 2 * video.frames * head_width - head_width // 2
    g.tables += c.timestep_width // 2  # frequencies of the timestep's and the frame rate's embedding
    latent = g.input(video.branches * video.frames * video.area * config.latent_channels)
    caption = g.input(caption_rows * caption_width)
    times = [g.input(video.branches), g.input(video.branches)]

    x = _patch_embed(g, config, video, latent)
    if c.embed_frames:
        learned = c.timestep_width * c.hidden + c.hidden + c.hidden * c.hidden + c.hidden
        g.parameters += learned
        g.tables += video.frames * c.hidden - learned
        x = g.move(x, weights=video.frames * c.hidden)
    embedded = [_embed_scalar(g, c, video, time) for time in times]
    t = g.move(*embedded)
    t_mlp = g.linear(g.move(t), c.hidden, 6 * c.hidden)
    y = g.linear(g.move(g.linear(caption, caption_width, c.hidden)), c.hidden, c.hidden)
    y = g.move(y, writes=video.branches * video.text_tokens * c.hidden)
    g.output(x, t, t_mlp, y)
    return g


def _patch_embed(g: Graph, config: OpenSoraConfig, video: VideoShape, latent: Tensor) -> Tensor:
    c = config.denoiser
    places, taps = video.places(c.patch), c.patch**2
    positions = video.branches * video.frames * places
    if places * taps != video.area:
        latent = g.move(latent, writes=positions * taps * config.latent_channels)
    x = g.convolution(latent, config.latent_channels, c.hidden, taps, positions=positions)
    g.tables += places * c.hidden  # the position embedding
    return g.move(g.move(x), g.move(writes=places * c.hidden))


def _embed_scalar(g: Graph, c: DenoiserConfig, video: VideoShape, value: Tensor) -> Tensor:
    waves = g.move(value, writes=video.branches * c.timestep_width)
    return g.linear(g.move(g.linear(waves, c.timestep_width, c.hidden)), c.hidden, c.hidden)


def _denoiser_block(c: DenoiserConfig, video: VideoShape, kind: str, *, merged: bool) -> Graph:
    """One spatial or temporal unit. Merging averages frame pairs before either attention and copies back after it."""
    g = Graph()
    places = video.places(c.patch)
    full = video.branches * video.frames * places * c.hidden
    frames = -(-video.frames // 2) if merged else video.frames
    queries = video.branches * frames * places
    keys = video.branches * video.text_tokens
    x = g.input(full)
    g.input(video.branches * c.hidden, held=True)  # t, for the output unit
    t_mlp = g.input(video.branches * 6 * c.hidden, held=True)
    y = g.input(keys * c.hidden, held=True)
    mask = g.input(c.heads * queries * keys, held=True)

    def around(inner: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
        if not merged:
            return inner(tensor)
        return g.merge_tokens(inner(g.merge_tokens(tensor, queries * c.hidden)), full)

    g.parameters += 6 * c.hidden
    modulation = g.move(t_mlp, weights=6 * c.hidden)
    batch = video.branches * (frames if kind == "spatial" else places)
    attended = around(
        lambda tensor: _self_attention(g, c, tensor, batch, temporal=kind == "temporal"),
        g.move(g.normalise(x), modulation),
    )
    x = g.move(x, attended, modulation)
    x = g.move(x, around(lambda tensor: _cross_attention(g, c, tensor, y, mask), x))
    hidden = g.linear(g.move(g.normalise(x), modulation), c.hidden, c.mlp_ratio * c.hidden)
    hidden = g.linear(g.move(hidden), c.mlp_ratio * c.hidden, c.hidden)
    g.output(g.move(x, hidden, modulation))
    return g


def _self_attention(g: Graph, c: DenoiserConfig, x: Tensor, batch: int, *, temporal: bool) -> Tensor:
    """Over the places of a frame, or over the frames of a place, which needs transposed copies and rotary embedding."""
    if temporal:
        x = g.move(x)
    q, k, v = g.split(g.linear(x, c.hidden, 3 * c.hidden), 3)
    head_width = c.hidden // c.heads
    q, k = g.normalise(q, head_width), g.normalise(k, head_width)
    if temporal:
        q, k = g.move(q), g.move(k)
    context = g.move(g.attention(q, k, v, batch=batch, heads=c.heads, width=c.hidden))
    projected = g.linear(context, c.hidden, c.hidden)
    return g.move(projected) if temporal else projected


def _cross_attention(g: Graph, c: DenoiserConfig, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    q = g.move(g.linear(x, c.hidden, c.hidden))
    k, v = g.split(g.linear(y, c.hidden, 2 * c.hidden), 2)
    context = g.move(g.attention(q, k, v, batch=1, heads=c.heads, width=c.hidden, bias=mask))
    return g.linear(context, c.hidden, c.hidden)


def _denoiser_output(config: OpenSoraConfig, video: VideoShape) -> Graph:
    """Modulated normalisation, projection to patches of velocity and sigma, unpatchify and crop. Needs no text."""
    g, c = Graph(), config.denoiser
    x = g.input(video.branches * video.frames * video.places(c.patch) * c.hidden)
    t = g.input(video.branches * c.hidden)
    g.parameters += 2 * c.hidden
    modulation = g.move(t, writes=video.branches * 2 * c.hidden, weights=2 * c.hidden)
    channels = 2 * config.latent_channels
    patches = g.linear(g.move(g.normalise(x), modulation), c.hidden, c.patch**2 * channels)
    g.output(g.move(patches, writes=video.branches * video.frames * video.area * channels))
    return g
