"""The figures of profiles in words."""

from __future__ import annotations

import pytest

from ondevice_sora.profiles.costs import figures
from ondevice_sora.profiles.devices import device_keys
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.reports.figure_names import figure_words


@pytest.mark.parametrize("device", device_keys())
def test_every_figure_of_every_device_has_words_of_its_own(device: str) -> None:
    told = [figure_words(name) for name in figures(load_profile(device)[0].costs)]
    assert not [words for words in told if "_" in words or "." in words]
    assert len(set(told)) == len(told)


def test_a_figure_says_of_which_processor_it_is() -> None:
    assert figure_words("processors.gpu.matmul_flops_per_s") == "GPU, speed of matrix products"
    assert figure_words("baseline_bytes") == "Memory of the app itself"


def test_an_unknown_figure_keeps_its_name() -> None:
    assert figure_words("processors.npu.new_s") == "processors.npu.new_s"
