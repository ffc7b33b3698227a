"""``manage.py seed --scale N``. planted: a command that writes five contexts."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monolith.shell import sampling
from monolith.users.sample import PASSWORD, STAFF, email


class Command(BaseCommand):
    help = "Fill an empty shop with sample data, the same every time: 1,000 customers, 500 products, 5,000 orders times SCALE."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scale", type=int, default=1, help="how many times the numbers above (default 1)")
        filled = parser.add_mutually_exclusive_group()
        filled.add_argument("--flush", action="store_true", help="empty the shop first; everything in it is lost")
        filled.add_argument("--if-empty", action="store_true", help="do nothing, and end with 0, where something is in it")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["scale"] < 1:
            raise CommandError("--scale is a whole number from 1")
        if options["flush"]:
            sampling.flush()
        elif not sampling.is_empty():
            if options["if_empty"]:
                return
            raise CommandError(
                "There is something in the shop already. `manage.py seed --flush` empties it first; all is lost then."
            )
        started = time.monotonic()
        sampling.fill(scale=options["scale"], say=self.stdout.write)
        self.stdout.write(f"done in {time.monotonic() - started:.1f} s; log in as {email(1)} or {STAFF}, password {PASSWORD}")
