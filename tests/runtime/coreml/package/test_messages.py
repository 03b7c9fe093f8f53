"""Reading a package needs coremltools' messages, not coremltools."""

import subprocess
import sys

import pytest

pytest.importorskip("coremltools")

from worlds.coreml_packages import linear_package
from worlds.paths import ROOT


def test_reading_a_package_does_not_import_coremltools(tmp_path):
    """It takes seconds and prints a page; imported afterwards, it shares the messages."""
    path = linear_package(tmp_path / "toy.mlpackage")
    code = (
        "import sys; from pathlib import Path; from ondevice_sora.runtime.coreml.package.reading import read_package; "
        f"package = read_package(Path({str(path)!r})); "
        "print(package.function().operations[0].type, 'coremltools' in sys.modules, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.split() == ["linear", "False", "False"] and ran.stderr == ""


def test_the_messages_are_coremltools_own():
    from ondevice_sora.runtime.coreml.package.messages import model_class
    from ondevice_sora.runtime.coreml.quiet import quietly

    with quietly() as ct:
        assert model_class() is ct.proto.Model_pb2.Model
