"""``manage.py expire_unpaid --days 30``. planted: a command that writes two contexts."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monolith.shell import upkeep


class Command(BaseCommand):
    help = "Cancel orders that were to be paid later and were not, and give their goods back to the stock."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=30, help="how long one may take to pay (default 30)")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("--days is a whole number from 1")
        count = upkeep.expire_unpaid(older_than=timedelta(days=options["days"]))
        self.stdout.write(f"{count} orders were cancelled")
