"""A corpus of others' figures: how its rows are read, what is skipped, and what the shipped one comes to."""

import pytest

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.files.reading import read_yaml
from ondevice_sora.records.checks import CorpusRow
from ondevice_sora.simulator.calibration.corpus import classes_of, corpus_report, rank_correlation, shipped
from ondevice_sora.simulator.calibration.corpus_file import CorpusFigure, is_corpus, read_corpus
from ondevice_sora.simulator.calibration.corpus_rows import UnpredictableError, subject_of

NET = {"params": 1e9, "weight_bytes": 2e9, "flops": 1e12}


def figure(**changes):
    row = {
        "id": "x1", "model": "a net", "device": "iPhone 15 Pro", "chip": "A17 Pro", "compute_units": "cpu_and_gpu",
        "quantity": "predict", "value": 10.0, "unit": "ms", "description": NET, **changes,
    }  # fmt: skip
    return CorpusFigure(**row)


def reason(**changes):
    with pytest.raises(UnpredictableError) as raised:
        subject_of(figure(**changes))
    return raised.value.reason


@pytest.mark.parametrize(
    ("device", "chip", "key"),
    [
        ("iPhone 14 Pro Max", "A16", "iphone14pro"),
        ("iPhone 12 mini", "A14", "iphone12"),
        ("iPhone 12 Pro Max or MacBook M1 Pro (reporter lists both)", "A14 or M1 Pro", "iphone12pro"),
        ("Mac mini M4 Pro (20 GPU cores)", "M4 Pro", "macm4pro"),
        ("MacBook M5", "M5", "macm5"),
        ("Mac Studio", "M1 Max or Ultra", "macm1max"),
        ("iPad Pro M2", "M2", "ipadprom2"),
        ("iPhone SE 3", "A15", "iphonese3"),
        ("iPhone 14 Plus", "A15", "iphone14"),
    ],
)
def test_devices_are_known_by_name_or_by_family_and_chip(device, chip, key):
    assert subject_of(figure(device=device, chip=chip)).device.key == key


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"device": "Pixel 8", "chip": "Tensor G3"}, "device not in the catalogue: Pixel 8"),
        ({"device": "iPhone 11", "chip": "A13"}, "device not in the catalogue: iPhone 11"),
        ({"device": "Mac (Apple silicon, not said)", "chip": ""}, "device not in the catalogue"),
        ({"description": None}, "no description of the model"),
        ({"description": {"params": None, "flops": None}}, "no description of the model"),
        ({"description": {"params": 1e6}}, "operations of the model not told"),
        ({"quantity": "energy"}, "quantity not known: energy"),
        ({"quantity": "energy", "unit": "J"}, "unit not known: J of energy"),
        ({"value": "about 3"}, "no number above zero"),
        ({"compute_units": "MLX on the GPU"}, "not Core ML: MLX on the GPU"),
        ({"quantity": "end to end"}, "no plan of the pipeline: a net"),
    ],
)
def test_what_cannot_be_predicted_is_skipped_with_the_reason(changes, told):
    assert told in reason(**changes)


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "kind", "read"),
    [
        ("predict, median of at least 10", 10, "ms", "predict", 0.01),
        ("steps per second", 4, "1/s", "steps", 0.25),
        ("tokens per second", 20, "1/s", "steps", 0.05),
        ("first load", 3, "s", "first load", 3.0),
        ("load from .mlpackage (nothing cached)", 5, "s", "first load", 5.0),
        ("later load", 162, "ms", "later load", 0.162),
        ("load, median of 3 new processes", 41, "ms", "later load", 0.041),
        ("peak memory above the app before loading", 87, "MB", "memory", 87e6),
    ],
)
def test_quantities_are_read_from_their_words(quantity, value, unit, kind, read):
    measured = subject_of(figure(quantity=quantity, value=value, unit=unit)).measured
    assert (measured.quantity, measured.value) == (kind, pytest.approx(read))


@pytest.mark.parametrize(
    ("model", "description", "precision"),
    [
        ("a net", NET, "float16"),
        ("a net, 6-bit", NET, "int6"),
        ("a net palettized 4-bit", NET, "int4"),
        ("a net int8", NET, "int8"),
        ("a net float32", NET, "float32"),
        ("a net", {**NET, "weight_bytes": 1e9}, "int8"),
        ("a net", {**NET, "weight_bytes": "4-bit: 0.5 GB"}, "int4"),
        ("a net", {"weight_bytes": "0.65e9", "flops": 1e9}, "float16"),
    ],
)
def test_the_format_of_weights_is_told_or_follows_from_their_bytes(model, description, precision):
    assert subject_of(figure(model=model, description=description)).block.precision == precision


def test_a_network_of_ours_lends_its_proportions_and_a_batch_scales_them():
    one = subject_of(figure(model="ResNet-50 float16", description={})).block.units[0].plain
    batch = (
        subject_of(figure(model="ResNet-50 float16, batch 16", description={"flops": 1.308e11})).block.units[0].plain
    )
    assert one.matmul_flops + one.convolution_flops == pytest.approx(8.18e9, rel=0.01)
    assert batch.moved_elements / one.moved_elements == pytest.approx(16, rel=0.01)


def test_what_ran_on_the_engine_came_in_packages_that_it_takes():
    """3 GB on an iPhone 15 Pro, which takes 1 GB; what the row tells of chunks holds as well."""
    large = {"params": 1.5e9, "weight_bytes": 3e9, "flops": 1e12}
    subject = subject_of(figure(compute_units="cpu_and_ne", description=large))
    assert (subject.count, subject.block.falls_back, subject.block.stored_bytes) == (3, False, 1_000_000_000)
    assert subject_of(figure(model="a net, 4 chunks", compute_units="cpu_and_ne")).count == 4
    assert subject_of(figure(compute_units="all", description=large)).block.falls_back


def test_a_file_of_the_form_is_told_from_one_of_cases(tmp_path):
    assert is_corpus(shipped_path())
    assert not is_corpus(shipped_path().parent / "apple_sdxl.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("figures:\n  - {id: a, model: m, device: d, quantity: predict, value: 1, unit: ms}\n" * 1)
    assert len(read_corpus(bad).figures) == 1
    bad.write_text("figures:\n  - {id: a, model: 3, device: d, quantity: predict, value: 1, unit: ms}\n")
    with pytest.raises(UserError, match=r"bad.yaml:2: figures\[0\].model"):
        read_corpus(bad)
    row = "  - {id: a, model: m, device: d, quantity: predict, value: 1, unit: ms}\n"
    bad.write_text(f"figures:\n{row}{row}")
    with pytest.raises(UserError, match="'a' stands twice"):
        read_corpus(bad)


def shipped_path():
    from ondevice_sora.simulator.calibration.published import SHIPPED

    return SHIPPED / "corpus.yaml"


def row(published, predicted, low, high, processor="gpu", quantity="predict", is_fitted=False):
    return CorpusRow("x", "m", "d", processor, quantity, published, predicted, low, high, is_fitted)


def test_classes_count_what_was_fitted_apart_from_what_checks():
    rows = [row(1.0, 1.1, 0.5, 2.0, is_fitted=True), row(2.0, 1.0, 0.5, 1.5), row(4.0, 4.4, 3.0, 5.0)]
    fitted, checked, everything = classes_of(rows)
    assert [each.which for each in (fitted, checked, everything)] == ["fitted", "checked", "all"]
    assert fitted.median_error == pytest.approx(0.1) and fitted.coverage == 1.0
    assert checked.median_error == pytest.approx(0.3) and checked.coverage == 0.5
    assert everything.num_rows == 3 and everything.rank_correlation == pytest.approx(0.5)


def test_equal_values_share_a_rank():
    assert rank_correlation([1, 2, 3, 4], [1, 2, 2, 5]) == pytest.approx(0.9487, abs=1e-4)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


@pytest.fixture(scope="module")
def report():
    return corpus_report(shipped())


def test_at_most_forty_rows_fit_and_the_shipped_corpus_is_that_of_the_profile(report):
    from ondevice_sora.profiles.profile import load_profile

    profile, _ = load_profile("iphone15pro")
    assert profile.fit.corpus == shipped().fitted
    assert len(shipped().fitted) == 40 and len(shipped().figures) == 100
    assert len(report.rows) + len(report.skipped) == 100
    assert len(report.rows) >= 60


def test_the_shipped_corpus_is_predicted_as_well_as_the_documents_say(report):
    """Medians and coverage of rows that only check, and of all; first loads on the engine are said not to be known."""
    classes = {(each.processor, each.quantity, each.which): each for each in report.classes}
    for which in ("checked", "all"):
        for processor, quantity, most in (
            ("gpu", "predict", 0.25), ("ane", "predict", 0.25), ("ane", "steps", 0.25), ("gpu", "later load", 0.4),
            ("gpu", "first load", 0.4),
        ):  # fmt: skip
            assert classes[processor, quantity, which].median_error <= most, (processor, quantity, which)
            assert classes[processor, quantity, which].coverage >= 0.8, (processor, quantity, which)
    assert all(row.is_known == (row.processor != "ane" or row.quantity != "first load") for row in report.rows)


def test_a_foreign_copy_of_a_fitted_row_counts_as_fitted(tmp_path):
    (row,) = (each for each in shipped().figures if each.id == "c001")
    path = tmp_path / "copy.yaml"
    data = read_yaml(shipped_path()).data["figures"][0] | {"id": "other"}
    import json

    path.write_text(json.dumps({"figures": [data]}))
    (found,) = corpus_report(read_corpus(path)).rows
    assert found.is_fitted and found.published == pytest.approx(row.value * 1e-3)


def test_apples_sdxl_on_six_devices_with_the_start_that_was_published():
    """Steps within 10 % and totals within 15 %; the iPhone 12 Pro, by which nothing was set, within 12 and 15 %."""
    from ondevice_sora.profiles.profile import load_profile
    from ondevice_sora.simulator.calibration.published import compare, find_cases, read_cases

    _, cases = read_cases(find_cases("apple_sdxl"))
    rows = compare(cases, *load_profile("iphone15pro"))
    assert len(rows) == 12
    for row in rows:
        most = {"steady_step_s": 0.10, "total_s": 0.15}[row.quantity] + (0.02 if "12 Pro" in row.case else 0.0)
        assert abs(row.error) <= most, row


def test_phones_that_were_seen_to_run_sdxl_are_said_to():
    from ondevice_sora.simulator.simulate import simulate

    for device in ("iphone12pro", "iphone13pro", "iphone14pro"):
        assert simulate("sdxl-768-reduced", device).result.verdict == "fits", device
