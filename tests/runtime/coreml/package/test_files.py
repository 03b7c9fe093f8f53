"""Packages in archives, caches and behind links are read like folders, and lead nowhere else."""

from __future__ import annotations

import random
import zipfile
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("coremltools")

from worlds.alarms import ends_in
from worlds.coreml_packages import linear_package
from worlds.layouts import LFS, in_hub_cache, zipped

from ondevice_sora.base.errors import UserError
from ondevice_sora.runtime.coreml.estimate.counting import count
from ondevice_sora.runtime.coreml.estimate.folders import find_packages
from ondevice_sora.runtime.coreml.package import files
from ondevice_sora.runtime.coreml.package.errors import PackageError
from ondevice_sora.runtime.coreml.package.files import Archive, ZipFiles
from ondevice_sora.runtime.coreml.package.reading import read_package, stages_in

WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


@pytest.fixture
def plain(tmp_path):
    return linear_package(tmp_path / "net.mlpackage")


def weights_of(package):
    return package.function().constants["W"].array()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_without_being_extracted(plain, tmp_path, compression):
    archive = zipped(plain, tmp_path / "net.mlpackage.zip", compression)
    before = sorted(tmp_path.rglob("*"))
    (stage,) = stages_in(ZipFiles(Archive(archive), "net.mlpackage/"))
    assert np.array_equal(weights_of(stage.package), weights_of(read_package(plain)))
    assert stage.package.weight_bytes == read_package(plain).weight_bytes
    assert sorted(tmp_path.rglob("*")) == before
    assert str(stage.package.path) == str(archive / "net.mlpackage")


def refused(match, archive, prefix="net.mlpackage/"):
    with pytest.raises(PackageError, match=match):
        stages_in(ZipFiles(Archive(archive), prefix))


def test_a_bomb_is_refused_before_it_unpacks(plain, tmp_path, monkeypatch):
    (plain / WEIGHTS).write_bytes(bytes(10_000_000))
    archive = zipped(plain, tmp_path / "bomb.zip")
    monkeypatch.setattr(files, "RATIO_FROM_BYTES", 1_000_000)
    refused("would unpack to 10.0 MB, more than 200 times its size", archive)


def test_an_archive_larger_than_the_disk_has_room_for(plain, tmp_path, monkeypatch):
    archive = zipped(plain, tmp_path / "net.zip")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: _Free())
    refused("more than half of the 100 B free here", archive)


class _Free:
    free = 100


def test_names_in_an_archive_lead_nowhere(plain, tmp_path):
    archive = tmp_path / "net.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("../net.mlpackage/Manifest.json", "{}")
        link = zipfile.ZipInfo("net.mlpackage/Manifest.json")
        link.external_attr = 0o120777 << 16
        stream.writestr(link, "/etc/passwd")
    refused("is not a file", archive)
    refused("there is no such file in the archive", archive, "other/")


def test_an_archive_that_is_damaged_or_none(plain, tmp_path):
    archive = zipped(plain, tmp_path / "net.zip")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PackageError, match="not a zip archive"):
        Archive(archive)
    archive.write_bytes(LFS)
    with pytest.raises(PackageError, match="Git LFS pointer, and the file of 430 MB"):
        Archive(archive)


def test_links_of_the_hubs_cache_are_followed(plain, tmp_path):
    snapshot = in_hub_cache(plain, tmp_path / "models--org--net")
    package = read_package(snapshot / "net.mlpackage")
    assert np.array_equal(weights_of(package), weights_of(read_package(plain)))
    assert str(package.function().constants["W"].extent.path).startswith(str(snapshot))


def test_a_link_out_of_the_cache_is_not_followed(plain, tmp_path):
    snapshot = in_hub_cache(plain, tmp_path / "cache")
    link = snapshot / "net.mlpackage" / WEIGHTS
    link.unlink()
    link.symlink_to(plain / WEIGHTS)
    with pytest.raises(PackageError, match="is a link that leaves the cache"):
        read_package(snapshot / "net.mlpackage")


def test_a_download_that_is_not_complete(plain, tmp_path):
    snapshot = in_hub_cache(plain, tmp_path / "cache")
    (snapshot / "net.mlpackage" / WEIGHTS).resolve().unlink()
    with pytest.raises(PackageError, match="the download is not complete"):
        read_package(snapshot / "net.mlpackage")


def test_a_link_in_place_of_a_package_is_a_users_own(plain, tmp_path):
    link = tmp_path / "unet.mlpackage"
    link.symlink_to(plain)
    assert np.array_equal(weights_of(read_package(link)), weights_of(read_package(plain)))
    (plain / WEIGHTS).rename(tmp_path / "elsewhere.bin")
    (plain / WEIGHTS).symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(PackageError, match="passes through a link"):
        read_package(link)


@pytest.mark.parametrize("file", [WEIGHTS, "Data/com.apple.CoreML/model.mlmodel", "Manifest.json"])
def test_a_git_lfs_pointer_is_told_with_its_cure(plain, file):
    (plain / file).write_bytes(LFS)
    with pytest.raises(PackageError, match="this is a Git LFS pointer, and the file of 430 MB") as caught:
        read_package(plain)
    assert caught.value.mend == "Fetch it with `git lfs pull`."


def test_an_ml_program_in_a_bare_file(plain, tmp_path):
    data = plain / "Data/com.apple.CoreML"
    package = read_package(data / "model.mlmodel")
    assert np.array_equal(weights_of(package), weights_of(read_package(plain)))
    assert package.path == data / "model.mlmodel"


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_archive_is_refused_in_one_line_or_read(plain, tmp_path, compression):
    """Seven hundred in all: bytes changed, cut off, doubled or overwritten, anywhere in the archive."""
    archive = zipped(plain, tmp_path / "net.mlpackage.zip", compression)
    whole = archive.read_bytes()
    outcomes: Counter[str] = Counter()
    for number in range(350):
        chance = random.Random(number)
        data, at = bytearray(whole), chance.randrange(len(whole))
        kind = chance.choice(["flip", "flip", "cut", "double", "noise"])
        if kind == "flip":
            for _ in range(chance.choice([1, 2, 8])):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del data[at : at + chance.choice([1, 7, 100])]
        else:
            data[at : at + 8] = data[at : at + 8] * 2 if kind == "double" else chance.randbytes(8)
        archive.write_bytes(data)
        try:
            with ends_in(20, AssertionError("not done in 20 s")):
                for block in find_packages([archive]).blocks:
                    count(block.functions["plain"])
                    [constant.array() for constant in block.functions["plain"].all_constants()]
            outcomes["read"] += 1
        except UserError as error:
            outcomes["refused"] += 1
            assert "\n" not in error.what and error.what.isprintable(), error.what
        except Exception as error:
            raise AssertionError(f"case {number}, {kind}: {type(error).__name__}: {error}") from error
    assert outcomes["refused"] > 50 and outcomes["read"] > 10, outcomes
