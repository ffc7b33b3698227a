"""What must be in the databases before the shop can open: migrations, and sample data in an empty shop.

Each step leaves a stamp in ``setup.json``; a second start skips what has not changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import redis

from deploy.local.errors import CannotStart
from deploy.local.keyring import write_private
from deploy.local.place import ROOT, SERVICE, UNITS, Place, environment
from strangler.domain.channels import TABLE

# The commands of ``manage.py`` that bring a unit's database up to date. Each may run twice.
MIGRATING = {
    "monolith": (("migrate", "--noinput", "--verbosity", "0"),),
    "payments": (("migrate", "--noinput", "--verbosity", "0"), ("replica_install",)),
}
# What each unit's database is made from; the service's also from the code that installs capture and fence, and from the estate.
SOURCES = {
    "monolith": ("strangler/**/migrations/*.py", "monolith/**/migrations/*.py"),
    "payments": (
        "strangler/**/migrations/*.py",
        "monolith/**/migrations/*.py",
        f"{SERVICE}/**/migrations/*.py",
        "strangler/sync/*.py",
        "strangler.toml",
    ),
}


def ensure_answers(place: Place) -> None:
    """Raises ``CannotStart`` naming the server of the user's own that doesn't answer."""
    if not place.embeds_postgres:
        for variable, unit in (("DATABASE_URL", "monolith"), ("PAYMENTS_DATABASE_URL", "payments")):
            try:
                connect(place.database_url(unit)).close()
            except psycopg.Error as error:
                reason = str(error).strip().splitlines()[-1]
                raise CannotStart(_silent(f"the database of {variable}", reason, variable)) from None
    if not place.embeds_valkey:
        try:
            redis.Redis.from_url(place.redis_url(), socket_connect_timeout=3, socket_timeout=3).ping()
        except (redis.RedisError, ValueError) as error:
            raise CannotStart(_silent("the server of REDIS_URL", str(error), "REDIS_URL")) from None


def _silent(what: str, reason: str, variable: str) -> str:
    return f"{what} doesn't answer ({reason}); start it, or unset {variable} to use the embedded one"


def set_up(place: Place, *, scale: int, say: Callable[[str], None]) -> None:
    """Migrate both units and fill an empty shop. Raises ``CannotStart`` with what the failed command said."""
    (ROOT / ".run" / "static").mkdir(parents=True, exist_ok=True)  # WhiteNoise warns without it; it serves from the apps
    with ThreadPoolExecutor(len(UNITS)) as pool:
        for unit, stamp in zip(UNITS, pool.map(lambda unit: _migrate(place, unit, say), UNITS), strict=True):
            _stamp(place, unit, stamp)
    if scale and _is_empty(place):
        say(f"filling the shop with sample data (scale {scale}) …")
        run(place, "monolith", "seed", "--scale", str(scale))
    _forget_old_addresses(place)


def run(place: Place, unit: str, *words: str) -> str:
    """``manage.py WORDS`` of a unit; gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "django", *words],
        cwd=ROOT, env=environment(place, unit, os.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise CannotStart(f"`manage.py {' '.join(words)}` of {unit} ended with {done.returncode}; it said:\n{said}")
    return done.stdout


def connect(url: str) -> psycopg.Connection:
    """A connection by a django-environ URL (``postgres://``, ``psql://``, ``postgresql://``)."""
    return psycopg.connect("postgresql://" + url.split("://", 1)[-1], connect_timeout=3, autocommit=True)


def _migrate(place: Place, unit: str, say: Callable[[str], None]) -> list[object]:
    """Gives the stamp of the state reached."""
    files = _fingerprint(SOURCES[unit])
    if _stamps(place).get(unit) != [files, *_applied(place, unit)]:
        say(f"migrating the database of {unit} …")
        for words in MIGRATING[unit]:
            run(place, unit, *words)
    return [files, *_applied(place, unit)]


def _fingerprint(patterns: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _applied(place: Place, unit: str) -> tuple[int, int]:
    """How many migrations the database itself says it has; another or an emptied database says something else."""
    with connect(place.database_url(unit)) as connection:
        try:
            row = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM django_migrations").fetchone()
        except psycopg.errors.UndefinedTable:
            return (0, 0)
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _is_empty(place: Place) -> bool:
    with connect(place.database_url("monolith")) as connection:
        row = connection.execute("SELECT NOT EXISTS (SELECT FROM users_user)").fetchone()
    return bool(row and row[0])


def _forget_old_addresses(place: Place) -> None:
    """A published route table names ports. After they changed it is dropped; the next tick publishes it anew."""
    ports: list[object] = [place.ports.monolith, place.ports.payments]
    if _stamps(place).get("ports", ports) != ports:
        client = redis.Redis.from_url(place.redis_url(), socket_connect_timeout=3, socket_timeout=3)
        client.delete(TABLE)
        client.close()
        (place.state_dir / "proxy-table.json").unlink(missing_ok=True)
    _stamp(place, "ports", ports)


def _stamp_file(place: Place) -> Path:
    return place.state_dir / "setup.json"


def _stamps(place: Place) -> dict[str, list[object]]:
    path = _stamp_file(place)
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _stamp(place: Place, name: str, value: list[object]) -> None:
    write_private(_stamp_file(place), json.dumps({**_stamps(place), name: value}) + "\n")
