"""The README's picture of the shop is what its ledger shows today."""

from __future__ import annotations

from deploy.picture import PICTURE, ROOT, drawn


def test_the_picture_is_fresh_and_the_readme_shows_it() -> None:
    assert PICTURE.read_text(encoding="utf-8") == drawn(), "the shop's couplings have changed: make picture"
    assert f"({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
