"""``manage.py post_ledger``"""

from typing import Any

from django.core.management.base import BaseCommand

from monolith.payments import ledger


class Command(BaseCommand):
    help = "Book captures and refunds from before there was a ledger. May be stopped and begun again."

    def handle(self, *_: Any, **options: Any) -> None:
        total = 0
        for count in ledger.post_missing():
            total += count
            self.stdout.write(f"{total:,} transfers booked", ending="\r")
        self.stdout.write(f"{total:,} transfers booked")
