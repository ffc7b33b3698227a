"""What is a module of the project, and what is one of its tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from strangler.analysis.survey.modules import is_test, modules
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Skipped


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("shop.orders.tests.factories", True),
        ("shop.orders.tests", True),
        ("shop.orders.test_models", True),
        ("shop.conftest", True),
        ("shop.orders.models", False),
        ("shop.orders.testing", False),
        ("shop.contests", False),
        ("tests.sandbox.models", False),  # an installed app that lies among tests
        ("tests.sandbox.test_models", True),
        ("tests.other", True),
    ],
)
def test_what_is_a_test_says_its_place_in_its_app(module: str, wanted: bool) -> None:
    assert is_test(module, {"shop.orders", "tests.sandbox"}) is wanted


def test_a_package_hides_a_module_of_its_name_and_hidden_directories_are_none(tmp_path: Path) -> None:
    for name in (
        "shop/a.py",
        "shop/a/__init__.py",
        "shop/.venv/x.py",
        "shop/node_modules/y.py",
        "shop/__pycache__/z.py",
        "shop/0001_first.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = modules(tmp_path, Atlas(apps={"shop": "shop"}, packages=frozenset({"shop", "gone"})))
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in found.read.items()} == {
        "shop.0001_first": "shop/0001_first.py",
        "shop.a": "shop/a/__init__.py",
    }


def test_a_directory_that_can_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "shop" / "closed"
    closed.mkdir(parents=True)
    (tmp_path / "shop" / "a.py").touch()
    listed = os.scandir

    def scandir(path: str) -> object:
        if Path(path) == closed:  # by its mode it is open to root all the same
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = modules(tmp_path, Atlas(apps={"shop": "shop"}, packages=frozenset({"shop"})))
    assert set(found.read) == {"shop.a"}
    assert found.skipped == (Skipped("directory", str(closed), "Permission denied"),)


def test_tests_are_read_where_told(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "tests.py").touch()
    known = Atlas(apps={"shop": "shop"}, packages=frozenset({"shop"}))
    assert modules(tmp_path, known) == ({}, 1, ())
    assert set(modules(tmp_path, known, tests=True).read) == {"shop.tests"}
