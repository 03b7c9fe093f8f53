"""How probable a kill is where working memory is not known either."""

from pathlib import Path

import msgspec
import pytest

from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.limit import kill_share
from ondevice_sora.simulator.prepare import prepare, setting_of
from ondevice_sora.simulator.risk import kill_risk
from ondevice_sora.simulator.simulate import simulate

FACTOR = "processors.gpu.convolution_working_factor"


def net(folder: Path, convolutions: float, products: float) -> Path:
    (folder / "model.yaml").write_text(
        "name: net\nsource: counted\ncomponents:\n  - {name: net, passes: 1, units: [{name: all, parameters: 1000000, "
        f"plain: {{convolution_flops: {convolutions}, matmul_flops: {products}, working_elements: 6e8}}}}]}}\n"
    )
    path = folder / "plan.yaml"
    path.write_text("name: p\nmodel: model.yaml\n")
    return path


def risks(path: Path, spread: float) -> tuple[float, float, float]:
    """The risk with this spread of the factor, that of the peak alone, and the peak over the limit."""
    profile, device = load_profile("iphone15pro")
    known = figures(profile.costs)[FACTOR]
    changed = {FACTOR: msgspec.structs.replace(known, value=1.0, spread=spread)}
    profile = msgspec.structs.replace(profile, costs=replace_figures(profile.costs, changed))
    loaded = load_plan(path)
    prepared = prepare(loaded, setting_of(profile, device, loaded.plan))
    outcome = prepared.play(is_limited=False)
    setting = prepared.setting
    return (
        kill_risk(prepared, outcome),
        kill_share(setting, outcome.peak_bytes),
        outcome.peak_bytes / setting.limit_bytes,
    )


def test_a_net_that_convolves_may_take_far_more_than_its_activations(tmp_path: Path) -> None:
    """2.4 GB of activations below a limit of 3.3 GB: with a spread of 0.8, a third of the draws is above it."""
    risk, of_peak, share = risks(net(tmp_path, 1e12, 0.0), 0.8)
    assert share == pytest.approx(0.77, abs=0.02) and of_peak < 0.01
    assert 0.25 < risk < 0.45


def test_without_a_spread_or_without_convolutions_only_limit_and_baseline_are_in_doubt(tmp_path: Path) -> None:
    assert risks(net(tmp_path, 1e12, 0.0), 0.0)[0] == pytest.approx(risks(net(tmp_path, 1e12, 0.0), 0.0)[1])
    risk, of_peak, _ = risks(net(tmp_path, 0.0, 1e12), 0.8)
    assert risk == pytest.approx(of_peak)


def test_a_peak_of_such_memory_is_told(tmp_path: Path) -> None:
    told = simulate(net(tmp_path, 1e12, 0.0), "iphone15pro").result.cautions
    assert any("working memory of convolutions" in caution for caution in told)
    assert not simulate(net(tmp_path, 0.0, 1e12), "iphone15pro").result.cautions
