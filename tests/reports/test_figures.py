"""A run as a plotly figure."""

from __future__ import annotations

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
