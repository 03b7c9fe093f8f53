"""The catalogue that ships: every device loads, every figure has a source, and limits depend on what iOS asks."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import parse_yaml, read_yaml
from ondevice_sora.profiles import devices
from ondevice_sora.profiles.devices import (
    DEVICES,
    LAST_VERSION,
    Device,
    device_keys,
    device_of_machine,
    load_device,
    machines,
)
from ondevice_sora.profiles.figures import Figure
from ondevice_sora.profiles.models.model import Model

KEYS = device_keys()


def figures(thing: object) -> Iterator[Figure]:
    """Every figure inside a struct or a tuple."""
    if isinstance(thing, Figure):
        yield thing
    elif isinstance(thing, msgspec.Struct):
        for name in thing.__struct_fields__:
            yield from figures(getattr(thing, name))
    elif isinstance(thing, tuple):
        for item in thing:
            yield from figures(item)


def limit(key: str, entitlement: bool = False, os_version: str | None = None) -> float:
    return load_device(key).memory_limit(entitlement, os_version).limit_bytes.value


MACS = sorted(
    [f"macm{generation}{kind}" for generation in "12345" for kind in ("", "pro", "max")] + ["macm1ultra", "macm2ultra"]
)

# What is in it


def test_the_catalogue_holds_the_devices_of_the_readme() -> None:
    phones = [
        "iphone12", "iphone12pro", "iphone13", "iphone13pro", "iphone14", "iphone14pro", "iphone15", "iphone15pro",
        "iphone16", "iphone16e", "iphone16pro", "iphone17", "iphone17pro", "iphonese3",
    ]  # fmt: skip
    assert ["ipadprom1", "ipadprom2", "ipadprom4", *phones, *MACS] == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_every_figure_is_positive_and_names_a_source(key: str) -> None:
    found = list(figures(load_device(key)))
    assert len(found) >= 5
    for figure in found:
        assert figure.value > 0
        assert len(figure.source) >= 15, figure
        assert figure.mark in ("published", "estimated"), (
            "nobody here has had a device to measure, and nothing is fitted"
        )


@pytest.mark.parametrize("key", KEYS)
def test_a_published_figure_names_somebody_else(key: str) -> None:
    """A link, a site, a paper or a repository: something that a reader can go and look up."""
    for figure in figures(load_device(key)):
        if figure.mark == "published":
            assert re.search(r"https://|arXiv \d|\.(com|net|org)\b|\w/\w|gist", figure.source), figure.source


@pytest.mark.parametrize("key", KEYS)
def test_an_estimated_figure_admits_a_spread(key: str) -> None:
    for figure in figures(load_device(key)):
        if figure.mark == "estimated":
            assert figure.spread >= 0.05, figure


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_is_called_what_people_call_the_device(path: Path) -> None:
    """`--device iphone15pro` is the file's name and "iPhone 15 Pro" the device's."""
    device = load_device(path.stem)
    assert device.key == path.stem
    assert device.name.partition(" (")[0].replace(" ", "").lower() == path.stem


def test_sizes_are_decimal_and_rates_plausible() -> None:
    """A slip of a factor of 1000 or 1024 in a file would show here."""
    for key in KEYS:
        hardware = load_device(key).hardware
        assert 4e9 <= hardware.ram_bytes.value <= 64e9
        assert 0.7e12 <= hardware.gpu_flops_per_s.value <= 28e12
        assert 30e9 <= hardware.dram_bytes_per_s.value <= 800e9
        if hardware.storage_read_bytes_per_s:
            assert 0.5e9 <= hardware.storage_read_bytes_per_s.value <= 7e9
        if hardware.ane_ops_per_s:
            assert 10e12 <= hardware.ane_ops_per_s.value <= 40e12
        if hardware.ane_max_package_bytes:
            assert 1e9 <= hardware.ane_max_package_bytes.value <= 2e9


def test_what_nobody_has_published_is_missing() -> None:
    """Known holes: once somebody publishes one of these, the file and this list change together."""
    without_storage = {key for key in KEYS if load_device(key).hardware.storage_read_bytes_per_s is None}
    without_ane = {key for key in KEYS if load_device(key).hardware.ane_ops_per_s is None}
    assert {"iphone13pro", "iphone14pro", "iphone15pro", "macm1pro", "macm2pro"} == set(KEYS) - without_storage
    assert without_ane == {"iphone17", "iphone17pro", "macm5", "macm5pro", "macm5max"}


@pytest.mark.parametrize("key", KEYS)
def test_an_engine_has_a_rate_in_float16_that_is_at_most_what_is_advertised(key: str) -> None:
    """35 and 38 TOPS are operations in int8: float16 ones are half as many."""
    hardware = load_device(key).hardware
    assert hardware.ane_flops_per_s is not None
    assert 10e12 <= hardware.ane_flops_per_s.value <= 20e12
    if hardware.ane_ops_per_s:
        share = hardware.ane_flops_per_s.value / hardware.ane_ops_per_s.value
        assert share == (0.5 if hardware.ane_ops_per_s.value > 30e12 else 1.0)


def test_the_iphone_15_pro_is_complete() -> None:
    hardware = load_device("iphone15pro").hardware
    the_same_everywhere = {"gpu_float16_flops_per_s", "ane_dram_bytes_per_s", "ane_weight_bytes_per_s"}
    missing = {name for name in hardware.__struct_fields__ if getattr(hardware, name) is None}
    assert missing == the_same_everywhere
    assert hardware.gpu_flops_per_s.value == 2.15e12
    assert hardware.storage_read_bytes_per_s is not None
    assert hardware.storage_read_bytes_per_s.value == 1.45e9


# Memory limits


def test_an_app_on_an_iphone_15_pro_has_the_papers_3_3_gb() -> None:
    row = load_device("iphone15pro").memory_limit()
    assert row.limit_bytes.value == 3.3e9
    assert row.limit_bytes.mark == "published"
    assert "2502.04363" in row.limit_bytes.source
    low, high = (row.limit_bytes.value * (1 + sign * 1.2 * row.limit_bytes.spread) for sign in (-1, 1))
    assert low < 3.0e9 and high > 3.5e9, "others saw 3.0 and 3.5 GB: within 1.2 standard deviations"


def test_the_entitlement_gives_an_iphone_15_pro_6_gb() -> None:
    assert limit("iphone15pro", entitlement=True) == 6e9


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("os_version", [None, "17.0", "18.4", "26.3", "26.4", "27.0"])
def test_a_limit_lies_below_the_ram_and_an_entitlement_never_lowers_it(key: str, os_version: str | None) -> None:
    ram = load_device(key).hardware.ram_bytes.value
    assert 0.3 * ram < limit(key, os_version=os_version) <= limit(key, True, os_version) < ram


def test_only_a_mac_gains_nothing_from_the_entitlement() -> None:
    assert [key for key in KEYS if limit(key) == limit(key, entitlement=True)] == MACS


@pytest.mark.parametrize("entitlement", [False, True])
def test_ipados_26_4_halved_the_limit_of_8_gb_ipads(entitlement: bool) -> None:
    before, after = (limit("ipadprom4", entitlement, version) for version in ("26.3", "26.4"))
    assert after == before / 2
    assert limit("ipadprom4", entitlement, "17") == before
    assert limit("ipadprom4", entitlement, "26.5") == after


@pytest.mark.parametrize("key", KEYS)
def test_without_an_os_version_the_limit_is_the_newest_systems(key: str) -> None:
    for entitlement in (False, True):
        assert limit(key, entitlement) == limit(key, entitlement, f"{LAST_VERSION}.9")


@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith("iphone") and key not in ("iphone13pro",)])
def test_a_default_limit_is_published_only_where_somebody_has_looked(key: str) -> None:
    """12, 12 Pro, 13 Pro and 15 Pro were measured; the others follow a rule of thumb, and the source says so."""
    row = load_device(key).memory_limit()
    if key in ("iphone12", "iphone12pro", "iphone15pro"):
        assert row.limit_bytes.mark == "published"
    else:
        assert row.limit_bytes.mark == "estimated"
        assert "no observation for this model" in row.limit_bytes.source
        assert "% of RAM" in row.limit_bytes.source


# The rules, on a device of round numbers

TOY = """
name: Toy
chip: T1
system: iOS
hardware:
  ram_bytes: {value: 100, mark: estimated, source: a toy}
  gpu_flops_per_s: {value: 1, mark: estimated, source: a toy}
  dram_bytes_per_s: {value: 1, mark: estimated, source: a toy}
memory_limits:
  - {limit_bytes: {value: 10, mark: estimated, source: a toy}, os_until: "17.4"}
  - {limit_bytes: {value: 20, mark: estimated, source: a toy}, os_from: "17.5", os_until: "26.9"}
  - {limit_bytes: {value: 30, mark: estimated, source: a toy}, os_from: "26.10"}
"""


def toy(text: str = TOY) -> Device:
    return parse_yaml(text, Path("toy.yaml")).convert(Device)


@pytest.mark.parametrize(
    ("os_version", "expected"),
    [
        ("9", 10),
        ("17", 10),
        ("17.4", 10),
        ("17.5", 20),
        ("18", 20),
        ("26.9", 20),
        ("26.10", 30),
        ("27", 30),
        (None, 10),
    ],
)
def test_the_first_row_that_covers_the_version_holds(os_version: str | None, expected: float) -> None:
    """Versions compare as numbers: 26.10 comes after 26.9, and both ends of a range belong to it."""
    assert toy().memory_limit(os_version=os_version).limit_bytes.value == expected


def test_a_limit_that_nobody_has_published_is_refused_not_guessed() -> None:
    with pytest.raises(UserError, match=r"no memory limit is known for Toy with the increased-memory entitlement\n"):
        toy().memory_limit(entitlement=True)
    gap = toy(TOY.replace('os_from: "26.10"', 'os_from: "27.0"'))
    with pytest.raises(UserError, match=r"for Toy without an entitlement on iOS 26\.10\nGive one with --memory-limit"):
        gap.memory_limit(os_version="26.10")


@pytest.mark.parametrize("written", ["iphone15pro", "iPhone 15 Pro", "iPhone-15-Pro", "IPHONE_15_PRO"])
def test_a_device_may_be_written_as_people_write_it(written: str) -> None:
    assert load_device(written).key == "iphone15pro"


def test_an_unknown_device_is_refused_with_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        load_device("iphone15por")
    assert str(caught.value).startswith("unknown device 'iphone15por'\nDid you mean 'iphone15pro'? Known: ")
    assert all(key in str(caught.value) for key in KEYS)


def test_a_name_like_no_device_lists_what_there_is() -> None:
    with pytest.raises(UserError, match=r"unknown device 'walkman'\nKnown: ipadprom1, ipadprom2, ipadprom4, "):
        load_device("walkman")


@pytest.mark.parametrize("name", ["../devices/iphone15pro", "", ".", "iphone15pro.yaml"])
def test_a_path_is_no_device(name: str) -> None:
    with pytest.raises(UserError, match="unknown device"):
        load_device(name)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("value: 100", "value: -1", r"toy\.yaml:6: hardware\.ram_bytes\.value: expected a number >= 0\.0, found -1"),
        ("value: 100", "value: 8 GB", r"toy\.yaml:6: .*expected a number, found '8 GB'"),
        ("source: a toy}\n  gpu", "source: ''}\n  gpu", r"toy\.yaml:6: .*source: expected text of length >= 1"),
        (
            "mark: estimated, source: a toy}\n  gpu",
            "mark: guess, source: x}\n  gpu",
            r"'guess' is not one of the choices",
        ),
        ("source: a toy}\n  gpu", "source: x, spread: 4}\n  gpu", r"spread: expected a number <= 3\.0, found 4"),
        ('os_until: "17.4"', "os_until: 17.4", r"toy\.yaml:10: .*os_until: expected text or nothing, found 17\.4"),
        ('os_until: "17.4"', "os_until: beta", r"memory_limits\[0\]\.os_until: expected text matching regex"),
        ("dram_bytes_per_s", "dram_byte_per_s", r"toy\.yaml:8: .*this key is not known\nDid you mean 'dram_bytes"),
        ("chip: T1\n", "", r"toy\.yaml:2: the key 'chip' is missing\nAdd 'chip:'\."),
        ("memory_limits:\n", "memory_limits: []\nnotes:\n", r"toy\.yaml:9: memory_limits: expected a list of length"),
    ],
)
def test_a_mistake_in_a_device_file_is_named_with_its_line(old: str, new: str, complaint: str) -> None:
    assert TOY.count(old) == 1
    with pytest.raises(UserError, match=complaint):
        toy(TOY.replace(old, new))


# The model that ships as a list of units


@pytest.fixture(scope="module")
def sdxl() -> Model:
    return read_yaml(DEVICES.parent / "models" / "sdxl_base_ios.yaml").convert(Model)


def test_sdxl_has_the_parameters_of_its_checkpoints(sdxl: Model) -> None:
    assert {c.name: sum(unit.parameters for unit in c.units) for c in sdxl.components} == {
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
        "denoiser": 2_567_463_684,
        "decoder": 49_490_199,
    }
    assert [c.passes for c in sdxl.components] == [1, 1, "steps", 1]


def test_sdxl_at_768_pixels_does_9_16_of_the_work_quoted_at_1024(sdxl: Model) -> None:
    """2.98e12 multiply-adds without attention for one sample at 1024^2; a step is a batch of two at 768^2.

    The part that depends on the text's 77 tokens and not on the image keeps it from being exact.
    """
    denoiser = next(c for c in sdxl.components if c.name == "denoiser")
    layers = sum(unit.plain.matmul_flops + unit.plain.convolution_flops for unit in denoiser.units)
    assert layers == pytest.approx(2 * 2 * 2.98e12 * (768 / 1024) ** 2, rel=0.015)


def test_sdxl_can_be_cut_after_mid_as_apple_cuts_it(sdxl: Model) -> None:
    units = next(c for c in sdxl.components if c.name == "denoiser").units
    cut = next(index for index, unit in enumerate(units) if unit.name == "mid") + 1
    first, second = (sum(unit.parameters for unit in half) for half in (units[:cut], units[cut:]))
    assert 0.9 < first / second < 1.1


# Machines


@pytest.mark.parametrize("key", KEYS)
def test_every_device_says_which_machines_it_stands_for(key: str) -> None:
    kind = {"iph": ("iPhone",), "ipa": ("iPad",), "mac": ("Mac", "iMac")}[key[:3]]
    assert load_device(key).machines
    assert all(machine.startswith(kind) for machine in load_device(key).machines)


@pytest.mark.parametrize(
    ("machine", "key"),
    [
        ("iPhone13,4", "iphone12pro"), ("iPhone14,6", "iphonese3"), ("iPhone14,7", "iphone14"),
        ("iPhone15,2", "iphone14pro"), ("iPhone15,4", "iphone15"), ("iPhone16,1", "iphone15pro"),
        ("iPhone16,2", "iphone15pro"), ("iPhone17,1", "iphone16pro"), ("iPhone17,3", "iphone16"),
        ("iPhone17,5", "iphone16e"), ("iPhone18,2", "iphone17pro"), ("iPad13,11", "ipadprom1"),
        ("iPad16,6", "ipadprom4"), ("MacBookAir10,1", "macm1"), ("MacBookPro18,3", "macm1pro"),
        ("Mac13,2", "macm1ultra"),
        ("Mac14,6", "macm2max"), ("Mac14,10", "macm2pro"), ("Mac15,11", "macm3max"), ("Mac16,11", "macm4pro"),
        ("Mac17,2", "macm5"), ("Mac17,7", "macm5max"), ("Mac17,9", "macm5pro"),
    ],
)  # fmt: skip
def test_a_machine_is_found_by_the_name_that_it_gives_itself(machine: str, key: str) -> None:
    assert device_of_machine(machine) == key
    assert load_device(machine) == load_device(key)


@pytest.mark.parametrize("machine", ["iPhone99,1", "iphone16,1", "iPhone16"])
def test_a_machine_that_nobody_has_listed_is_one_message(machine: str) -> None:
    with pytest.raises(UserError, match=f"the catalogue knows no machine '{machine}'\nName the device.*iphone15pro,"):
        device_of_machine(machine)


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two devices in a catalogue of their own."""
    for name in ("iphone15pro.yaml", "iphone16.yaml"):
        (tmp_path / name).write_text((DEVICES / name).read_text())
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    for known in (load_device, machines):
        known.cache_clear()
    yield tmp_path
    for known in (load_device, machines):
        known.cache_clear()


def test_a_machine_that_stands_under_two_devices_is_refused(catalogue: Path) -> None:
    assert device_of_machine("iPhone17,4") == "iphone16"
    machines.cache_clear()
    load_device.cache_clear()
    path = catalogue / "iphone16.yaml"
    path.write_text(path.read_text().replace("iPhone17,4", "iPhone16,2"))
    with pytest.raises(UserError, match=r"iphone16.yaml: machine 'iPhone16,2' .* here and under 'iphone15pro'"):
        device_of_machine("iPhone17,3")


def test_what_is_no_machine_identifier_is_refused(catalogue: Path) -> None:
    """In a list on one line the comma would part it: then quotes are needed."""
    path = catalogue / "iphone16.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("machines:", "  - iPhone"))]
    path.write_text("\n".join([*lines, "machines: [iPhone17,3]"]))
    with pytest.raises(UserError, match=r"machines\[0\]: expected a machine identifier such as 'iPhone16,1'"):
        load_device("iphone16")
