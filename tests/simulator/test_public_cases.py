"""Small plans whose answers others have measured: each once came out wrong, and by how much stands beside it.

The models' operations are counts of the published architectures.
"""

from pathlib import Path

import pytest

from ondevice_sora.simulator.simulate import simulate


def plan(folder: Path, work: str, parameters: int, settings: str, steps: int = 20) -> Path:
    (folder / "model.yaml").write_text(
        "name: net\nsource: counted\ncomponents:\n  - name: net\n    passes: steps\n    units:\n"
        f"      - {{name: all, parameters: {parameters}, plain: {{{work}}}}}\n"
    )
    path = folder / "plan.yaml"
    path.write_text(
        f"name: p\nmodel: model.yaml\nsampler: {{steps: {steps}}}\n"
        f"components: {{net: {{blocks: whole, keep: 1, {settings}}}}}\n"
    )
    return path


def step_s(path: Path, device: str) -> float:
    (row,) = simulate(path, device).result.blocks
    return row.run_s


UNET = (
    "matmul_flops: 5.197e11, attention_flops: 2.521e11, convolution_flops: 8.367e11, moved_elements: 3.4e9, "
    "working_elements: 1e8"
)


@pytest.mark.parametrize(
    ("device", "per_s"), [("iphone13", 2.53), ("iphone14pro", 2.69), ("ipadprom1", 2.19), ("ipadprom2", 3.07)]
)
def test_an_engine_is_scaled_by_engines_and_not_by_gpus(tmp_path: Path, device: str, per_s: float) -> None:
    """Steps of SD 2.1's UNet, Apple's README; those of the iPads were twice too fast."""
    path = plan(tmp_path, UNET, 865_910_724, "weights: int6, compute_units: cpu_and_ne")
    assert step_s(path, device) == pytest.approx(1 / per_s, rel=0.25)


def test_a_package_that_the_engine_refuses_does_not_simply_fit(tmp_path: Path) -> None:
    """2 B parameters in 1.88 GB on an iPhone 17 Pro held 3.8 GB; the answer was 0.34 GB, without a word."""
    path = plan(
        tmp_path,
        "matmul_flops: 3.76e9, moved_elements: 1e6",
        1_880_000_000,
        "precision: int8, compute_units: cpu_and_ne",
    )
    result = simulate(path, "iphone17pro").result
    assert result.peak_bytes == pytest.approx(3.8e9 + 0.15e9, rel=0.05)
    assert "too large for the Neural Engine" in result.cautions[0] and "GPU" in result.cautions[0]
    assert result.blocks[0].falls_back


def test_a_small_net_on_the_engine_takes_a_fraction_of_a_millisecond(tmp_path: Path) -> None:
    """MobileNetV3-small, iPhone 14 Pro, 0.13 ms in coremltools' guide; 2.3 ms were charged for the call alone."""
    work = "matmul_flops: 8.73e7, convolution_flops: 2.58e7, moved_elements: 4e6, working_elements: 4.5e5"
    path = plan(tmp_path, work, 2_530_752, "precision: float16, compute_units: cpu_and_ne")
    assert step_s(path, "iphone14pro") == pytest.approx(0.13e-3, rel=0.35)


def test_compressed_weights_stream_into_the_engine_as_stored(tmp_path: Path) -> None:
    """1.4 GB of 4-bit weights, a token, iPhone 17 Pro: 21.7 ms; unpacked they took 73."""
    path = plan(
        tmp_path,
        "matmul_flops: 5.6e9, moved_elements: 1e6",
        2_800_000_000,
        "precision: int4, compute_units: cpu_and_ne",
    )
    assert step_s(path, "iphone17pro") == pytest.approx(21.7e-3, rel=0.2)


@pytest.mark.parametrize(
    ("parameters", "precision", "first_s", "later_s"),
    [
        (590_000_000, "int6", 3.361, 0.162),
        (11_500_000, "float16", 0.0885, 0.0081),
        (6_500_000, "float16", 0.0485, 0.008),
    ],
)
def test_loads_on_the_gpu(tmp_path: Path, parameters: int, precision: str, first_s: float, later_s: float) -> None:
    """The encoder (426 MB), decoder and joint of Parakeet on an iPhone 16 Pro Max."""
    path = plan(tmp_path, "matmul_flops: 2e9", parameters, f"precision: {precision}, compute_units: cpu_and_gpu")
    (row,) = simulate(path, "iphone16pro").result.blocks
    assert row.load_warm_s == pytest.approx(later_s, rel=0.4)
    assert row.load_cold_s == pytest.approx(first_s, rel=0.5)


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_compressing_weights_never_raises_the_peak(tmp_path: Path, bits: int) -> None:
    """SD 1.5 on the GPU of an iPhone 13 Pro: 8-bit weights once took activations in float32, a GB more."""
    work = UNET.replace("working_elements: 1e8", "working_elements: 5.5e8")
    peaks = [
        simulate(plan(tmp_path, work, 859_520_964, settings), "iphone13pro").result.needed_bytes
        for settings in (f"weights: int{bits}", "precision: float16")
    ]
    assert peaks[0] <= peaks[1]


def test_first_loads_on_the_engine_are_said_not_to_be_known(tmp_path: Path) -> None:
    """SD 1.4's UNet: 274 s; the answer was 10 s, printed like any other figure."""
    path = plan(tmp_path, UNET, 859_520_964, "weights: int6, compute_units: cpu_and_ne")
    result = simulate(path, "iphone12pro").result
    assert result.blocks[0].load_cold_s == pytest.approx(274, rel=0.5)
    assert any("First loads on the Neural Engine are not known" in caution for caution in result.cautions)
    low, high = result.interval_s
    assert high / low > 9


def test_what_core_ml_may_choose_from_all_is_told(tmp_path: Path) -> None:
    path = plan(tmp_path, UNET, 859_520_964, "weights: int6, compute_units: all", steps=1000)
    result = simulate(path, "iphone15pro").result
    assert any("Core ML chooses where 1 block on `all` is run" in caution for caution in result.cautions)
    assert result.interval_s[1] > 1.5 * 1000 * result.blocks[0].run_s, "the GPU would take several times as long"


@pytest.mark.parametrize(
    ("parameters", "title"),
    [(1_880_000_000, "Cut net into blocks of 3 units"), (800_000_000, "Cut net into smaller blocks (2 units each)")],
)
def test_smaller_packages_are_advised_for_the_engine(tmp_path: Path, parameters: int, title: str) -> None:
    """A package that the engine refuses, though its programs compile longer; and one that compiles for minutes."""
    path = plan(tmp_path, "matmul_flops: 1e9", parameters, "precision: int8, compute_units: cpu_and_ne")
    model = tmp_path / "model.yaml"
    head, unit = model.read_text().replace(str(parameters), str(parameters // 4)).split("      - ")
    model.write_text(head + "".join("      - " + unit.replace("all", f"part_{number}") for number in range(4)))
    told = {one.title: one for one in simulate(path, "iphone17pro").result.advice}
    assert told[title].keys[0].startswith("components: {net: {blocks: {units_per_block: ")
