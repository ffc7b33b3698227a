"""A process that writes the ledger: ``python -m tests.benchmarks.sync.writer {bulk | paced} …``; ends at SIGTERM.

``bulk BACKLOG``: statements of 500 rows, inserts and updates of old rows in turns, while fewer than ``BACKLOG`` changes wait to
be acknowledged. ``paced RATE CONNECTIONS FILE``: single-row transactions, inserts and updates in turns, at even distances; each
write has a reference of its own, and ``FILE`` gets a line ``reference seconds`` with the time after COMMIT returned. Both ask
for a relay after each commit, as the middleware does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg

ROWS, OLD = 500, 60_000
INSERT_MANY = """
INSERT INTO ledger_entry (id, account_id, kind, amount, currency, reference, note, is_settled, due_on, created_at)
SELECT n, n %% 5000, 'transfer', (n %% 100000) / 100.0, 'EUR', gen_random_uuid(), 'invoice ' || n || ' of the month', n %% 3 = 0,
       DATE '2026-01-01' + (n %% 365)::int, now()
FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) AS n
"""
UPDATE_MANY = """
UPDATE ledger_entry SET amount = amount + 1, is_settled = NOT is_settled
WHERE id BETWEEN %(first)s::bigint AND %(first)s::bigint + %(count)s - 1
"""
INSERT_ONE = """
INSERT INTO ledger_entry (id, account_id, kind, amount, currency, reference, note, is_settled, due_on, created_at)
VALUES (%(id)s, %(id)s %% 5000, 'live', 10.50, 'EUR', %(reference)s, 'a payment in the shop', false, '2026-05-01', now())
"""
UPDATE_ONE = "UPDATE ledger_entry SET kind = 'live', amount = amount + 1, reference = %(reference)s WHERE id = %(id)s"
stopped = threading.Event()


def bulk(backlog: int) -> None:
    """Rows are updated once, when they were acknowledged long ago: no two changes are of one row and no change is saved."""
    from strangler.sync import wake

    with _connect() as connection:
        start = _relayed(connection)
        written = inserted = updated = 0
        while not stopped.is_set():
            if written - (_relayed(connection) - start) > backlog:
                stopped.wait(0.02)
                continue
            is_insert = updated + OLD > inserted or updated + ROWS > inserted // 2
            first = inserted if is_insert else updated
            connection.execute(INSERT_MANY if is_insert else UPDATE_MANY, {"first": first + 1, "count": ROWS})
            inserted, updated = inserted + ROWS * is_insert, updated + ROWS * (not is_insert)
            written += ROWS
            wake.wake("ledger")


def paced(rate: int, connections: int, first: int, path: str) -> None:
    """New rows from id ``first`` on; rows below it are updated, each once, from the middle up. Raises what one raised."""
    lines: list[list[str]] = [[] for _ in range(connections)]
    began = time.perf_counter() + 0.1
    with ThreadPoolExecutor(connections) as pool:
        paces = [
            pool.submit(_pace, rate / connections, began + n / rate, n, connections, first, lines[n]) for n in range(connections)
        ]
        for pace in paces:
            pace.result()
    with open(path, "w") as file:
        file.writelines(line for part in lines for line in part)


def _pace(rate: float, began: float, number: int, step: int, first: int, lines: list[str]) -> None:
    from strangler.sync import wake

    with _connect() as connection:
        turn = 0
        while not stopped.is_set():
            time.sleep(max(0.0, began + turn / rate - time.perf_counter()))
            id_ = number + step * turn
            statement, id_ = (
                (UPDATE_ONE, first // 2 + id_) if turn % 2 and first // 2 + id_ < first else (INSERT_ONE, first + id_)
            )
            reference = uuid.uuid4()
            connection.execute(statement, {"id": id_, "reference": reference})
            lines.append(f"{reference} {time.time():.6f}\n")
            wake.wake("ledger")
            turn += 1


def _connect() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, application_name="writer", prepare_threshold=1)


def _relayed(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT relayed FROM strangler_stream WHERE name = 'ledger'").fetchone()[0]


if __name__ == "__main__":
    import django

    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    django.setup()
    kind, *words = sys.argv[1:]
    print("ready", flush=True)
    if kind == "bulk":
        bulk(int(words[0]))
    else:
        paced(*map(int, words[:3]), words[3])
