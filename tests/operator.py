"""Somebody at a terminal: runs ``strangler`` as an operator does, against an estate of processes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deploy.local.supervisor import Estate
from deploy.local.terminal import Command, Terminal

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Operator:
    """``env`` is added to the environment of each command."""

    estate: Estate
    env: dict[str, str] = field(default_factory=dict)
    terminals: list[Terminal] = field(default_factory=list)

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        for terminal in self.terminals:
            terminal.close()

    def begin(self, *words: str) -> Command:
        """``strangler WORDS --json`` under way; other commands may be begun meanwhile."""
        return self._terminal().begin("strangler", *words, "--json")

    def go(self, *words: str) -> dict[str, Any]:
        """The command's answer. Fails with what it said unless it ends with 0."""
        return dict(json.loads(self._done(self.begin(*words))))

    def manage(self, *words: str) -> str:
        """``manage.py WORDS`` of the monolith. Fails with what it said unless it ends with 0."""
        return self._done(self._terminal().begin(*words))

    def _terminal(self) -> Terminal:
        idle = next((terminal for terminal in self.terminals if not terminal.busy), None)
        if idle is None:
            idle = Terminal(self.estate.env("monolith") | self.env)
            self.terminals.append(idle)
        return idle

    def _done(self, command: Command) -> str:
        said, errors = command.communicate(timeout=120)
        assert command.returncode == 0, f"{' '.join(command.words)}: {errors or said}"
        return said

    def bring(self, stage: str, percent: int = 0) -> None:
        """The shortest way of payments to a stage, by one command."""
        order = ("monolith", "mirror", "shadow", "canary", "live")
        rows = self.query("monolith", "SELECT stage, percent FROM strangler_migration WHERE context = 'payments'")
        at = rows[0] if rows else ("monolith", 0)
        if at == (stage, percent):
            return
        back = (order.index(stage), percent) < (order.index(at[0]), at[1])
        share = ["--percent", str(percent)] if percent and not back else []
        self.go("rollback" if back else "advance", "payments", "--to", stage, *share, "--why", "a test needs it there")

    def write(self, unit: str, sql: str) -> None:
        """As the unit's own role; meets the fence as everybody does."""
        with psycopg.connect(self.estate.database_url(unit), connect_timeout=3) as connection:
            connection.execute(sql)

    def query(self, unit: str, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.estate.database_url(unit), connect_timeout=3) as connection:
            return connection.execute(sql).fetchall()
