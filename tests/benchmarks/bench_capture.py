"""What capture and fence cost the writer: the same rows into the same table, with the triggers and without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from tests.benchmarks.figures import Figure, in_turns

ROOT = Path(__file__).resolve().parents[2]
SINGLE, BULK = 2_000, 50_000
ROW = "(user_id, key, fingerprint, response, created_at) SELECT 1, gen_random_uuid()::text, repeat('f', 64), '{}', now()"
INSTALL = "from strangler.sync import install; install.install('payments')"


def measure() -> list[Figure]:
    """Microseconds a row, medians; lower is better."""
    directory = Path(tempfile.mkdtemp(prefix="strangler-bench-"))
    directory.chmod(0o711)
    server = Postgres(directory, Ports.free().postgres)
    server.start()
    try:
        url = server.ensure_database("shop")
        _shop(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE bare (LIKE payments_idempotencykey INCLUDING ALL)")
            return [_figure(connection, "single-row transactions", 1.15, _single), _figure(connection, "bulk", 2.0, _bulk)]
    finally:
        server.stop()
        server.discard()
        shutil.rmtree(directory, ignore_errors=True)


def _shop(url: str) -> None:
    """The shop's tables, with capture and fence on those of payments, as stage ``mirror`` has them."""
    env = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "monolith.settings", "DEBUG": "1"}
    for command in (["migrate", "-v0"], ["shell", "-v0", "-c", INSTALL]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=env, check=True)


def _figure(
    connection: psycopg.Connection, name: str, target: float, write: Callable[[psycopg.Connection, str], float]
) -> Figure:
    found = in_turns({"ours": lambda: write(connection, "payments_idempotencykey"), "bare": lambda: write(connection, "bare")})
    return Figure(name, found["ours"], "no triggers", found["bare"], "µs a row", target)


def _single(connection: psycopg.Connection, table: str) -> float:
    return _per_row(connection, f"INSERT INTO {table} {ROW}", SINGLE, 1)


def _bulk(connection: psycopg.Connection, table: str) -> float:
    return _per_row(connection, f"INSERT INTO {table} {ROW} FROM generate_series(1, {BULK})", 1, BULK)


def _per_row(connection: psycopg.Connection, statement: str, times: int, rows: int) -> float:
    """Microseconds a row; the tables are empty before each round, so that no round finds them larger than another."""
    connection.execute("TRUNCATE payments_idempotencykey, bare")
    connection.execute("TRUNCATE strangler_outbox")
    started = time.perf_counter()
    for _ in range(times):
        connection.execute(statement)
    return (time.perf_counter() - started) / (times * rows) * 1e6
