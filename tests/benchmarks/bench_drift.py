"""A full drift check of a million rows on each of two databases, beside reladiff and beside what the digests alone cost.

The service is a real one behind HTTP (gunicorn) with its own database. Ours and reladiff look for the same three planted
differences, and the run fails if either misses one. The plain digest is one SHA-256 over each row's columns, summed, on both
databases at once: the least that any check by SHA-256 in SQL can cost.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from tests.benchmarks import peers
from tests.benchmarks.figures import Figure, in_turns

ROOT = Path(__file__).resolve().parents[2]
ROWS = int(os.environ.get("ROWS", "1000000"))
SETTINGS = "tests.integration.sync.settings"
TABLE, COLUMNS = "bank_account", ("id", "handle", "balance", "opened_at", "holder_id")
TARGET = 2.0  # µs a row: 500,000 rows/s
BUILD = "from tests.integration.sync import estate, servers; estate.build('default', [servers.PARTITIONED])"
INSTALL = "from strangler.sync import install; install.{}('bank')"
HOLDERS = """
INSERT INTO people_person (id, email, password, note) SELECT n, n || '@example.com', '', '' FROM generate_series(1, 999) AS n
"""
FILL = f"""
INSERT INTO {TABLE} (id, handle, balance, opened_at, holder_id)
SELECT n, 'account-' || n, (n::bigint * 7919 % 10000000) / 100.0,
       timestamptz '2026-01-01 00:00:00.000001+00' + n * interval '3.141592 seconds', nullif(n % 1000, 0)
FROM generate_series(1, {ROWS}) AS n
"""
PLANT = (
    f"UPDATE {TABLE} SET balance = balance + 0.01 WHERE id = {ROWS // 3}",
    f"DELETE FROM {TABLE} WHERE id = {ROWS // 2}",
    f"INSERT INTO {TABLE} (id, handle, balance, opened_at) VALUES ({ROWS + 9}, 'stray', 1, now())",
)
PLANTED = {(str(ROWS // 3), "different"), (str(ROWS // 2), "missing"), (str(ROWS + 9), "extra")}
HASHED = f"sha256(convert_to(concat_ws('|', {', '.join(COLUMNS)}), 'UTF8'))"
PLAIN = f"SELECT count(*), sum(('x' || left(encode({HASHED}, 'hex'), 16))::bit(64)::bigint) FROM {TABLE}"
RELADIFF = f"""
import json, sys, time
from reladiff import connect_to_table, diff_tables
databases = json.load(sys.stdin)
threads = {os.cpu_count() or 1}
tables = [connect_to_table(url, "{TABLE}", "id", thread_count=threads) for url in databases]
began = time.perf_counter()
found = list(diff_tables(*tables, extra_columns={COLUMNS[1:]!r}))
print(json.dumps([time.perf_counter() - began, [[sign, str(row[0])] for sign, row in found]]))
"""


def measure() -> list[Figure]:
    """Microseconds a row, medians; lower is better."""
    peers.install()
    with tempfile.TemporaryDirectory(prefix="strangler-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = Postgres(directory, Ports.free().postgres)
        server.start()
        try:
            urls = [server.ensure_database("monolith"), server.ensure_database("service")]
            _fill(*urls)
            with _service(urls[1]) as service:
                runs = {"ours": lambda: _ours(service), "reladiff": lambda: _reladiff(urls), "plain": lambda: _plain(urls)}
                _set_up_django(urls[0])
                spent: dict[str, list[float]] = {name: [] for name in runs}
                found = in_turns({name: _counted(run, server, spent[name]) for name, run in runs.items()})
        finally:
            server.stop()
            server.discard()
    ours = found["ours"]
    return [
        Figure("full check", ours, "500,000 rows/s", TARGET, "µs a row", 1.0),
        Figure("full check", ours, "reladiff", found["reladiff"], "µs a row", 1.0),
        Figure("full check", ours, "plain SHA-256, both sides at once", found["plain"], "µs a row"),
        *(
            Figure("databases' CPU", statistics.median(spent["ours"]), peer, statistics.median(spent[peer]), "µs a row")
            for peer in ("reladiff", "plain")
        ),
    ]


def _counted(run: Callable[[], float], server: Postgres, spent: list[float]) -> Callable[[], float]:
    """Notes also what the run costs the databases, whatever else the machine does: CPU µs a row, both sides together."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))

    def cpu() -> float:
        ended = postmaster.cpu_times()
        living = [each.cpu_times() for each in postmaster.children()]
        return sum(times.user + times.system for times in living) + ended.children_user + ended.children_system

    def counted() -> float:
        before = cpu()
        took = run()
        spent.append((cpu() - before) / ROWS * 1e6)
        return took

    return counted


def _fill(source: str, destination: str) -> None:
    for url, side, install in ((source, "monolith", "install"), (destination, "service", "install_replica")):
        env = _environment(url, side)
        for command in (["migrate", "-v0"], ["shell", "-v0", "-c", BUILD], ["shell", "-v0", "-c", INSTALL.format(install)]):
            subprocess.run([sys.executable, "-W", "ignore", "-m", "django", *command], cwd=ROOT, env=env, check=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET strangler.origin = 'bank'")
            connection.execute(HOLDERS)
            connection.execute(FILL)
            for statement in PLANT if side == "service" else ():
                connection.execute(statement)
            connection.execute("TRUNCATE strangler_outbox")
            connection.execute("VACUUM ANALYZE")


def _environment(url: str, side: str) -> dict[str, str]:
    said = {"DATABASE_URL": url, "SYNC_SIDE": side, "SYNC_CONTEXT": "bank", "PYTHONPATH": str(ROOT)}
    return os.environ | said | {"DJANGO_SETTINGS_MODULE": SETTINGS}


def _set_up_django(url: str) -> None:
    os.environ.update(_environment(url, "monolith"))
    import django

    django.setup()


@contextmanager
def _service(url: str) -> Iterator[str]:
    port = Ports.free().postgres
    command = [sys.executable, "-m", "gunicorn", "tests.integration.sync.service:application", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "75", "--log-level", "error"]
    process = subprocess.Popen(command, cwd=ROOT, env=_environment(url, "service"))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _ours(service: str) -> float:
    from strangler.sync import drift
    from strangler.sync.client import ServiceClient

    client = ServiceClient("bank", url=service)
    _await(client)
    began = time.perf_counter()
    report = drift.check("bank", ["bank.Account"], client=client, remember=False)
    took = time.perf_counter() - began
    found = {(key, kind) for _, key, kind in report.differing}
    if found != PLANTED:
        raise RuntimeError(f"ours found {found}, not {PLANTED}")
    return took / ROWS * 1e6


def _await(client: object) -> None:
    from strangler.errors import ServiceUnavailable

    until = time.monotonic() + 30
    while True:
        try:
            return client.ready()  # type: ignore[attr-defined,no-any-return]
        except ServiceUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _reladiff(urls: list[str]) -> float:
    python = str(peers.VENV / "bin" / "python")
    done = subprocess.run(
        [python, "-c", RELADIFF],
        input=json.dumps([url.replace("postgres:", "postgresql:", 1) for url in urls]),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    took, found = json.loads(done.stdout.splitlines()[-1])
    signs: dict[str, str] = {}
    for sign, key in found:
        signs[key] = signs.get(key, "") + sign
    kinds = {"-": "missing", "+": "extra"}
    if {(key, kinds.get(sign, "different")) for key, sign in signs.items()} != PLANTED:
        raise RuntimeError(f"reladiff found {found}")
    return float(took) / ROWS * 1e6


def _plain(urls: list[str]) -> float:
    def digest(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(PLAIN)

    threads = [threading.Thread(target=digest, args=[url]) for url in urls]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - began) / ROWS * 1e6
