"""Quantities at the edges: what people may write, and what they are shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondevice_sora.base.units import (
    MICRO,
    format_bytes,
    format_change,
    format_count,
    format_percent,
    format_probability,
    format_seconds,
    parse_bytes,
    size_unit,
    time_unit,
)
from ondevice_sora.profiles.figures import ByteCount


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("3.3 GB", 3_300_000_000),
        ("170MB", 170_000_000),
        ("1.5e3 kB", 1_500_000),
        (" 12 ", 12),
        ("12 B", 12),
        ("1 TB", 10**12),
        (".5 GB", 500_000_000),
        ("512 MiB", 512 * 2**20),
        ("8 gib", 8 * 2**30),
        ("1 KiB", 1024),
        (4096, 4096),
        (0, 0),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str | float, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GB",
        "3.3 GBs",
        "3,3 GB",
        "-1 GB",
        "1 GB/s",
        "1 2",
        "0x10",
        "nan",
        "inf",
        "1e400",
        "1e308 TB",
        "3.3 ms",
        "٣ GB",
    ],
)
def test_what_is_no_size_is_refused_with_the_way_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size\. Write a number of bytes, or a size such as '3\.3 GB'"):
        parse_bytes(text)


@pytest.mark.parametrize("number", [-1, -0.5, math.nan, math.inf, True])
def test_a_plain_number_must_be_finite_and_not_negative(number: float) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes(number)


@pytest.mark.parametrize("value", [None, [1], {"GB": 3}])
def test_a_byte_count_of_a_file_is_text_or_a_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a size\. Write '3\.3 GB' or a number of bytes\."):
        ByteCount.parse(value)


def test_a_byte_count_is_read_as_a_whole_number() -> None:
    assert ByteCount.parse("3.3 GB") == 3_300_000_000
    assert isinstance(ByteCount.parse("3.3 GB"), int)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.00 kB"),
        (12_000, "12.0 kB"),
        (999_949, "1.00 MB"),
        (170e6, "170 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.00 GB"),
        (3.3e9, "3.30 GB"),
        (9.994e9, "9.99 GB"),
        (9.996e9, "10.0 GB"),
        (10.24e9, "10.2 GB"),
        (1e12, "1000 GB"),
        (-170e6, "-170 MB"),
    ],
)
def test_bytes_are_shown_with_three_figures(count: float, shown: str) -> None:
    assert format_bytes(count) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0.0 %"), (1e-9, "under 0.1 %"), (0.0011, "0.1 %"), (0.43, "43 %"), (0.994, "99 %"), (0.996, "99.6 %"),
        (0.9999, "over 99.9 %"), (1.0, "100 %"),
    ],
)  # fmt: skip
def test_a_probability_is_certain_only_where_it_is(share: float, shown: str) -> None:
    assert format_probability(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.00 s"),
        (12e-6, "12.0 \N{MICRO SIGN}s"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (35.366, "35.4 s"),
        (119.4, "119 s"),
        (119.6, "2 min 00 s"),
        (1124, "18 min 44 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_seconds_are_shown_as_people_say_them(seconds: float, shown: str) -> None:
    assert format_seconds(seconds) == shown


@pytest.mark.parametrize(("share", "shown"), [(0.042, "4.2 %"), (-0.042, "-4.2 %"), (0.87, "87 %"), (1.0, "100 %")])
def test_a_share_is_shown_with_the_figures_that_mean_something(share: float, shown: str) -> None:
    assert format_percent(share) == shown


@pytest.mark.parametrize(
    ("longest_s", "seconds", "name", "written", "moment"),
    [
        (600.0, 170.617, "min:s", "2:50.6", "2:50.62"),
        (600.0, 0.34, "min:s", "0:00.3", "0:00.34"),
        (600.0, 59.996, "min:s", "1:00.0", "1:00.00"),
        (7200.0, 3723.42, "h:min:s", "1:02:03.4", "1:02:03.42"),
        (600.0, -0.4, "min:s", "\N{MINUS SIGN}0:00.4", "\N{MINUS SIGN}0:00.40"),
        (119.0, 44.7, "s", "44.7", "44.700 s"),
        (45.0, 0.34, "s", "0.340", "0.340 s"),
        (0.3, 0.0123, "ms", "12.3", "12.300 ms"),
        (0.0003, 0.0000845, "\N{MICRO SIGN}s", "84.5", "84.500 \N{MICRO SIGN}s"),
        (0.0, 0.0, "s", "0", "0.000 s"),
    ],
)
def test_a_column_of_times_has_one_unit(longest_s: float, seconds: float, name: str, written: str, moment: str) -> None:
    unit = time_unit(longest_s)
    assert (unit.name, unit.write(seconds), unit.moment(seconds)) == (name, written, moment)


@pytest.mark.parametrize(
    ("most", "unit"),
    [(3.3e9, ("GB", 10**9)), (999.9e6, ("GB", 10**9)), (6e6, ("MB", 10**6)), (12e3, ("kB", 10**3)), (7.0, ("B", 1))],
)
def test_an_axis_of_sizes_has_the_unit_in_which_its_largest_is_written(most: float, unit: tuple[str, int]) -> None:
    assert size_unit(most) == unit
    assert format_bytes(most).endswith(f" {unit[0]}")


def test_one_thing_is_not_called_several() -> None:
    assert [format_count(count, "plan") for count in (0, 1, 4286)] == ["0 plans", "1 plan", "4,286 plans"]


def test_a_difference_carries_its_sign_unless_it_is_written_as_zero() -> None:
    assert format_change(2.7, format_seconds) == "+2.70 s"
    assert format_change(-170e6, format_bytes) == "\N{MINUS SIGN}170 MB"
    assert format_change(-1e-12, format_seconds) == "0.00 s"
    assert format_change(0.0, format_seconds) == "0.00 s"


@given(st.floats(min_value=0, max_value=1e14))
def test_bytes_read_back_as_shown_within_half_of_the_last_figure(count: float) -> None:
    """Three figures err by at most 0.5 %; below 100 bytes by half a byte."""
    assert parse_bytes(format_bytes(count)) == pytest.approx(count, rel=0.5e-2, abs=0.5)


@given(st.floats(min_value=1e-9, max_value=119.4))
def test_short_durations_read_back_as_shown(seconds: float) -> None:
    """Three figures err by at most 0.5 %; below a microsecond by the hundredth that is shown."""
    number, unit = format_seconds(seconds).split()
    assert float(number) * {"s": 1, "ms": 1e-3, f"{MICRO}s": 1e-6}[unit] == pytest.approx(
        seconds, rel=0.5e-2, abs=0.5e-8
    )


@given(st.floats(min_value=0, max_value=1e13), st.floats(min_value=0, max_value=1e13))
def test_what_is_shown_keeps_the_order_of_sizes(a: float, b: float) -> None:
    small, large = sorted((a, b))
    assert parse_bytes(format_bytes(small)) <= parse_bytes(format_bytes(large))


@given(st.text(max_size=20))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        assert parse_bytes(text) >= 0
    except ValueError as error:
        assert "Write a number of" in str(error)
