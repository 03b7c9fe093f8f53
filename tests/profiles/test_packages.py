"""What people have seen of large packages on the Neural Engine, said where it matters: one figure a device."""

import pytest

from ondevice_sora.profiles.devices import load_device
from ondevice_sora.profiles.packages import size_notes
from ondevice_sora.simulator.simulate import simulate


@pytest.mark.parametrize(
    ("device", "size", "notes"),
    [
        ("iphone15pro", 10**9, 0),
        ("iphone15pro", 10**9 + 1, 1),
        ("iphone17pro", 1_400_000_000, 0),
        ("iphone17pro", 1_800_000_000, 1),
        ("macm4", 1_900_000_000, 0),
        ("macm4", 2_200_000_000, 2),
    ],
)
def test_a_package_is_held_against_what_the_device_is_known_to_take(device, size, notes):
    assert len(size_notes(size, "cpu_and_ne", load_device(device))) == notes
    assert size_notes(size, "cpu_and_gpu", load_device(device)) == []


def test_a_simulation_says_that_a_block_may_not_run_on_the_neural_engine(tmp_path):
    """It names the largest block there, and none where every block is small or runs on the GPU."""
    plan = tmp_path / "plan.yaml"
    text = "name: p\nmodel: opensora\nsampler: {steps: 2}\n"
    text += "components: {denoiser: {blocks: BLOCKS, compute_units: UNITS}}\n"

    def notes(blocks, units):
        plan.write_text(text.replace("BLOCKS", blocks).replace("UNITS", units))
        return [note for note in simulate(plan, memory_limit=10**11).result.notes if "Neural Engine" in note]

    (note,) = [note for note in notes("{units_per_block: 25}", "cpu_and_ne") if "known to take" in note]
    assert note.startswith("Block 'spatial_12..spatial_24' of denoiser is larger than 1.00 GB")
    assert notes("unit", "cpu_and_ne") == notes("whole", "cpu_and_gpu") == []
