"""A context that only a moved model has is one all the same."""

from __future__ import annotations

from strangler.domain.coupling.atlas import PLATFORM, PROJECT, Atlas


def test_a_context_that_only_a_moved_model_has_is_listed() -> None:
    atlas = Atlas(
        apps={"shop": "shop", "django.contrib.auth": PLATFORM},
        models={"shop.Order": "shop", "shop.Invoice": "billing", "auth.User": PLATFORM, "odd.One": ""},
        declared=("shop",),
    )
    assert atlas.contexts == ("shop", "billing", PROJECT, PLATFORM)
