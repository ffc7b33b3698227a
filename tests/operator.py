"""Somebody at a terminal: runs ``strangler`` as an operator does, against an estate of processes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deploy.local.supervisor import Estate

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Operator:
    """``env`` is added to the environment of each command."""

    estate: Estate
    env: dict[str, str] = field(default_factory=dict)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """The command under way; its answer on ``stdout``, its progress and errors on ``stderr``."""
        argv = [sys.executable, "manage.py", "strangler", *words, "--json"]
        env = self.estate.env("monolith") | self.env
        return subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def go(self, *words: str) -> dict[str, Any]:
        """The command's answer. Fails with what it said unless it ends with 0."""
        process = self.begin(*words)
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, f"strangler {' '.join(words)}: {errors or said}"
        return dict(json.loads(said))

    def manage(self, *words: str) -> str:
        """``manage.py WORDS`` of the monolith. Fails with what it said unless it ends with 0."""
        argv = [sys.executable, "manage.py", *words]
        env = self.estate.env("monolith") | self.env
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"manage.py {' '.join(words)}: {done.stderr or done.stdout}"
        return done.stdout

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
