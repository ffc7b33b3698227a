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


def test_an_unknown_target_is_misuse(make: dict[str, Any]) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "dance"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    names = ", ".join(name for name, _ in make["TARGETS"])
    assert done.stderr.strip() == f"make: there is no target 'dance'; there are {names}"


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


MEETS = """
import pathlib, sys, time
me, other = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
running = me.with_suffix(".running")
running.touch()
me.touch()
while not other.exists():
    time.sleep(0.01)
print("met", other.name, flush=True)
running.unlink()
"""
COUNTS = "import pathlib, sys; sys.exit(len(list(pathlib.Path(sys.argv[1]).glob('*.running'))) + 3)"


def test_steps_run_two_at_a_time_and_all_are_heard(
    make: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    monkeypatch.setitem(make["side_by_side"].__globals__, "PYTHON", sys.executable)
    steps = (("a", ["-c", MEETS, one, two]), ("b", ["-c", MEETS, two, one]), ("c", ["-c", COUNTS, str(tmp_path)]))
    codes = {name: code for name, code, _ in make["side_by_side"](steps)}
    assert (codes["a"], codes["b"]) == (0, 0)
    assert codes["c"] in (3, 4), "it began while two others ran"
    said = capfd.readouterr().out
    assert all(text in said for text in ("met one", "met two", "what b said"))
