from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "make.py"


@pytest.fixture
def make() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_it_parses_on_old_pythons() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


def test_it_uses_the_standard_library_alone() -> None:
    tree = ast.walk(ast.parse(SCRIPT.read_text()))
    names = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    assert names <= sys.stdlib_module_names


def test_an_unknown_target_is_misuse() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "dance"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "make: there is no target 'dance'; there are up, demo, test, lint, bench, guide, faults, soak, lock, containers, help"
    )


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_help_names_every_target(words: list[str], make: dict[str, Any]) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name, _ in make["TARGETS"])


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 0), (3, 15, 0)])
def test_another_python_is_told_in_one_sentence(
    version: tuple[int, ...], make: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(
        make["Stop"], match=rf"needs Python 3\.11 to 3\.14 and .* is 3\.{version[1]}; .*make PYTHON=python3"
    ) as caught:
        make["check_version"]()
    assert "\n" not in str(caught.value)


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert not [line for line in lines if "://" in line or line.lstrip().startswith(("-i", "--index", "--find-links"))]
