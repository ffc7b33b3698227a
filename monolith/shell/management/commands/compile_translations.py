"""``manage.py compile_translations``"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def compiled(source: Path) -> bytes:
    """The ``.mo`` of a ``.po``, the same bytes each time."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    out = io.BytesIO()
    with source.open("rb") as file:
        catalog = read_po(file)
    catalog.creation_date = catalog.revision_date = EPOCH
    write_mo(out, catalog)
    return out.getvalue()


class Command(BaseCommand):
    help = "Compile the translations without gettext's programs (Babel does it)."

    def handle(self, *_: Any, **options: Any) -> None:
        for directory in settings.LOCALE_PATHS:
            for source in sorted(Path(directory).rglob("*.po")):
                source.with_suffix(".mo").write_bytes(compiled(source))
                self.stdout.write(f"{source.with_suffix('.mo')}")
