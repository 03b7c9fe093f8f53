"""`--device all`: one line a device, from the lowest limit up, each as if it were named alone."""

from __future__ import annotations

import csv
import json

import pytest

from ondevice_sora.commands.main import main
from ondevice_sora.profiles.devices import device_keys, devices_named
from ondevice_sora.records.ladder import Ladder, Rung
from ondevice_sora.reports.terminal.ladder import print_ladder

PLAN = "app-256-all"


def told(capsys, *arguments, status=0):
    assert main(list(arguments)) == status
    return capsys.readouterr()


@pytest.mark.parametrize("what", [["--plan", PLAN], ["--model", "sd1.5"]], ids=["plan", "model"])
def test_each_device_comes_to_what_it_comes_to_alone(capsys, what):
    command = ["simulate", *what, "--json", "--device"]
    rungs = json.loads(told(capsys, *command, "iphone15pro,iphone12").out)["rungs"]
    assert [(rung["key"], rung["entitlement"]) for rung in rungs] == [
        ("iphone12", False), ("iphone15pro", False), ("iphone12", True), ("iphone15pro", True),
    ]  # fmt: skip
    for rung in rungs:
        status = 3 if rung["verdict"] == "killed" else 0
        alone = json.loads(
            told(capsys, *command, rung["key"], *["--entitlement"] * rung["entitlement"], status=status).out
        )
        assert rung["limit_bytes"] == alone["limit_bytes"] and rung["verdict"] == alone["verdict"]
        assert (rung["total_s"], rung["peak_bytes"]) == (alone["total_s"], alone["needed_bytes"])
        assert rung["kill_share"] == alone["kill_share"]


def test_both_ways_of_loading_are_told_one_below_the_other(capsys):
    command = ["simulate", "--model", "sd1.5", "--device", "iphone14,iphone15pro", "--loading", "both", "--json"]
    core_ml, core_ai = json.loads(told(capsys, *command).out)["results"]
    assert (core_ml["plan"].endswith(" · Core ML"), core_ai["plan"].endswith(" · Core AI")) == (True, True)
    rungs = {rung["key"]: rung for rung in core_ai["rungs"] if not rung["entitlement"]}
    assert rungs["iphone14"]["verdict"] is None and "Core AI" in rungs["iphone14"]["problem"]
    assert rungs["iphone15pro"]["peak_bytes"] < core_ml["rungs"][1]["peak_bytes"]
    assert not core_ml["notes"] and any("Not modelled" in note for note in core_ai["notes"])


def test_one_way_of_loading_replaces_the_plans(capsys):
    command = ["simulate", "--model", "sd1.5", "--json"]
    asked = json.loads(told(capsys, *command, "--loading", "core_ai").out)
    assert {block["loading"] for block in asked["blocks"]} == {"core_ai"}
    assert sum(block["clean_bytes"] for block in asked["blocks"]) == sum(b["stored_bytes"] for b in asked["blocks"])
    usual = json.loads(told(capsys, *command).out)
    assert {block["loading"] for block in usual["blocks"]} == {"core_ml"}
    assert "Core AI" not in " ".join(usual["cautions"])


def test_all_are_the_phones_and_tablets_of_the_catalogue():
    keys = {device.key for device in devices_named(["all"])}
    assert keys == {key for key in device_keys() if not key.startswith("mac")}
    assert {"iphone12", "iphone17pro", "ipadprom1"} <= keys


def test_a_plan_that_fits_nowhere_ends_with_status_3(capsys):
    out = told(capsys, "simulate", "--plan", "ours-256", "--device", "iphone12,iphonese3", status=3).out
    assert "without an entitlement: fits none of 2" in " ".join(out.split())
    assert "KILLED" in out and "(" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["simulate", "--device", "all", "--memory-limit", "3 GB"],
            "--memory-limit has no effect with several devices",
        ),
        (["simulate", "--device", "all", "--entitlement"], "--entitlement has no effect with several devices"),
        (["simulate", "--device", "all", "--plan", "a", "--plan", "b"], "several plans and several devices"),
        (
            ["simulate", "--loading", "both", "--trace", "t.json"],
            "--trace writes one run, and --loading both makes two",
        ),
        (["simulate", "--csv"], "--csv has no effect with one device"),
        (["simulate", "--device", "iphone12,iphone99"], "unknown device 'iphone99'"),
        (["simulate", "--device", ","], "0 devices are named"),
        (["plan", "search", "--device", "all", "-o", "x.yaml"], "--output has no effect with several devices"),
        (["plan", "search", "--device", "all", "--plan", "a,b"], "several plans and several devices"),
        (["profile", "estimate", "x", "--device", "all", "-o", "out"], "--output has no effect with several devices"),
    ],
)
def test_what_several_devices_cannot_have(capsys, arguments, said):
    assert said in told(capsys, *arguments, status=2).err


def test_the_table_of_phones_is_written_for_other_programs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["small", "--video", "64x64x34", "--device", "iphone12,iphone15pro"]
    said = told(capsys, "simulate", *arguments, "--csv").err
    assert said == "Wrote small.csv\n"
    rows = list(csv.DictReader((tmp_path / "small.csv").read_text().splitlines()))
    assert [(row["key"], row["entitlement"]) for row in rows] == [
        ("iphone12", "False"), ("iphone15pro", "False"), ("iphone12", "True"), ("iphone15pro", "True"),
    ]  # fmt: skip
    rungs = json.loads(told(capsys, "simulate", *arguments, "--json").out)["rungs"]
    assert [[float(row["low_s"]), float(row["high_s"])] for row in rows] == [rung["interval_s"] for rung in rungs]
    assert [float(row["total_s"]) for row in rows] == [rung["total_s"] for rung in rungs]
    assert all(row["fits"] == "True" and row["plan"].endswith(" · 64x64x34") for row in rows)


def test_one_page_to_hand_on_has_every_phone_with_its_interval(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "ours-256", "--device", "iphone12,iphone12pro,iphone15"]
    assert told(capsys, *arguments, "--report").err == "Wrote ours-256.html\n"
    page = (tmp_path / "ours-256.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "Fits none of 3 devices",
        "With the increased-memory entitlement",
        "too risky",
        "9:49–12:39",
        "3.10 GB",
    ):
        assert part in page
    assert "exists already" in told(capsys, *arguments, "--report", status=2).err


def test_phones_are_told_with_what_is_likely_and_the_risk_as_one_phone_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = told(capsys, "simulate", "ours-256", "--device", "iphone12,iphone12pro,iphone15pro").out
    rows = {line[:13].strip(): line.split("GB")[1:] for line in reversed(out.splitlines()) if line.startswith("iPhone")}
    verdict, risk = rows["iPhone 15 Pro"]
    assert verdict.split() == ["fits", "10:08", "9:45–10:51", "2.56"]
    alone = told(capsys, "simulate", "ours-256").out
    assert "Likely between 9 min 45 s and 10 min 51 s" in alone
    assert f"Risk of being killed: {risk.strip().replace('<', 'under ')}." in alone
    assert rows["iPhone 12"][0].split()[:2] == ["KILLED", "(20:25)"]
    assert rows["iPhone 12 Pro"][0].split()[:2] == ["too", "risky"]
    assert "Too risky: with more." in out and "In brackets" in out


def test_packages_on_several_devices(tmp_path, monkeypatch, capsys):
    pytest.importorskip("coremltools")
    from worlds.coreml_packages import linear_package

    monkeypatch.chdir(tmp_path)
    linear_package(tmp_path / "net.mlpackage")
    rungs = json.loads(told(capsys, "profile", "estimate", "net.mlpackage", "--device", "iphone15pro,iphone12",
                            "--json").out)["rungs"]  # fmt: skip
    assert main(["profile", "estimate", "net.mlpackage", "-o", "out"]) == 0
    capsys.readouterr()
    alone = json.loads(
        told(capsys, "simulate", "--device", "out/profile.yaml", "--plan", "out/plan.yaml", "--json").out
    )
    assert rungs[1]["key"] == "iphone15pro" and rungs[1]["total_s"] == alone["total_s"]


def test_a_search_for_several_devices_gives_each_its_own_plan(capsys):
    out = told(capsys, "plan", "search", "--device", "iphone15pro,iphone12", "--plan", "ours-192", "--seconds",
               "1", "--json").out  # fmt: skip
    rungs = json.loads(out)["rungs"]
    assert all(rung["verdict"] == "fits" and rung["peak_bytes"] < rung["limit_bytes"] for rung in rungs)


def rung(key, verdict, **facts):
    return Rung(f"iPhone {key}", key, False, 3 * 10**9, "published", verdict, **facts)


def test_the_ladder_is_readable_at_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    fits = {"total_s": 700.0, "unlimited_s": 700.0, "peak_bytes": 2 * 10**9}
    print_ladder(Ladder("a plan", [
        rung("12", "killed", unlimited_s=900.0, peak_bytes=4 * 10**9, kill_share=1.0),
        rung("13", "fits", kill_share=0.2, **fits), rung("14", "fits", kill_share=0.01, **fits),
        Rung("iPhone 15", "15", False, 10**9, "estimated", problem="it has no graphics"),
    ]))  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line[:9]: line.split()[2:] for line in lines if line.startswith("iPhone 1")}
    assert rows["iPhone 12"] == ["3.00", "GB", "KILLED", "(15:00)", "4.00", "GB", "100", "%"]
    assert rows["iPhone 13"][2:4] == ["too", "risky"] and rows["iPhone 14"][2] == "fits"
    told = "without an entitlement: fits 1 of 4, that with the lowest limit being iPhone 14 (3.00 GB): 11 min 40 s"
    assert told in " ".join(lines)
    assert "with the increased-memory entitlement: no limit is known" in lines
    assert lines[-1] == "iPhone 15: it has no graphics"
