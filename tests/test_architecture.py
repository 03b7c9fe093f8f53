"""Who may import whom: simulator, runtime and reports never import each other; heavy packages load only where used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "profiles": set(),
    "plans": {"profiles"},
    "simulator": {"profiles", "plans"},
    "runtime": {"profiles", "plans"},
    "reports": {"profiles", "plans"},
    "ondevice_sora": {"profiles", "plans", "simulator", "runtime", "reports"},
}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_lies_below_them(package):
    for path in (ROOT / package).rglob("*.py"):
        tops = {name.partition(".")[0] for name in imports_of(path)}
        beyond = (tops & MAY_IMPORT.keys()) - MAY_IMPORT[package] - {package}
        assert not beyond, f"{path.relative_to(ROOT)} imports {beyond}"


@pytest.mark.parametrize("package", ["profiles", "plans", "simulator"])
def test_a_text_only_simulation_loads_nothing_heavy(package):
    names = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / package).rglob("*.py")
    )
    heavy = "{'torch', 'plotly', 'coremltools', 'scipy', 'numba', 'distributed', 'pyarrow'}"
    code = f"import sys, {', '.join(names)}; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"
