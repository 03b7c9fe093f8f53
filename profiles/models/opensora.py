"""Open-Sora v1.2 described from its architecture, at one video shape and text length.

Text encoder (T5 v1.1 XXL), denoiser (STDiT3-XL/2) and decoder (a temporal VAE, then a spatial AutoencoderKL), as the
On-device Sora app exports them to Core ML: one fixed shape, both guidance branches in one batch, dense attention.
Sources: Open-Sora tag v1.2.0 (hpcaitech), On-device-Sora (eai-lab), arXiv 2502.04363 v2. Of the VAEs only the decoding
half is here, as on the phone.

What the app's export does and a leaner one need not:
    The text is padded to 300 tokens for the encoder and the caption projection, whatever the prompt's length.
    Cross-attention joins the branches: the queries of all attend to the text tokens of all, under a dense additive mask
    [1, heads, branches*T*S, branches*text_tokens]. For two branches that is twice the useful products, and the mask
    is as large as the scores. It is an input of every spatial and temporal unit, at half the queries under TDTM.

Known approximations:
    Taps of a convolution that fall on padding count as work: in space 4 % at 32 rows and less above; in time a fifth
    of a group of 5 frames, but there the export pads explicitly, so that the work is done.
    Normalisations count one read and one write; a kernel that takes two passes over its input reads more.
    Transposed copies (heads, frames against places) are counted as moved; a compiler may do without some of them.
    The zero padding of the temporal decoder's convolutions is counted as a copy, since the export pads explicitly.
    No tensor is reused in place, and scores are materialised, so working memory is an upper estimate; with a fused
    attention it would be far less.
    What the app holds between units and passes is in no unit: latents, caption, decoded frames, and the mask while
    `input` and `output` run. Under TDTM only that mask would tell those two units' variants apart.
    Where the last group of frames of the decoder is ragged, a unit's work is the mean over the passes, so that totals
    are exact; its working memory is that of the largest group.
    TDTM on an odd number of latent frames is counted as ceil(T/2) groups, though the published export refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import groupby

import msgspec
from msgspec.structs import replace

from ondevice_sora.base.errors import UserError
from ondevice_sora.profiles.models.model import Component, Model, Unit
from ondevice_sora.profiles.models.operators import Graph, Tensor, mean_work, unit

SMALLEST_SIDE, LARGEST_SIDE = 64, 2048  # pixels
LARGEST_FRAMES = 1000


class TextEncoderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A T5 v1.1 encoder. `tokens` is the length that every prompt is padded to."""

    layers: int = 24
    hidden: int = 4096
    heads: int = 64
    head_width: int = 64
    feed_forward: int = 10240
    vocabulary: int = 32128
    relative_buckets: int = 32
    tokens: int = 300


class DenoiserConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An STDiT3: `depth` spatial and as many temporal units, one velocity and one sigma channel per latent channel.

    `embed_frames` adds to every token an embedding of its frame's number; the published model does not.
    """

    depth: int = 28
    hidden: int = 1152
    heads: int = 16
    patch: int = 2
    mlp_ratio: int = 4
    timestep_width: int = 256
    embed_frames: bool = False


class DecoderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The VAEs' decoding halves. Widths and multipliers run from the finest level to the coarsest, as in the sources.

    temporal_upsample[i] doubles the frames between levels i+1 and i. `group_frames` are decoded in time together,
    `batch_frames` in space.
    """

    temporal_filters: int = 128
    temporal_multipliers: tuple[int, ...] = (1, 2, 2, 4)
    temporal_upsample: tuple[bool, ...] = (False, True, True)
    temporal_res: int = 4
    spatial_widths: tuple[int, ...] = (128, 256, 512, 512)
    spatial_res: int = 3
    group_frames: int = 17
    batch_frames: int = 4

    @property
    def frame_factor(self) -> int:
        """Pixel frames a latent frame stands for."""
        return int(2 ** sum(self.temporal_upsample))

    @property
    def side_factor(self) -> int:
        """Pixels along a side that a latent pixel stands for."""
        return int(2 ** (len(self.spatial_widths) - 1))

    def groups(self, frames: int) -> dict[int, int]:
        """Pixel frames of a temporal pass -> number of such passes, the ragged last group apart."""
        return _groups(frames, self.group_frames)

    def batches(self, frames: int) -> dict[int, int]:
        """Frames of a spatial pass -> number of such passes."""
        return _groups(frames, self.batch_frames)

    def latent_frames(self, frames: int) -> int:
        """68 frames -> 20: each group of 17 becomes 5, and a last group of r becomes ceil(r/4)."""
        return sum(-(-group // self.frame_factor) * count for group, count in self.groups(frames).items())


class OpenSoraConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sizes of Open-Sora v1.2; other numbers describe a smaller model of the same classes."""

    text_encoder: TextEncoderConfig = TextEncoderConfig()
    denoiser: DenoiserConfig = DenoiserConfig()
    decoder: DecoderConfig = DecoderConfig()
    latent_channels: int = 4


OPENSORA_V1_2 = OpenSoraConfig()


def opensora(
    width: int,
    height: int,
    frames: int,
    text_tokens: int,
    *,
    encoder_tokens: int | None = None,
    guidance_batch: int = 2,
    config: OpenSoraConfig = OPENSORA_V1_2,
) -> Model:
    """Open-Sora v1.2 for videos of width x height pixels and `frames` frames.

    text_tokens     tokens of the prompt that the denoiser attends to, the end mark included
    encoder_tokens  tokens that the text encoder and the caption projection are given: prompts are padded to as many.
                    The longest that the model reads, unless given
    guidance_batch  branches that one network evaluation computes: 2 with classifier-free guidance, 1 without

    The learned null caption is in no unit: it is an input of `denoiser.input`.
    Raises UserError for a side that is no multiple of 8 or outside 64..2048, frames outside 1..1000, text_tokens
    outside 1..encoder_tokens, those outside 1..300, a guidance_batch other than 1 or 2. Odd latent sides are allowed:
    the denoiser zero-pads them.
    """
    check_video(width, height, frames, config)
    longest, is_published = config.text_encoder.tokens, config == OPENSORA_V1_2
    if encoder_tokens is not None:
        _check_range("$.encoder_tokens", encoder_tokens, 1, longest)
        config = replace(config, text_encoder=replace(config.text_encoder, tokens=encoder_tokens))
    _check_range("$.text_tokens", text_tokens, 1, config.text_encoder.tokens)
    _check_range("guidance_batch", guidance_batch, 1, 2)
    factor = config.decoder.side_factor
    video = _Video(
        branches=guidance_batch,
        frames=config.decoder.latent_frames(frames),
        rows=height // factor,
        columns=width // factor,
        text_tokens=text_tokens,
        caption_tokens=config.text_encoder.tokens,
    )
    decoder = config.decoder
    groups, batches = decoder.groups(frames), decoder.batches(frames)
    return Model(
        name="Open-Sora v1.2" if is_published else "Open-Sora v1.2 classes, other sizes",
        source="derived from the architecture (Open-Sora tag v1.2.0) as On-device-Sora exports it",
        is_rectified_flow=True,
        components=(
            Component("text_encoder", 1, _text_encoder(config.text_encoder)),
            Component("denoiser", "steps", _denoiser(config, video)),
            Component("decoder.temporal", sum(groups.values()), _temporal_decoder(config, video, groups)),
            Component("decoder.spatial", sum(batches.values()), _spatial_decoder(config, video, batches)),
        ),
    )


def check_video(width: int, height: int, frames: int, config: OpenSoraConfig = OPENSORA_V1_2) -> None:
    """Raise UserError, about the plan's key, for a side or a length that the model cannot have."""
    _check_side("$.video.width", width, config)
    _check_side("$.video.height", height, config)
    _check_range("$.video.frames", frames, 1, LARGEST_FRAMES)


def reference_partition(model: Model) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The blocks of the On-device Sora app: component name -> blocks, each the names of its units in order.

    text_encoder  every unit a block
    denoiser      `input`, the pairs of a spatial and a temporal unit, `output`
    decoder       nine parts a stage, level by level; where activations are largest (temporal level 1, spatial up3), one
                  residual block a part

    Raises UserError for a model whose components are not those of Open-Sora.
    """
    return {
        component.name: tuple(
            tuple(names) for _, names in groupby((part.name for part in component.units), _part(component.name))
        )
        for component in model.components
    }


def _part(component: str) -> Callable[[str], str]:
    """Unit name -> the reference part that it belongs to."""
    parts: dict[str, Callable[[str], str]] = {
        "text_encoder": lambda name: name,
        "denoiser": lambda name: name.rpartition("_")[2],
        "decoder.temporal": lambda name: (
            name if name.startswith("level1_") else "input" if name.startswith("res_") else name.partition("_")[0]
        ),
        "decoder.spatial": lambda name: name if name.startswith("up3_") else name.partition("_")[0],
    }
    if component not in parts:
        raise UserError(
            f"component '{component}' has no reference partition", mend=f"One is known for: {', '.join(parts)}."
        )
    return parts[component]


def _groups(frames: int, size: int) -> dict[int, int]:
    full, rest = divmod(frames, size)
    return {length: count for length, count in ((size, full), (rest, 1)) if length and count}


def _check_range(field: str, value: int, low: int, high: int) -> None:
    name = field.rpartition(".")[2]
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{name} {value!r} is not a whole number", mend=f"Give one from {low} to {high}.", field=field)
    if not low <= value <= high:
        mend = f"Give a whole number from {low} to {high}."
        raise UserError(f"{name} {value} is out of range", mend=mend, field=field)


def _check_side(field: str, pixels: int, config: OpenSoraConfig) -> None:
    _check_range(field, pixels, SMALLEST_SIDE, LARGEST_SIDE)
    name = field.rpartition(".")[2]
    step = config.decoder.side_factor
    if pixels % step:
        below = pixels // step * step
        offered = " or ".join(str(side) for side in (below, below + step) if SMALLEST_SIDE <= side <= LARGEST_SIDE)
        raise UserError(f"{name} {pixels} is not a multiple of {step} pixels", mend=f"Use {offered}.", field=field)


class _Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of one network evaluation: latent frames, rows and columns, and text lengths in tokens."""

    branches: int
    frames: int
    rows: int
    columns: int
    text_tokens: int
    caption_tokens: int

    @property
    def area(self) -> int:
        return self.rows * self.columns

    def places(self, patch: int) -> int:
        """Tokens a frame: the frame zero-padded to whole patches."""
        return -(-self.rows // patch) * -(-self.columns // patch)


def _renamed(original: Unit, names: list[str]) -> list[Unit]:
    return [replace(original, name=name) for name in names]


# --- text encoder: x [tokens, hidden], one prompt -------------------------------------------------------------------


def _text_encoder(c: TextEncoderConfig) -> tuple[Unit, ...]:
    first, later = unit("layer_0", _text_layer(c, 0)), unit("layer_1", _text_layer(c, 1))
    renamed = _renamed(later, [f"layer_{index}" for index in range(1, c.layers)])
    return (unit("embed", _text_embed(c)), first, *renamed, unit("final_norm", _text_norm(c)))


def _text_embed(c: TextEncoderConfig) -> Graph:
    g = Graph()
    g.parameters += c.vocabulary * c.hidden
    g.output(g.move(g.input(c.tokens), writes=c.tokens * c.hidden, weights=c.tokens * c.hidden))
    return g


def _text_layer(c: TextEncoderConfig, index: int) -> Graph:
    """Layer 0 makes the position bias with the padding mask in it, [heads, tokens, tokens]; all later ones reuse it."""
    g = Graph()
    x = g.input(c.tokens * c.hidden)
    bias_elements = c.heads * c.tokens * c.tokens
    if index == 0:
        g.parameters += c.relative_buckets * c.heads
        g.tables += bias_elements - c.relative_buckets * c.heads
        table = g.move(writes=bias_elements, weights=bias_elements)
        bias = g.move(table, g.input(c.tokens))
        g.output(bias)
    else:
        bias = g.input(bias_elements, held=True)
    inner = c.heads * c.head_width
    normal = g.normalise(x, c.hidden)
    q, k, v = (g.move(g.linear(normal, c.hidden, inner, bias=False)) for _ in range(3))
    context = g.move(g.attention(q, k, v, batch=1, heads=c.heads, width=inner, bias=bias))
    x = g.move(x, g.linear(context, inner, c.hidden, bias=False))
    normal = g.normalise(x, c.hidden)
    gate = g.move(g.linear(normal, c.hidden, c.feed_forward, bias=False))
    mixed = g.move(g.linear(normal, c.hidden, c.feed_forward, bias=False), gate)
    g.output(g.move(x, g.linear(mixed, c.feed_forward, c.hidden, bias=False)))
    return g


def _text_norm(c: TextEncoderConfig) -> Graph:
    g = Graph()
    g.output(g.normalise(g.input(c.tokens * c.hidden), c.hidden))
    return g


# --- denoiser: x [branches, frames, places, hidden] -----------------------------------------------------------------


def _denoiser(config: OpenSoraConfig, video: _Video) -> tuple[Unit, ...]:
    def block(kind: str) -> Unit:
        tdtm = _denoiser_block(config.denoiser, video, kind, merged=True) if video.frames > 1 else None
        return unit(kind, _denoiser_block(config.denoiser, video, kind, merged=False), tdtm)

    spatial, temporal = block("spatial"), block("temporal")
    pairs = [
        replace(original, name=f"{original.name}_{index}")
        for index in range(config.denoiser.depth)
        for original in (spatial, temporal)
    ]
    return (
        unit("input", _denoiser_input(config, video)),
        *pairs,
        unit("output", _denoiser_output(config, video)),
    )


def _denoiser_input(config: OpenSoraConfig, video: _Video) -> Graph:
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


def _patch_embed(g: Graph, config: OpenSoraConfig, video: _Video, latent: Tensor) -> Tensor:
    c = config.denoiser
    places, taps = video.places(c.patch), c.patch**2
    positions = video.branches * video.frames * places
    if places * taps != video.area:
        latent = g.move(latent, writes=positions * taps * config.latent_channels)
    x = g.convolution(latent, config.latent_channels, c.hidden, taps, positions=positions)
    g.tables += places * c.hidden  # the position embedding
    return g.move(g.move(x), g.move(writes=places * c.hidden))


def _embed_scalar(g: Graph, c: DenoiserConfig, video: _Video, value: Tensor) -> Tensor:
    waves = g.move(value, writes=video.branches * c.timestep_width)
    return g.linear(g.move(g.linear(waves, c.timestep_width, c.hidden)), c.hidden, c.hidden)


def _denoiser_block(c: DenoiserConfig, video: _Video, kind: str, *, merged: bool) -> Graph:
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


def _denoiser_output(config: OpenSoraConfig, video: _Video) -> Graph:
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


# --- decoder: x [frames, rows, columns, channels], one group of frames a pass -----------------------------------------

_Build = Callable[[int], Graph]  # frames of a pass -> the unit's graph


def _pass_unit(name: str, build: _Build, passes: Mapping[int, int]) -> Unit:
    """A unit whose passes differ in length: `passes` maps the frames of a pass to the number of such passes."""
    graphs = {frames: build(frames) for frames in passes}
    work = mean_work([(graphs[frames].work(), count) for frames, count in passes.items()])
    any_graph = next(iter(graphs.values()))
    return Unit(name, any_graph.parameters, work, tables=any_graph.tables)


def _res_units(
    names: list[str], inputs: int, outputs: int, build: Callable[[int, int], _Build], passes: Mapping[int, int]
) -> list[Unit]:
    """Residual blocks in a row, of which only the first changes the width."""
    first = _pass_unit(names[0], build(inputs, outputs), passes)
    later = first if inputs == outputs else _pass_unit(names[-1], build(outputs, outputs), passes)
    return [first, *_renamed(later, names[1:])]


def _temporal_decoder(config: OpenSoraConfig, video: _Video, groups: Mapping[int, int]) -> tuple[Unit, ...]:
    d = config.decoder
    width = d.temporal_filters * d.temporal_multipliers[-1]
    factor = 1

    def res(prefix: str, inputs: int, outputs: int) -> list[Unit]:
        names = [f"{prefix}res_{index}" for index in range(d.temporal_res)]
        return _res_units(names, inputs, outputs, partial(_temporal_res, d, video, factor), groups)

    units = [_pass_unit("input", _temporal_input(config, video, width), groups), *res("", width, width)]
    for level in reversed(range(len(d.temporal_multipliers))):
        outputs = d.temporal_filters * d.temporal_multipliers[level]
        units += res(f"level{level}_", width, outputs)
        width = outputs
        if level > 0 and d.temporal_upsample[level - 1]:
            units.append(_pass_unit(f"level{level}_up", _temporal_up(d, video, factor, width), groups))
            factor *= 2
    units.append(_pass_unit("output", _temporal_output(config, video, width), groups))
    return tuple(units)


def _causal_conv(
    g: Graph, video: _Video, x: Tensor, inputs: int, outputs: int, frames: int, *, bias: bool = True
) -> Tensor:
    """A 3x3x3 convolution after explicit zero padding: two frames in front, one place on every side."""
    padded = g.move(x, writes=(frames + 2) * (video.rows + 2) * (video.columns + 2) * inputs)
    return g.convolution(padded, inputs, outputs, 27, positions=frames * video.area, bias=bias)


def _temporal_input(config: OpenSoraConfig, video: _Video, width: int) -> _Build:
    channels = config.latent_channels

    def build(group_frames: int) -> Graph:
        g, frames = Graph(), _latent(config.decoder, group_frames)
        g.tables += 2 * channels  # the latents' scale and shift
        scaled = g.move(g.input(frames * video.area * channels))
        mixed = g.convolution(scaled, channels, channels, 1)
        g.output(_causal_conv(g, video, mixed, channels, width, frames))
        return g

    return build


def _temporal_res(d: DecoderConfig, video: _Video, factor: int, inputs: int, outputs: int) -> _Build:
    def build(group_frames: int) -> Graph:
        g, frames = Graph(), _latent(d, group_frames) * factor
        x = g.input(frames * video.area * inputs)
        hidden = _causal_conv(g, video, g.move(g.normalise(x, 2 * inputs)), inputs, outputs, frames, bias=False)
        hidden = _causal_conv(g, video, g.move(g.normalise(hidden, 2 * outputs)), outputs, outputs, frames, bias=False)
        if inputs != outputs:
            x = g.convolution(x, inputs, outputs, 1, bias=False)
        g.output(g.move(x, hidden))
        return g

    return build


def _temporal_up(d: DecoderConfig, video: _Video, factor: int, width: int) -> _Build:
    """Twice the channels, then channels to frames."""

    def build(group_frames: int) -> Graph:
        g, frames = Graph(), _latent(d, group_frames) * factor
        wide = _causal_conv(g, video, g.input(frames * video.area * width), width, 2 * width, frames)
        g.output(g.move(wide))
        return g

    return build


def _temporal_output(config: OpenSoraConfig, video: _Video, width: int) -> _Build:
    channels = config.latent_channels

    def build(group_frames: int) -> Graph:
        g, frames = Graph(), _latent(config.decoder, group_frames) * config.decoder.frame_factor
        x = g.normalise(g.input(frames * video.area * width), 2 * width)
        decoded = _causal_conv(g, video, g.move(x), width, channels, frames)
        g.output(g.move(decoded, writes=group_frames * video.area * channels))
        return g

    return build


def _latent(d: DecoderConfig, group_frames: int) -> int:
    return -(-group_frames // d.frame_factor)


def _spatial_decoder(config: OpenSoraConfig, video: _Video, batches: Mapping[int, int]) -> tuple[Unit, ...]:
    d = config.decoder
    width, area = d.spatial_widths[-1], video.area
    mid = _pass_unit("mid_res_0", _spatial_res(area, width, width), batches)
    units = [
        _pass_unit("input", _spatial_input(config, area, width), batches),
        mid,
        _pass_unit("mid_attention", _spatial_attention(area, width), batches),
        replace(mid, name="mid_res_1"),
    ]
    for level, outputs in enumerate(reversed(d.spatial_widths)):
        names = [f"up{level}_res_{index}" for index in range(d.spatial_res)]
        units += _res_units(names, width, outputs, partial(_spatial_res, area), batches)
        width = outputs
        if level < len(d.spatial_widths) - 1:
            units.append(_pass_unit(f"up{level}_up", _spatial_up(area, width), batches))
            area *= 4
    units.append(_pass_unit("output", _spatial_output(area, width), batches))
    return tuple(units)


def _spatial_input(config: OpenSoraConfig, area: int, width: int) -> _Build:
    channels = config.latent_channels

    def build(frames: int) -> Graph:
        g = Graph()
        mixed = g.convolution(g.move(g.input(frames * area * channels)), channels, channels, 1)
        g.output(g.convolution(mixed, channels, width, 9))
        return g

    return build


def _spatial_res(area: int, inputs: int, outputs: int) -> _Build:
    def build(frames: int) -> Graph:
        g = Graph()
        x = g.input(frames * area * inputs)
        hidden = g.convolution(g.move(g.normalise(x, 2 * inputs)), inputs, outputs, 9)
        hidden = g.convolution(g.move(g.normalise(hidden, 2 * outputs)), outputs, outputs, 9)
        if inputs != outputs:
            x = g.convolution(x, inputs, outputs, 1)
        g.output(g.move(x, hidden))
        return g

    return build


def _spatial_attention(area: int, width: int) -> _Build:
    """One head over all places of a frame; the channels go last and come back by transposed copies."""

    def build(frames: int) -> Graph:
        g = Graph()
        x = g.input(frames * area * width)
        tokens = g.move(g.normalise(x, 2 * width))
        q, k, v = (g.linear(tokens, width, width) for _ in range(3))
        context = g.attention(q, k, v, batch=frames, heads=1, width=width)
        g.output(g.move(x, g.move(g.linear(context, width, width))))
        return g

    return build


def _spatial_up(area: int, width: int) -> _Build:
    """Nearest neighbour to twice the rows and columns, then a convolution."""

    def build(frames: int) -> Graph:
        g = Graph()
        x = g.input(frames * area * width)
        g.output(g.convolution(g.move(x, writes=4 * x.elements), width, width, 9))
        return g

    return build


def _spatial_output(area: int, width: int) -> _Build:
    def build(frames: int) -> Graph:
        g = Graph()
        x = g.input(frames * area * width)
        g.output(g.convolution(g.move(g.normalise(x, 2 * width)), width, 3, 9))
        return g

    return build
