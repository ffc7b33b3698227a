"""``make picture``: the shop's coupling map for the README, drawn from its ledger."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOBODY = {  # no server is asked, so none has to be there
    "DJANGO_SETTINGS_MODULE": "monolith.settings",
    "SECRET_KEY": "to-draw-a-picture",
    "STRANGLER_SERVICE_TOKEN": "to-draw-a-picture",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:9/nothing",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "CELERY_BROKER_URL": "memory://",
}
PICTURE = ROOT / "docs" / "images" / "shop.svg"


def drawn() -> str:
    """From source and registries alone: the same without servers. Needs Django to be set up with the shop's settings."""
    from strangler.analysis.collect import collect
    from strangler.analysis.reports.picture import drawing

    ledger = collect(only=("static", "live"), database=False)
    return drawing(ledger, "What crosses between the contexts of the shop", standalone=True, project=False)


def main() -> None:
    import django

    for name, value in NOBODY.items():
        os.environ.setdefault(name, value)
    django.setup()
    PICTURE.write_text(drawn(), encoding="utf-8")
    print(f"written: {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
