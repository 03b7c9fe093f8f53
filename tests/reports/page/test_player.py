"""The videos of an evaluation's page in headless Chromium: they play in step, frame by frame, and print as frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.browser import NARROW, Page
from worlds.films import FIRST, NEXT, write_film

from ondevice_sora.records.quality import Evaluation
from ondevice_sora.reports.page.quality import render_quality

LEVELS = """
return [...document.querySelectorAll(arguments[0])].map(
  canvas => canvas.getContext("2d").getImageData(arguments[1], canvas.height / 2, 1, 1).data[0]);
"""
READY = "return document.querySelector('.player').classList.contains('ready')"
SEEN = "return [...document.querySelectorAll(arguments[0])].filter(each => each.getBoundingClientRect().width).length"


def shown(page: Page, canvases: str = ".tile", across: float = 8) -> list[int]:
    """Which frame each video shows, counted from 0."""
    levels = page.js(LEVELS, canvases, across)
    return [round((level - first) / NEXT) for level, first in zip(levels, FIRST, strict=True)]


@pytest.fixture
def playing(page: Page, evaluation: Evaluation, tmp_path: Path) -> Page:
    (clip,) = evaluation.clips
    write_film(tmp_path / clip.file, clip)
    page.open(render_quality(evaluation, tmp_path))
    page.wait_for(lambda: page.js(READY))
    return page


def test_nothing_moves_before_it_is_told_to(playing: Page) -> None:
    assert playing.js("return document.querySelector('video').paused")
    assert shown(playing) == [0, 0, 0]
    assert playing.driver.find_element("css selector", ".controls").text.split("\n") == [
        "Play all",
        "frame 1 of 12, 0.00 s",
    ]


def test_one_button_plays_all_videos_in_step_until_it_is_pressed_again(playing: Page) -> None:
    button = playing.driver.find_element("css selector", ".controls button")
    button.click()
    assert button.text == "Pause"
    frames = set()

    def look() -> bool:
        first, *others = shown(playing)
        assert others == [first, first]
        frames.add(first)
        return len(frames) > 2

    playing.wait_for(look)
    button.click()
    playing.wait_for(lambda: button.text == "Play all")
    assert playing.js("return document.querySelector('video').paused")


def test_playing_asks_for_nothing_and_says_nothing_to_the_console(playing: Page) -> None:
    playing.driver.find_element("css selector", ".controls button").click()
    playing.wait_for(lambda: playing.js("return document.querySelector('video').currentTime > 0.2"))
    assert playing.problems() == []


def test_keys_play_and_go_frame_by_frame(playing: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    button, slider = playing.driver.find_elements("css selector", ".controls button, .controls input")
    for words in ("Pause", "Play all"):
        button.send_keys(Keys.SPACE)
        playing.wait_for(lambda words=words: button.text == words)
    for key, frame in ((Keys.END, 11), (Keys.HOME, 0), (Keys.ARROW_RIGHT, 1), (Keys.ARROW_RIGHT, 2)):
        slider.send_keys(key)
        playing.wait_for(lambda frame=frame: shown(playing) == [frame] * 3)
    assert slider.get_attribute("aria-valuetext") == "frame 3 of 12, 0.08 s"


def test_a_frame_that_is_chosen_while_videos_play_stays(playing: Page) -> None:
    playing.driver.find_element("css selector", ".controls button").click()
    playing.js("const s = document.querySelector('input'); s.value = 5; s.dispatchEvent(new Event('input'))")
    playing.wait_for(lambda: shown(playing) == [5, 5, 5])
    assert playing.js("return document.querySelector('video').paused")


def test_paper_has_frames_from_the_first_to_the_last_and_nothing_to_press(playing: Page) -> None:
    assert playing.js(SEEN, ".frames") == 0
    assert [shown(playing, ".frames", 18 * place + 8)[0] for place in range(8)] == [0, 2, 3, 5, 6, 8, 9, 11]
    playing.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert [playing.js(SEEN, each) for each in (".frames", ".tile", ".controls", "video")] == [3, 0, 0, 0]
    playing.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_video_that_cannot_be_played_stays_as_it_is_and_no_button_lies(
    page: Page, evaluation: Evaluation, tmp_path: Path
) -> None:
    page.open(render_quality(evaluation, tmp_path), NARROW)
    page.wait_for(lambda: page.js("return document.querySelector('video').error !== null"))
    assert [page.js(SEEN, each) for each in ("video", ".controls", "canvas")] == [1, 0, 0]
    assert page.problems() == []
