"""What the stand-in for Core ML declares is what runtime/ios/docs/coreml-api.md says of Apple's interface."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from worlds import swift

pytestmark = [
    swift.needs_swift,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Core ML itself is there, not its stand-in"),
]
MODULES = swift.PACKAGE / ".build" / "debug" / "Modules"
TABLE = swift.PACKAGE / "docs" / "coreml-api.md"


def run_tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A program that lies beside `swift`."""
    found = swift.swift()
    assert found is not None
    return subprocess.run([Path(found).with_name(name), *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The symbol graph of the stand-in's public interface."""
    swift.sora()
    folder = tmp_path_factory.mktemp("graph")
    done = run_tool(
        "swift-symbolgraph-extract", "-module-name", "CoreML", "-target", swift.target(), "-I", MODULES,
        "-minimum-access-level", "public", "-skip-synthesized-members", "-output-dir", folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads((folder / "CoreML.symbols.json").read_text())
    return data


def declarations(graph: dict[str, Any]) -> list[str]:
    """Such as `MLModel.init(contentsOf: URL) throws`: where it is declared, and how."""
    found = []
    for symbol in graph["symbols"]:
        text = "".join(part["spelling"] for part in symbol["declarationFragments"])
        owner = ".".join(symbol["pathComponents"][:-1])
        found.append(" ".join(f"{owner}: {text}".split()) if owner else " ".join(text.split()))
    return sorted(found)


def told() -> list[str]:
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return sorted(
        match.group(1) for row in rows if (match := re.match(r"\| `([^`]+)` \|", row)) and row.count("|") == 4
    )


def test_the_stand_in_declares_what_the_table_says_and_nothing_else(graph: dict[str, Any]) -> None:
    assert declarations(graph) == told()


def test_each_row_says_where_it_was_read() -> None:
    for line in TABLE.read_text().splitlines():
        if line.startswith("| `") and line.count("|") == 4:
            *_, since, source, _ = (cell.strip() for cell in line.split("|"))
            assert re.fullmatch(r"[\d.]+ / [\d.]+|any", since), line
            assert re.fullmatch(r"[IHGDU](, [IHGDU])*", source), line


def test_no_class_of_core_ml_is_sendable(graph: dict[str, Any], tmp_path: Path) -> None:
    """Nor is any here: what compiles would not compile with the SDK."""
    classes = [each["names"]["title"] for each in graph["symbols"] if each["kind"]["identifier"] == "swift.class"]
    assert len(classes) >= 8
    source = tmp_path / "wants.swift"
    lines = ["import CoreML", "func wants<T: Sendable>(_: T.Type) {}", *(f"wants({name}.self)" for name in classes)]
    source.write_text("\n".join(lines) + "\n")
    done = run_tool("swiftc", "-typecheck", "-swift-version", "6", "-I", MODULES, source)
    refused = {line.split("'")[1] for line in done.stderr.splitlines() if "error: type '" in line}
    assert refused == set(classes)


@pytest.mark.parametrize("folder", ["SoraCore", "SoraModels", "sora"])
def test_core_ml_is_imported_in_one_target_only(folder: str) -> None:
    for path in (swift.PACKAGE / "Sources" / folder).rglob("*.swift"):
        assert not re.search(r"^\s*(@\w+ )*import CoreML$", path.read_text(), re.MULTILINE), path


def test_the_backend_does_not_know_that_there_is_a_stand_in() -> None:
    for path in (swift.PACKAGE / "Sources").rglob("*.swift"):
        assert not re.search(r"StandIn|SORA_STANDIN", path.read_text()), path
