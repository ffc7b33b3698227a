"""The table of processes: the one place that knows what runs in the estate, how, with which environment and after what.

`make up` executes it; the containers of `docker-compose.yml` are made from it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from deploy.local.child import Process
from deploy.local.place import SERVICE, Place, environment
from deploy.local.readiness import Answers, Says
from strangler.sync import mail

# As root Celery warns at length; the estate on a developer's machine or in a container is meant to run so.
CELERY = ("-W", "ignore:You're running the worker with superuser privileges", "-m", "celery", "--no-color", "-A")

PAYMENTS_CHANGES = mail.queue_of("payments")  # what `transport = "celery"` sends; empty with `http`

# The application has four processes: what waits for one of them waits in the proxy, where a hand-over can still park it. And on a
# small machine that does everything at once the reverse mirror may be late: better an answer that is late than one that is old.
PROXY_LIMITS = ("--limit", "connections-per-target=4", "--limit", "freshness=1s")


def applications(place: Place, inherited: Mapping[str, str]) -> tuple[Process, ...]:
    """Everything but the servers, whose rows ``Postgres.prepare`` and ``Valkey.prepare`` give."""
    python, ports, listen = place.python, place.ports, place.listen
    monolith, payments, proxy = (environment(place, unit, inherited) for unit in ("monolith", "payments", "proxy"))
    root, service = place.root, place.root / SERVICE
    shop_is_up = Answers(f"http://127.0.0.1:{ports.monolith}/_strangler/readyz")
    payments_is_up = Answers(f"http://127.0.0.1:{ports.payments}/_strangler/readyz")
    proxy_is_up = Answers(f"http://127.0.0.1:{ports.operator}/readyz")
    return (
        Process(
            name="monolith",
            unit="monolith",
            argv=gunicorn(place, "monolith", ports.monolith, workers=4),
            env=monolith,
            cwd=root,
            what="the shop, all five contexts",
            port=ports.monolith,
            ready=shop_is_up,
            health=shop_is_up.as_command(python),
        ),
        Process(
            name="payments",
            unit="payments",
            argv=gunicorn(place, "payments_service", ports.payments, workers=2),
            env=payments,
            cwd=service,
            what="payments, lifted out of the shop",
            port=ports.payments,
            ready=payments_is_up,
            health=payments_is_up.as_command(python),
        ),
        Process(
            name="worker",
            unit="monolith",
            argv=worker(python, "monolith", queues=("monolith", "strangler"), threads=6),
            env=monolith,
            cwd=root,
            what="tasks",
            queues=("monolith", "strangler"),
            ready=Says(" ready."),
            health=_answers_to_ping(python, "monolith"),
        ),
        Process(
            name="payments-worker",
            unit="payments",
            argv=worker(python, "payments_service", queues=("payments", PAYMENTS_CHANGES), threads=2),
            env=payments,
            cwd=service,
            what="tasks",
            queues=("payments", PAYMENTS_CHANGES),
            ready=Says(" ready."),
            health=_answers_to_ping(python, "payments"),
        ),
        Process(
            name="beat",
            unit="monolith",
            argv=(python, *CELERY, "monolith.celery", "beat", "--schedule", str(place.state_dir / "beat"), "--pidfile", ""),
            env=monolith,
            cwd=root,
            what="the clock: a tick a second",
            ready=Says("is starting."),
            health=_writes_its_schedule(place),
        ),
        Process(
            name="proxy",
            unit="proxy",
            argv=(
                python, "-m", "strangler_proxy",
                "--listen", f"{listen}:{ports.proxy}", "--operator", f"{listen}:{ports.operator}",
                "--table", str(place.first_table()), *PROXY_LIMITS,
            ),
            env=proxy,
            cwd=root,
            what=f"the way in; operators at :{ports.operator}",
            port=ports.proxy,
            needs=("monolith",),
            ready=proxy_is_up,
            health=proxy_is_up.as_command(python),
        ),
    )  # fmt: skip


def gunicorn(place: Place, app: str, port: int, *, workers: int) -> tuple[str, ...]:
    """Few threads a process: threads that share an interpreter wait for each other after every query."""
    threads = ("--worker-class", "gthread", "--threads", "4", "--keep-alive", "75")
    options = ("--workers", str(workers), *threads, "--preload", "--graceful-timeout", "3", "--no-control-socket")
    return (place.python, "-m", "gunicorn", *options, "--bind", f"{place.listen}:{port}", f"{app}.wsgi:application")


def worker(python: str, app: str, *, queues: tuple[str, ...], threads: int) -> tuple[str, ...]:
    options = ("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--pool", "threads", "--concurrency", str(threads))
    where = ("--queues", ",".join(queues), "--hostname", f"{queues[0]}@%h")
    return (python, *CELERY, f"{app}.celery", "--quiet", "worker", *options, *where)


def _answers_to_ping(python: str, node: str) -> tuple[str, ...]:
    """A worker hears and answers through its broker. ``%h`` of its name is what ``hostname`` prints."""
    app = {"monolith": "monolith.celery", "payments": "payments_service.celery"}[node]
    return ("sh", "-c", f'{shlex.quote(python)} -m celery -A {app} inspect ping --timeout 5 --destination "{node}@$(hostname)"')


def _writes_its_schedule(place: Place) -> tuple[str, ...]:
    """Beat notes every 3 minutes what it sent last."""
    return ("sh", "-c", f"find {shlex.quote(str(place.state_dir))} -maxdepth 1 -name 'beat*' -mmin -10 | grep -q .")


def waves(processes: Iterable[Process]) -> list[list[Process]]:
    """The order of start: each wave needs only what earlier ones hold. The order of stopping is the reverse.

    Raises ``ValueError`` for a need that nobody meets.
    """
    waiting, ready, order = list(processes), set[str](), []
    while waiting:
        wave = [process for process in waiting if ready.issuperset(process.needs)]
        if not wave:
            raise ValueError(f"nothing meets the needs of {', '.join(process.name for process in waiting)}")
        order.append(wave)
        ready.update(process.name for process in wave)
        waiting = [process for process in waiting if process not in wave]
    return order
