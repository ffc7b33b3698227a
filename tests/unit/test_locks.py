"""The images' locks are parts of the one that the tests run on."""

from __future__ import annotations

import re

import pytest

from deploy.locks import APART, ROOT, WHOLE, direct

PIN = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", re.M)
NAME = re.compile(r"[\w.-]+")


def blocks(path: str) -> dict[str, str]:
    """Package → its lines: version, condition and hashes."""
    text = (ROOT / path).read_text()
    found = re.split(r"\n(?=\w)", text)
    return {pin[1]: re.sub(r"\s*#.*", "", block).strip() for block in found if (pin := PIN.match(block))}


@pytest.mark.parametrize("path", sorted(direct()))
def test_every_package_asked_for_is_locked(path: str) -> None:
    asked = {NAME.match(requirement)[0].lower().replace("_", "-") for requirement in direct()[path]}  # type: ignore[index]
    assert asked - blocks(path).keys() == set(), "type: make lock"


@pytest.mark.parametrize("path", sorted(direct().keys() - {WHOLE, *APART}))
def test_an_image_has_the_versions_that_are_tested(path: str) -> None:
    whole, part = blocks(WHOLE), blocks(path)
    assert part
    for name, block in part.items():
        pins = [PIN.match(text)[2] for text in (block, whole[name])]  # type: ignore[index]
        hashes = [set(re.findall(r"sha256:\w+", text)) for text in (block, whole[name])]
        assert pins[0] == pins[1], name
        assert hashes[0] == hashes[1], name
        assert hashes[0], name


def test_no_lock_names_where_packages_are_downloaded() -> None:
    for path in direct():
        assert "://" not in (ROOT / path).read_text()
