"""The picture of the idea is what the simulation says today."""

from __future__ import annotations

from xml.etree import ElementTree

from scripts.docs.picture import PICTURE, picture


def test_the_picture_is_the_simulations():
    """Stale? `python -m scripts.docs.picture`."""
    assert PICTURE.read_text(encoding="utf-8") == picture()


def test_memory_lies_below_the_line_of_the_limit():
    """Heights grow downwards: no point of the memory's outline lies above the limit."""
    root = ElementTree.fromstring(PICTURE.read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    (limit,) = [float(line.get("y1")) for line in root.iter(f"{space}line") if line.get("class") == "limit"]
    outlines = [path.get("d").strip("MZ").split(" L") for path in root.iter(f"{space}path")]
    heights = [float(point.split(",")[1]) for outline in outlines for point in outline]
    assert len(outlines) == 4
    assert min(heights) > limit
