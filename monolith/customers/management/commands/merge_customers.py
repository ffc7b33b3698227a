"""``manage.py merge_customers KEEP DUPLICATE``. planted: a command that writes two contexts."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monolith.customers import services
from monolith.customers.contract import NotMergeable


class Command(BaseCommand):
    help = "Merge a duplicate customer into another: their orders and addresses become the other's."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("keep", type=int, help="id of the customer who stays")
        parser.add_argument("duplicate", type=int, help="id of the one who goes")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            merged = services.merge(keep_id=options["keep"], duplicate_id=options["duplicate"])
        except NotMergeable as refused:
            raise CommandError(refused.detail) from refused
        moved = ", ".join(f"{count} {label}" for label, count in sorted(merged.moved.items()) if count)
        self.stdout.write(f"{merged.duplicate_id} is part of {merged.kept_id} now: {moved or 'it had nothing'}")
