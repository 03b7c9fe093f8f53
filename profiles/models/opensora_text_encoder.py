"""Units of Open-Sora's text encoder, a T5: x [tokens, hidden], one prompt."""

from __future__ import annotations

from ondevice_sora.profiles.models.model import Unit
from ondevice_sora.profiles.models.opensora_sizes import TextEncoderConfig
from ondevice_sora.profiles.models.operators import Graph, renamed, unit


def text_encoder_units(c: TextEncoderConfig) -> tuple[Unit, ...]:
    first, later = unit("layer_0", _text_layer(c, 0)), unit("layer_1", _text_layer(c, 1))
    others = renamed(later, [f"layer_{index}" for index in range(1, c.layers)])
    return (unit("embed", _text_embed(c)), first, *others, unit("final_norm", _text_norm(c)))


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
