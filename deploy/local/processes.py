"""The table of processes: the one place that knows what runs in the estate, how, with which environment and after what."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from deploy.local.child import Process
from deploy.local.errors import CannotStart
from deploy.local.keyring import Keyring, signing_key
from deploy.local.ports import HOST, Ports
from deploy.local.readiness import Answers, Says

ROOT = Path(__file__).resolve().parents[2]
SERVICE_DIR = ROOT / "extracted" / "payments-django"
REPLACEABLE = (
    "DATABASE_URL",
    "PAYMENTS_DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "EMAIL_URL",
    "SECRET_KEY",
    "STRANGLER_SERVICE_TOKEN",
)
OURS = (
    *REPLACEABLE,
    "DJANGO_SETTINGS_MODULE",
    "JWT_PRIVATE_KEY",
    "JWT_PRIVATE_KEY_FILE",
    "STRANGLER_ESTATE",
    "CACHE_URL",
    "SITE_URL",
    "PYTHONPATH",
)
# As root Celery warns at length; the estate on a developer's machine or in a container is meant to run so.
CELERY = ("-W", "ignore:You're running the worker with superuser privileges", "-m", "celery", "--no-color", "-A")
UNITS = ("monolith", "payments")


@dataclass(frozen=True)
class Place:
    """Where this estate lives. ``given`` holds the user's own URLs and secrets (``REPLACEABLE``), which win over ours."""

    state_dir: Path
    ports: Ports
    given: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def keyring(self) -> Keyring:
        return Keyring.open(self.state_dir)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports.proxy}"

    @property
    def embeds_postgres(self) -> bool:
        """Whether PostgreSQL is ours. Raises ``CannotStart`` when only one of the two databases is given."""
        given = [name for name in ("DATABASE_URL", "PAYMENTS_DATABASE_URL") if self.given.get(name)]
        if len(given) == 1:
            missing = "PAYMENTS_DATABASE_URL" if given == ["DATABASE_URL"] else "DATABASE_URL"
            raise CannotStart(f"{given[0]} is set and {missing} is not; each unit has a database of its own, so set both or none")
        return not given

    @property
    def embeds_valkey(self) -> bool:
        return not self.given.get("REDIS_URL")

    def database_url(self, unit: str) -> str:
        """The database of ``monolith`` or ``payments``."""
        variable, name = {"monolith": ("DATABASE_URL", "shop"), "payments": ("PAYMENTS_DATABASE_URL", "payments")}[unit]
        ours = f"postgres://{name}:{self.keyring.password(name)}@{HOST}:{self.ports.postgres}/{name}"
        return self.given.get(variable) or ours

    def redis_url(self, database: int = 0) -> str:
        """Database 0 is the product's channel, 1 cache and sessions, 2 the broker."""
        given = self.given.get("REDIS_URL")
        if not given:
            return f"redis://:{self.keyring.password('valkey')}@{HOST}:{self.ports.valkey}/{database}"
        return given if database == 0 else urlunsplit(urlsplit(given)._replace(path=f"/{database}"))


def settings(place: Place, unit: str) -> dict[str, str]:
    """What a unit's settings read from the environment, and nothing else of it."""
    keyring = place.keyring
    shared = {
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "CELERY_BROKER_URL": place.given.get("CELERY_BROKER_URL") or place.redis_url(2),
        "DATABASE_URL": place.database_url(unit),
        "JWT_PRIVATE_KEY_FILE": str(signing_key(place.state_dir)),
        "EMAIL_URL": place.given.get("EMAIL_URL") or f"filemail://{place.state_dir}/mail",
        "REDIS_URL": place.redis_url(),
        "SITE_URL": place.url,
        "SECRET_KEY": place.given.get("SECRET_KEY") or keyring.secret_key,
        "STRANGLER_ESTATE": str(estate_file(place)),
        "STRANGLER_SERVICE_TOKEN": place.given.get("STRANGLER_SERVICE_TOKEN") or keyring.service_token,
    }
    if unit == "monolith":
        return {**shared, "DJANGO_SETTINGS_MODULE": "monolith.settings"}
    return {**shared, "DJANGO_SETTINGS_MODULE": "payments_service.settings"}


def environment(place: Place, unit: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a unit's processes: what ``inherited`` has, but every setting of ours from the table."""
    kept = {name: value for name, value in inherited.items() if name not in OURS}
    paths = [ROOT, ROOT / "proxy"] if unit == "monolith" else [SERVICE_DIR, ROOT, ROOT / "proxy"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    python = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONUNBUFFERED": "1"}
    return {**kept, **settings(place, unit), **python, "PATH": path}


def estate_file(place: Place) -> Path:
    """``strangler.toml``, or where the ports differ a copy of it that names them."""
    declared, default = ROOT / "strangler.toml", Ports()
    text = original = declared.read_text(encoding="utf-8")
    for name in UNITS:
        text = text.replace(f"http://{HOST}:{getattr(default, name)}", f"http://{HOST}:{getattr(place.ports, name)}")
    if text == original:
        return declared
    copy = place.state_dir / "strangler.toml"
    if not copy.exists() or copy.read_text(encoding="utf-8") != text:
        copy.write_text(text, encoding="utf-8")
    return copy


def applications(place: Place, inherited: Mapping[str, str]) -> tuple[Process, ...]:
    """Everything but the servers, whose rows ``Postgres.prepare`` and ``Valkey.prepare`` give."""
    python, ports, state = sys.executable, place.ports, place.state_dir
    monolith, payments = (environment(place, unit, inherited) for unit in UNITS)
    return (
        Process(
            name="monolith",
            argv=_gunicorn(python, "monolith", ports.monolith, workers=4),
            env=monolith,
            cwd=ROOT,
            what="the shop, all five contexts",
            port=ports.monolith,
            ready=Answers(f"http://{HOST}:{ports.monolith}/_strangler/readyz"),
        ),
        Process(
            name="payments",
            argv=_gunicorn(python, "payments_service", ports.payments, workers=2),
            env=payments,
            cwd=SERVICE_DIR,
            what="payments, lifted out of the shop",
            port=ports.payments,
            ready=Answers(f"http://{HOST}:{ports.payments}/_strangler/readyz"),
        ),
        Process(
            name="worker",
            argv=_worker(python, "monolith", queues=("monolith", "strangler"), threads=6),
            env=monolith,
            cwd=ROOT,
            what="tasks",
            queues=("monolith", "strangler"),
            ready=Says(" ready."),
        ),
        Process(
            name="payments-worker",
            argv=_worker(python, "payments_service", queues=("payments",), threads=2),
            env=payments,
            cwd=SERVICE_DIR,
            what="tasks",
            queues=("payments",),
            ready=Says(" ready."),
        ),
        Process(
            name="beat",
            argv=(python, *CELERY, "monolith.celery", "beat", "--schedule", str(state / "beat"), "--pidfile", ""),
            env=monolith,
            cwd=ROOT,
            what="the clock: a tick a second",
            ready=Says("is starting."),
        ),
        Process(
            name="proxy",
            argv=(
                python, "-m", "strangler_proxy",
                "--listen", f"{HOST}:{ports.proxy}", "--operator", f"{HOST}:{ports.operator}",
                "--table", str(first_table(place)), "--redis", place.redis_url(),
            ),
            env=monolith,
            cwd=ROOT,
            what=f"the way in; operators at :{ports.operator}",
            port=ports.proxy,
            needs=("monolith",),
            ready=Answers(f"http://{HOST}:{ports.operator}/readyz"),
        ),
    )  # fmt: skip


def _gunicorn(python: str, app: str, port: int, *, workers: int) -> tuple[str, ...]:
    """Few threads a process: threads that share an interpreter wait for each other after every query."""
    threads = ("--worker-class", "gthread", "--threads", "4", "--keep-alive", "75")
    options = ("--workers", str(workers), *threads, "--preload", "--graceful-timeout", "3", "--no-control-socket")
    return (python, "-m", "gunicorn", *options, "--bind", f"{HOST}:{port}", f"{app}.wsgi:application")


def _worker(python: str, app: str, *, queues: tuple[str, ...], threads: int) -> tuple[str, ...]:
    options = ("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--pool", "threads", "--concurrency", str(threads))
    return (
        python,
        *CELERY,
        f"{app}.celery",
        "--quiet",
        "worker",
        *options,
        "--queues",
        ",".join(queues),
        "--hostname",
        f"{queues[0]}@%h",
    )


def first_table(place: Place) -> Path:
    """The proxy's last good route table; before there was one, a table that sends everything to the monolith."""
    path = place.state_dir / "proxy-table.json"
    if not path.exists():
        default = {"targets": [f"http://{HOST}:{place.ports.monolith}"]}
        table = {"generation": 0, "version": 0, "default": default, "contexts": {}, "routes": [], "also": []}
        path.write_text(json.dumps(table) + "\n")
    return path


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
