"""`make up`: the estate in the foreground until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from rich import box
from rich.console import Console
from rich.table import Table

from deploy.local.errors import CannotStart, Misconfigured
from deploy.local.place import REPLACEABLE
from deploy.local.ports import HOST, Ports
from deploy.local.supervisor import STATE_DIR, Estate
from monolith.users.sample import PASSWORD, STAFF, email

VARIABLES = """\
environment: PROXY_PORT, MONOLITH_PORT, PAYMENTS_PORT, OPERATOR_PORT, POSTGRES_PORT, VALKEY_PORT move a listener;
DATABASE_URL with PAYMENTS_DATABASE_URL, REDIS_URL, CELERY_BROKER_URL name servers of your own.
example: PROXY_PORT=9000 make up
"""


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make up", description=__doc__, epilog=VARIABLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    options = parser.parse_args(words)
    return run(scale=options.scale, state_dir=options.state_dir)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=int, default=1, help="sample data of an empty shop: 1 = 1,000 customers (default)")
    parser.add_argument("--state-dir", type=Path, default=STATE_DIR, help="where data, logs and secrets lie (default .run)")


def run(*, scale: int, state_dir: Path) -> int:
    """Until Ctrl-C or SIGTERM. 0 after a clean stop, 1 when it can't start, 2 for a wrong setting."""
    stopped = Event()
    try:
        estate = Estate(
            state_dir=state_dir,
            ports=Ports.from_environ(os.environ),
            given={name: os.environ[name] for name in REPLACEABLE if os.environ.get(name)},
            scale=scale,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        estate.start()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: stopped.set())
    except CannotStart as error:
        print(f"make up: {error}", file=sys.stderr)
        return 2 if isinstance(error, Misconfigured) else 1
    except KeyboardInterrupt:
        print("make up: stopped before everything was ready", file=sys.stderr)
        return 130
    try:
        describe(estate, Console(highlight=False))
        estate.supervise(stopped)
        estate.say("stopping …")
    finally:
        estate.stop()
    print(f"stopped; the data stay in {os.path.relpath(state_dir)}")
    return 0


def describe(estate: Estate, console: Console) -> None:
    """What runs where, who can log in, what to do next."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("process", "at", "pid", "what"):
        table.add_column(column, no_wrap=True)
    for child in estate.children.values():
        process = child.process
        at = f"{HOST}:{process.port}" if process.port else ""
        what = f"tasks of {', '.join(process.queues)}" if process.queues else process.what
        table.add_row(process.name, at, str(child.pid), what)
    console.print(table)
    for label, text in next_steps(estate):
        console.print(f"  [bold]{label:9}[/] {text}", soft_wrap=True)
    console.print()


def next_steps(estate: Estate) -> list[tuple[str, str]]:
    return [
        ("shop", f"{estate.url}/"),
        ("log-in", f"{email(1)} (customer) or {STAFF} (staff, {estate.url}/admin/), password {PASSWORD}"),
        ("next", ".venv/bin/strangler status   then   .venv/bin/strangler advance payments --why 'to see it move'"),
        ("logs", f"{os.path.relpath(estate.log_dir)}/NAME.log"),
        ("stop", "Ctrl-C"),
    ]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
