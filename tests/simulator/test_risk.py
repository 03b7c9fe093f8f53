"""How probable a kill is where working memory is not known either."""

import math
from pathlib import Path
from statistics import NormalDist

import msgspec
import pytest

from ondevice_sora.plans.plan_file import load_plan
from ondevice_sora.profiles.costs import figures, replace_figures
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.measurements import Measurement
from ondevice_sora.profiles.profile import load_profile
from ondevice_sora.simulator.limit import kill_share
from ondevice_sora.simulator.prepare import Setting, prepare, setting_of
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


def two_nets(folder: Path, first: str, second: str, blocks: str = "unit") -> Path:
    """The denoiser's own activations make the peak; the decoder's may, for what is known of them."""
    (folder / "model.yaml").write_text(
        "name: nets\nsource: counted\ncomponents:\n  - {name: net, passes: 1, units: [\n"
        f"      {{name: denoises, parameters: 1000000, plain: {{{first}}}}},\n"
        f"      {{name: decodes, parameters: 1000000, plain: {{{second}}}}}]}}\n"
    )
    path = folder / "plan.yaml"
    path.write_text(f"name: p\nmodel: model.yaml\ncomponents: {{net: {{blocks: {blocks}}}}}\n")
    return path


def test_a_block_that_is_not_at_the_peak_counts_if_its_memory_may_be_larger(tmp_path: Path) -> None:
    """2.4 and 2.2 GB of activations: that of the convolutions, though less, is above 3.3 GB in a third of the draws."""
    path = two_nets(
        tmp_path, "matmul_flops: 1e12, working_elements: 6e8", "convolution_flops: 1e12, working_elements: 5.5e8"
    )
    risk, of_peak, _ = risks(path, 0.8)
    alone = risks(net(tmp_path, 1e12, 0.0), 0.8)[0]
    assert of_peak < 0.01
    assert 0.2 < risk < alone


def test_a_unit_that_convolves_counts_beside_a_larger_one_in_its_block(tmp_path: Path) -> None:
    path = two_nets(
        tmp_path,
        "matmul_flops: 1e12, working_elements: 6e8",
        "convolution_flops: 1e12, working_elements: 5.5e8",
        "whole",
    )
    assert risks(path, 0.8)[0] > 0.2


def test_the_risk_is_the_share_of_draws_of_the_factor_in_which_the_peak_is_above_the_limit(tmp_path: Path) -> None:
    """Half of the operations are convolutions: working memory is not the factor's power, but half goes with it."""
    path = net(tmp_path, 5e11, 5e11)
    profile, device = load_profile("iphone15pro")
    known = figures(profile.costs)
    sure = {"baseline_bytes": msgspec.structs.replace(known["baseline_bytes"], spread=0.0)}
    factor = msgspec.structs.replace(known[FACTOR], value=1.0, spread=0.8)
    loaded = load_plan(path)

    def setting(value: float) -> Setting:
        changes = {**sure, FACTOR: msgspec.structs.replace(factor, value=value)}
        own = msgspec.structs.replace(profile, costs=replace_figures(profile.costs, changes))
        return setting_of(own, device, loaded.plan, memory_limit=3_300_000_000)

    prepared = prepare(loaded, setting(1.0))
    deviations = [(number + 0.5) / 200 for number in range(200)]
    values = [math.exp(0.8 * NormalDist().inv_cdf(share)) for share in deviations]
    peaks = [prepared.changed(setting=setting(value)).finish().peak_bytes for value in values]
    share = sum(peak > 3_300_000_000 for peak in peaks) / len(peaks)
    assert 0.1 < share < 0.5
    assert kill_risk(prepared, prepared.play(is_limited=False)) == pytest.approx(share, abs=0.02)


def test_working_memory_that_was_measured_is_in_no_doubt(tmp_path: Path) -> None:
    path = net(tmp_path, 1e12, 0.0)
    loaded = load_plan(path)
    profile, device = load_profile("iphone15pro")
    measured = Measurement("net", "net", "all", "all", working_bytes=Figure(2.4e9, "measured", "harness"))
    prepared = prepare(loaded, setting_of(profile, device, loaded.plan))
    known = prepare(loaded, setting_of(msgspec.structs.replace(profile, measurements=(measured,)), device, loaded.plan))
    assert kill_risk(prepared, prepared.play(is_limited=False)) > 0.1
    outcome = known.play(is_limited=False)
    assert kill_risk(known, outcome) == kill_share(known.setting, outcome.peak_bytes) < 0.01


def test_a_peak_of_such_memory_is_told(tmp_path: Path) -> None:
    told = simulate(net(tmp_path, 1e12, 0.0), "iphone15pro").result.cautions
    assert any("working memory of convolutions" in caution for caution in told)
    assert not simulate(net(tmp_path, 0.0, 1e12), "iphone15pro").result.cautions


def test_under_dynamic_lpl_generations_that_end_later_count_as_they_are_probable(tmp_path: Path) -> None:
    """Merged steps take 0.4 GB, plain ones, which three in ten generations reach, 4 GB: of these nothing was told."""
    (tmp_path / "model.yaml").write_text(
        "name: net\nsource: counted\nis_rectified_flow: true\ncomponents:\n  - {name: net, passes: steps, units: ["
        "{name: all, parameters: 1000000, plain: {working_elements: 1e9}, tdtm: {working_elements: 1e8}}]}\n"
    )
    path = tmp_path / "plan.yaml"
    path.write_text(
        "name: p\nmodel: model.yaml\nsampler: {steps: 6}\ntdtm: {steps: {first: 2}}\n"
        "lpl: {mode: dynamic, stop_steps: {1: 0.7, 3: 0.3}}\n"
    )
    result = simulate(path, "iphone15pro", with_advice=False).result
    assert result.verdict == "fits" and result.peak_bytes < 1e9
    assert result.kill_share == pytest.approx(0.3, abs=0.03)
