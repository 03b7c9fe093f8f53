"""Who may import whom: simulator, runtime and reports never import each other; heavy packages load only where used."""

import ast
import re
import subprocess
import sys

import pytest
from worlds.paths import ROOT

BELOW = {"base", "profiles", "records", "plans"}
MAY_IMPORT = {
    "base": set(),
    "profiles": {"base"},
    "records": {"base", "profiles"},
    "plans": {"base", "profiles"},
    "simulator": BELOW,
    "runtime": BELOW,
    "reports": BELOW,
    "studies": BELOW | {"simulator", "runtime"},
    "commands": BELOW | {"simulator", "runtime", "reports", "studies"},
    "api": BELOW | {"simulator", "runtime", "reports", "commands"},
}
FOLDERS = {
    name: ROOT / (f"ondevice_sora/{name}" if name in ("base", "commands", "api") else name) for name in MAY_IMPORT
}


def imports_of(path):
    """Full names of the modules that a file imports, and of what it takes from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_lies_below_them(package):
    for path in FOLDERS[package].rglob("*.py"):
        parts = [name.split(".") for name in imports_of(path)]
        tops = {each[1] for each in parts if each[0] == "ondevice_sora"}
        beyond = (tops & MAY_IMPORT.keys()) - MAY_IMPORT[package] - {package}
        assert not beyond, f"{path.relative_to(ROOT)} imports {beyond}"


def test_the_architecture_page_lists_the_folders_in_the_order_in_which_they_may_import():
    """docs/architecture.md: a row imports from the rows above it only."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Folders")[2].partition("## ")[0]
    rows = [
        re.findall(r"`(?:ondevice_sora/)?(\w+)/`", line.split("|")[1]) for line in table.splitlines() if "|" in line
    ]
    above: set[str] = set()
    for row in rows:
        for name in set(row) & MAY_IMPORT.keys():
            assert MAY_IMPORT[name] <= above, f"{name} may import what stands below it"
        above |= set(row)
    assert above >= MAY_IMPORT.keys()


ALL = [*FOLDERS.values(), ROOT / "tests", ROOT / "benchmarks"]


@pytest.mark.parametrize("folder", ALL, ids=lambda path: path.name)
def test_the_one_import_name_is_ondevice_sora(folder):
    """`import simulator` would find the folder in a checkout, and nothing or something else once installed."""
    for path in folder.rglob("*.py"):
        bare = {name.partition(".")[0] for name in imports_of(path)} & MAY_IMPORT.keys()
        assert not bare, f"{path.relative_to(ROOT)} imports {bare} by a bare name"


@pytest.mark.parametrize("package", ["base", "profiles", "records", "plans", "simulator"])
def test_a_text_only_simulation_loads_nothing_heavy(package):
    names = sorted(
        ".".join(("ondevice_sora", package, *path.relative_to(FOLDERS[package]).with_suffix("").parts))
        for path in FOLDERS[package].rglob("[!_]*.py")
    )
    heavy = "{'torch', 'plotly', 'coremltools', 'scipy', 'numba', 'distributed', 'pyarrow'}"
    code = f"import sys, {', '.join(names)}; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"
