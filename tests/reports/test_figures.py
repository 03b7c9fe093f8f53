"""A run as a plotly figure."""

from __future__ import annotations

from msgspec.structs import replace

from ondevice_sora.records.trace import Trace
from ondevice_sora.reports.figures import run_figure


def test_the_figure_has_every_span_what_holds_memory_and_the_limit(trace: Trace) -> None:
    figure = run_figure(trace)
    bars = {each.name: each for each in figure.data if each.type == "bar"}
    assert {name: len(bar.x) for name, bar in bars.items()} == {"text_encoder": 2, "denoiser": 16, "decoder": 2}
    assert bars["text_encoder"].hovertext[0] == (
        "encode<br>First load, 2.00 s<br>text_encoder, step 0<br>0.000 s to 2.000 s<br>100 MB read"
    )
    held = [each.name for each in figure.data if each.type == "scatter"]
    assert held == ["app baseline", "left by unloaded blocks", "resident blocks", "being loaded", "working memory"]
    assert [note.text for note in figure.layout.annotations] == ["limit 1.00 GB"]


def test_memory_is_drawn_in_the_unit_that_its_size_is_read_in(trace: Trace) -> None:
    figure = run_figure(trace)
    assert figure.layout.yaxis2.title.text == "footprint, MB"
    assert next(each.y[0] for each in figure.data if each.name == "app baseline") == 200
    large = [replace(sample, baseline=2 * 10**9) for sample in trace.memory]
    figure = run_figure(replace(trace, memory=large, limit_bytes=3 * 10**9))
    assert figure.layout.yaxis2.title.text == "footprint, GB"
    assert next(each.y[0] for each in figure.data if each.name == "app baseline") == 2
    assert [shape.y0 for shape in figure.layout.shapes] == [3]


def test_a_limit_far_above_all_that_is_held_is_named_and_does_not_flatten_the_curve(trace: Trace) -> None:
    figure = run_figure(replace(trace, limit_bytes=7 * 10**9))
    assert [note.text for note in figure.layout.annotations] == ["limit 7.00 GB, far above"]
    assert not figure.layout.shapes
