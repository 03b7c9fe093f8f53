"""The pages' colours, measured: apart for every eye and in grey, apart from their ground, and none of them the limit's.

Colour-blind eyes are simulated after Machado, Oliveira and Fernandes (2009), at full severity; distances are CIEDE2000,
of which about 2 can just be seen side by side.
"""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

color = pytest.importorskip("skimage.color", reason="scikit-image is not installed")

Colour = NDArray[np.float64]

PALETTES = {
    "components": [f"c{index}" for index in range(8)],
    "runs": [f"t{index}" for index in range(6)],
    "what holds memory": ["h-baseline", "h-residual", "h-resident", "h-loading", "h-working"],
    "what a component does": ["p-run", "p-stall", "p-rest"],
    "what a step does": ["p-run", "p-stall", "faint"],
    "marks": ["m-measured", "m-published", "m-fitted", "m-estimated"],
}
"""Neighbours on the page are neighbours here."""
QUIET = {"h-baseline", "h-residual", "h-loading", "p-rest", "faint"}
"""Areas that touch others, or of what does not matter: they need not stand out from the ground by themselves."""
EYES = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "grey": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
}
ANY_TWO, NEIGHBOURS, NEIGHBOURS_IN_GREY = 9.0, 20.0, 11.0
FROM_THE_LIMIT = 20.0


def variables(scheme: str) -> dict[str, Colour]:
    """The colours of the style sheet by name, red, green and blue from 0 to 1."""
    style = (files("ondevice_sora.reports.page") / "assets" / "style.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root(?::not\(\.printing\))? \{(.*?)\}", style, re.S)[:2]
    found = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", light if scheme == "light" else dark))
    return {name: np.array([int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]) for name, digits in found.items()}


def linear(colour: Colour) -> Colour:
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def seen(colour: Colour, eyes: str) -> Colour:
    light = np.clip(EYES[eyes] @ linear(colour), 0.0, 1.0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def distance(a: Colour, b: Colour, eyes: str) -> float:
    return float(color.deltaE_ciede2000(color.rgb2lab(seen(a, eyes)), color.rgb2lab(seen(b, eyes))))


def contrast(a: Colour, b: Colour) -> float:
    """WCAG's contrast ratio, from 1 to 21."""
    low, high = sorted(float(EYES["grey"][0] @ linear(each)) for each in (a, b))
    return (high + 0.05) / (low + 0.05)


schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
palettes = pytest.mark.parametrize("palette", PALETTES)


def test_the_simulation_knows_what_deuteranopia_confuses() -> None:
    """The olive of two components of an earlier version of the page."""
    ochre, green = np.array([0xA3, 0x6C, 0x14]) / 255, np.array([0x5B, 0x8A, 0x1C]) / 255
    assert distance(ochre, green, "normal") > 25
    assert distance(ochre, green, "deuteranopia") < 9


@schemes
@palettes
def test_colours_of_a_palette_stay_apart_for_every_eye(scheme: str, palette: str) -> None:
    colours = variables(scheme)
    for eyes in ("normal", "deuteranopia", "protanopia"):
        for a, b in combinations(PALETTES[palette], 2):
            assert distance(colours[a], colours[b], eyes) >= ANY_TWO, (a, b, eyes)
        for a, b in pairwise(PALETTES[palette]):
            assert distance(colours[a], colours[b], eyes) >= NEIGHBOURS, (a, b, eyes)


@schemes
@palettes
def test_neighbours_stay_apart_in_grey(scheme: str, palette: str) -> None:
    colours = variables(scheme)
    for a, b in pairwise(PALETTES[palette]):
        assert distance(colours[a], colours[b], "grey") >= NEIGHBOURS_IN_GREY, (a, b)


@schemes
@palettes
def test_colours_stand_out_from_their_ground(scheme: str, palette: str) -> None:
    """3:1, as WCAG asks of graphics."""
    colours = variables(scheme)
    for name in set(PALETTES[palette]) - QUIET:
        assert contrast(colours[name], colours["panel"]) >= 3.0, name


@schemes
@palettes
def test_no_colour_is_taken_for_the_limit(scheme: str, palette: str) -> None:
    colours = variables(scheme)
    for name in (*PALETTES[palette], "worse", "ok", "accent"):
        assert distance(colours[name], colours["bad"], "normal") >= FROM_THE_LIMIT, name


@schemes
def test_words_can_be_read(scheme: str) -> None:
    """4.5:1, as WCAG asks of text; letters on the runs' colours included."""
    colours = variables(scheme)
    pairs = [(name, ground) for name in ("text", "muted", "accent", "ok", "bad", "worse") for ground in ("bg", "panel")]
    pairs += [(f"on-t{index}", f"t{index}") for index in range(6)]
    for name, ground in pairs:
        assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def rules() -> list[Any]:
    """What each rule of the style sheets says, by its selector."""
    folder = files("ondevice_sora.reports.page") / "assets"
    text = "".join(
        each.read_text(encoding="utf-8") for each in sorted(folder.iterdir(), key=str) if each.name.endswith(".css")
    )
    return re.findall(r"([^{}]+)\{([^{}]*)\}", text)


def test_red_is_used_for_the_limit_and_what_goes_over_it_only() -> None:
    red = {selector.strip().splitlines()[-1] for selector, said in rules() if "var(--bad)" in said}
    assert red == {".badge.bad", ".verdict.bad .word", ".card.killed .number", ".meter.over i", ".rule", ".cross"}
