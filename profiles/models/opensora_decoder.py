"""Units of Open-Sora's decoder, one group of frames a pass: x [frames, rows, columns, channels]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from ondevice_sora.profiles.models.model import Unit
from ondevice_sora.profiles.models.opensora_sizes import DecoderConfig, OpenSoraConfig, VideoShape
from ondevice_sora.profiles.models.operators import Graph, Tensor, mean_work, renamed

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
    return [first, *renamed(later, names[1:])]


def temporal_decoder_units(config: OpenSoraConfig, video: VideoShape, groups: Mapping[int, int]) -> tuple[Unit, ...]:
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
    g: Graph, video: VideoShape, x: Tensor, inputs: int, outputs: int, frames: int, *, bias: bool = True
) -> Tensor:
    """A 3x3x3 convolution after explicit zero padding: two frames in front, one place on every side."""
    padded = g.move(x, writes=(frames + 2) * (video.rows + 2) * (video.columns + 2) * inputs)
    return g.convolution(padded, inputs, outputs, 27, positions=frames * video.area, bias=bias)


def _temporal_input(config: OpenSoraConfig, video: VideoShape, width: int) -> _Build:
    channels = config.latent_channels

    def build(group_frames: int) -> Graph:
        g, frames = Graph(), _latent(config.decoder, group_frames)
        g.tables += 2 * channels  # the latents' scale and shift
        scaled = g.move(g.input(frames * video.area * channels))
        mixed = g.convolution(scaled, channels, channels, 1)
        g.output(_causal_conv(g, video, mixed, channels, width, frames))
        return g

    return build


def _temporal_res(d: DecoderConfig, video: VideoShape, factor: int, inputs: int, outputs: int) -> _Build:
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


def _temporal_up(d: DecoderConfig, video: VideoShape, factor: int, width: int) -> _Build:
    """Twice the channels, then channels to frames."""

    def build(group_frames: int) -> Graph:
        g, frames = Graph(), _latent(d, group_frames) * factor
        wide = _causal_conv(g, video, g.input(frames * video.area * width), width, 2 * width, frames)
        g.output(g.move(wide))
        return g

    return build


def _temporal_output(config: OpenSoraConfig, video: VideoShape, width: int) -> _Build:
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


def spatial_decoder_units(config: OpenSoraConfig, video: VideoShape, batches: Mapping[int, int]) -> tuple[Unit, ...]:
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
