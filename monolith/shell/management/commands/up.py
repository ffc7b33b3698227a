"""`manage.py up`: what `make up` runs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from deploy.local import up


class Command(BaseCommand):
    help = "Start the whole estate in the foreground: databases, shop, workers, proxy, payments service. Ctrl-C stops it."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        up.add_arguments(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        code = up.run(scale=options["scale"], state_dir=options["state_dir"])
        if code:
            sys.exit(code)
