"""``manage.py strangler …``: the same verbs as the ``strangler`` command."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from strangler.management import cli


class Command(BaseCommand):
    help = cli.DESCRIPTION
    requires_system_checks: list[str] = []  # a wrong strangler.toml is told by the verb that needs it

    def run_from_argv(self, argv: list[str]) -> None:
        sys.exit(cli.run(argv[2:], prog="manage.py strangler"))

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("words", nargs="*")

    def handle(self, *_: Any, words: list[str], **__: Any) -> None:
        """For ``call_command("strangler", "status", …)``."""
        code = cli.run(words, prog="manage.py strangler")
        if code:
            raise CommandError(f"strangler {' '.join(words)} ended with {code}", returncode=code)
