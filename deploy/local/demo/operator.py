"""Who types the ``strangler`` commands of the demo."""

from __future__ import annotations

import json
import subprocess

from deploy.local.terminal import Terminal

PATIENCE_S = 120.0


class CommandFailed(Exception):
    """A ``strangler`` command did not end with 0; the message is what it said."""


class Operator(Terminal):
    """``with Operator(env) as operator: operator.run("advance", "payments", …)``; ``env`` is that of the monolith."""

    def run(self, *words: str) -> dict[str, object]:
        """The answer of ``strangler WORDS --json``. Raises ``CommandFailed``."""
        name = f"strangler {' '.join(words)}"
        try:
            command = self.begin("strangler", *words, "--json")
            said, errors = command.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{name} gave no answer in {PATIENCE_S:g} s") from None
        except (EOFError, OSError):
            raise CommandFailed(f"{name}: the operator's process has ended") from None
        if command.returncode:
            raise CommandFailed(f"{name}: {(errors or said).strip()[-2000:]}")
        return dict(json.loads(said))
