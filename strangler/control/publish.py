"""The route table: compiled from what is declared and where each context stands, numbered, stored, and handed to the proxies.

The newest ``RouteTableVersion`` in the database is the truth; Redis only carries it (P21). Redis takes a table only if it is
newer than the one it has, so a publisher that was delayed changes nothing. Where Redis knows a newer table than the database
(a database restored from a backup) the next one gets a higher generation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from strangler import conf
from strangler.control import chain
from strangler.control.errors import RedisUnavailable
from strangler.control.followers import Follower, Proxies, Workers, connect, reachable
from strangler.control.ledger import DatabaseLedger, open_operation
from strangler.control.models import Migration, RouteTableVersion
from strangler.control.saga import Running
from strangler.domain.channels import TABLE
from strangler.domain.estate import Context, Estate, Route
from strangler.domain.stages import Position, Side, Stage
from strangler.sync.models import Ownership

# KEYS: the table. ARGV: its text, generation, version. Answers 1 if it was taken.
PUT_NEWER = """
local known = redis.call('GET', KEYS[1])
if known then
  local table = cjson.decode(known)
  local generation, version = tonumber(ARGV[2]), tonumber(ARGV[3])
  if table.generation > generation or (table.generation == generation and table.version > version) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[1], ARGV[2] .. '.' .. ARGV[3])
return 1
"""
NUMBERING = "SELECT pg_advisory_xact_lock(hashtextextended('strangler:route-table', 0))"


def _alias() -> str:
    return str(conf.setting("DATABASE"))


# ---- compile ------------------------------------------------------------------------------------------------------


def _match(route: Route) -> dict[str, Any]:
    kind = "path" if route.path else "pattern" if route.pattern else "prefix"
    return {"methods": list(route.methods), kind: getattr(route, kind)}


def _limit(route: Route) -> dict[str, Any]:
    return {"limit": route.limit.to_json()} if route.limit else {}


def _context(
    context: Context, estate: Estate, migration: Migration | None, owned: Ownership | None, parked: Any
) -> dict[str, Any]:
    return {
        "stage": migration.stage if migration else str(Stage.MONOLITH),
        "percent": migration.percent if migration else 0,
        "salt": migration.salt if migration else context.name,
        "sticky": context.sticky,
        "identity": context.identity,
        "epoch": owned.epoch if owned else 0,
        "owner": owned.owner if owned else str(Side.MONOLITH),
        "targets": {"monolith": list(estate.monolith_urls), "service": list(context.service_urls)},
        "streams": {
            "mirror": context.mirror_stream,
            "copies": context.copies_stream if context.read_copies else None,
            "reverse": context.reverse_stream,
        },
        "shadow": {"share": context.shadow_share, "noise": context.shadow_noise},
        "health": context.health,
        "hold": parked.get("hold"),
        "pause": parked.get("pause"),
    }


def _site() -> dict[str, Any]:
    """What the edge has to know of this project's browsers; see ``domain.site``."""
    return {
        "session_cookie": settings.SESSION_COOKIE_NAME,
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "csrf_header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").lower(),
        "trusted_origins": list(settings.CSRF_TRUSTED_ORIGINS),
    }


def body(estate: Estate, parked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The snapshot without its number, as the database stands in this transaction.

    ``parked``: context → what waits there, ``hold`` (writes, at the proxies) or ``pause`` (tasks, at the workers).
    """
    migrations = {row.context: row for row in Migration.objects.using(_alias()).all()}
    owned = {row.context: row for row in Ownership.objects.using(_alias()).all()}
    contexts = estate.contexts.values()
    return {
        "default": {"targets": list(estate.monolith_urls), "health": estate.health},
        "site": _site(),
        "contexts": {
            context.name: _context(
                context, estate, migrations.get(context.name), owned.get(context.name), (parked or {}).get(context.name, {})
            )
            for context in contexts
        },
        "routes": [
            {"match": _match(route), "access": route.access, "csrf": route.csrf, "context": context.name, **_limit(route)}
            for context in contexts
            for route in context.routes
        ],
        "also": [
            {"match": {"methods": [], "prefix": prefix}, "context": context.name}
            for context in contexts
            for prefix in context.also_written_by
        ],
    }


# ---- store and send -----------------------------------------------------------------------------------------------


def newest() -> RouteTableVersion | None:
    return RouteTableVersion.objects.using(_alias()).order_by("-generation", "-version").first()


def number_of_newest() -> tuple[int, int]:
    numbers = RouteTableVersion.objects.using(_alias()).order_by("-generation", "-version")
    return numbers.values_list("generation", "version").first() or (0, 0)


def known(client: redis.Redis) -> tuple[int, int]:
    """The newest number that Redis or a live proxy has: a table below it would be ignored by them (P21)."""
    return max([carried(client), *(proxy.table for proxy in Proxies(client).live())])


def carried(client: redis.Redis) -> tuple[int, int]:
    """What Redis has now; (0, 0) for nothing, or for rubbish."""
    try:
        said = carried_snapshot(client)
        return int(said["generation"]), int(said["version"])
    except (ValueError, KeyError, TypeError):
        return (0, 0)


def carried_snapshot(client: redis.Redis) -> dict[str, Any]:
    """The table in Redis as it is; empty for nothing, or for rubbish."""
    with reachable():
        raw = client.get(TABLE)
    try:
        said = json.loads(raw) if raw else {}  # type: ignore[arg-type]
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def store(snapshot: Mapping[str, Any], above: tuple[int, int] = (0, 0)) -> RouteTableVersion:
    """Numbers and keeps a table; to be called in a transaction. ``above``: what is ``known``.

    It remembers the newest receipt: so a chain that is cut off later, or made anew, is found out (``audit``).
    """
    with connections[_alias()].cursor() as cursor:
        cursor.execute(NUMBERING)
    generation, version = number_of_newest()
    generation = generation or 1
    if above > (generation, version):
        generation = above[0] + 1
    number = {"generation": generation, "version": version + 1}
    head = chain.head(_alias())
    receipts = {"receipts": {"id": head.id, "hash": head.hash}} if head.id else {}
    return RouteTableVersion.objects.using(_alias()).create(**number, snapshot={**number, **receipts, **snapshot})


def send(client: redis.Redis, table: RouteTableVersion) -> bool:
    """Hands the table to Redis unless it has a newer one. Gives whether it was taken."""
    text = json.dumps(table.snapshot, separators=(",", ":"))
    with reachable():
        return bool(client.eval(PUT_NEWER, 1, TABLE, text, table.generation, table.version))


def publish_current() -> RouteTableVersion:
    """A new table from what is declared and where each context stands; for a first start and a changed ``strangler.toml``."""
    client = connect()
    try:
        above = known(client)
        with transaction.atomic(using=_alias()):
            table = store(body(conf.estate()), above)
        send(client, table)
        return table
    finally:
        client.close()


def redeclare() -> bool:
    """A new table if ``strangler.toml`` says other than the newest one. Gives whether; an open operation publishes its own."""
    table = newest()
    if table is None or open_operation():
        return False
    said = {name: value for name, value in table.snapshot.items() if name not in ("generation", "version", "receipts")}
    if said == body(conf.estate()):
        return False
    publish_current()
    return True


def republish() -> bool:
    """Gives Redis the newest table if it lost it or has an older one; makes the first one. Gives whether it had to."""
    client = connect()
    try:
        table = newest()
        if table is None:
            publish_current()
            return True
        has = carried(client)
        if has >= (table.generation, table.version):
            return False
        return send(client, table)
    finally:
        client.close()


@dataclass
class ProxyPlane:
    """``handover.Plane`` over Redis."""

    ledger: DatabaseLedger
    estate: Estate = field(default_factory=conf.estate)
    proxies: Proxies = field(default_factory=Proxies)
    workers: Workers = field(default_factory=Workers)
    _published: tuple[int, int] | None = None  # the newest table, if it is ours

    def publish(self, running: Running, position: Position, *, hold_ms: int = 0, pause_ms: int = 0) -> dict[str, Any]:
        """Writes stage and table in one transaction that holds the operation's token, then tells Redis."""
        unreachable: RedisUnavailable | None = None
        above = (0, 0)
        try:
            self.proxies.open()
            above = known(self.proxies.client)
        except RedisUnavailable as error:
            unreachable = error  # stored all the same: the tick hands it on as soon as Redis is back
        with self.ledger.guard(running):
            _stand(running.context, position)
            asked = {"hold": hold_ms, "pause": pause_ms}
            parked = {what: {"operation": running.id, "for_ms": for_ms} for what, for_ms in asked.items() if for_ms}
            table = store(body(self.estate, {running.context: parked}), above)
        self._published = (table.generation, table.version)
        if unreachable:
            raise unreachable
        send(self.proxies.client, table)
        return {"table": list(self._published)}

    def held(self, running: Running, *, timeout_s: float) -> None:
        self.proxies.wait(self._drained(running), timeout_s=timeout_s, what="the hold with no older write in flight", least=1)

    def paused(self, running: Running, *, timeout_s: float) -> None:
        what = f"the pause with no task of {running.context} running"
        self.workers.wait(self._drained(running), timeout_s=timeout_s, what=what)

    def _drained(self, running: Running) -> Callable[[Follower], bool]:
        wanted = self._wanted()
        return lambda one: one.table >= wanted and one.drained(running.context, running.id)

    def converged(self, *, timeout_s: float) -> dict[str, str]:
        wanted = self._wanted()
        live = self.proxies.wait(
            lambda proxy: proxy.table >= wanted, timeout_s=timeout_s, what=f"route table {wanted[0]}.{wanted[1]}"
        )
        return {proxy.id: f"{proxy.table[0]}.{proxy.table[1]}" for proxy in live}

    def close(self) -> None:
        self.proxies.close()
        self.workers.close()

    def _wanted(self) -> tuple[int, int]:
        return self._published or number_of_newest()


def _stand(context: str, position: Position) -> None:
    """Where the context stands from this table on."""
    Migration.objects.using(_alias()).filter(context=context).exclude(stage=str(position.stage), percent=position.percent).update(
        stage=str(position.stage), percent=position.percent, since=timezone.now()
    )


def behind(live: list[Follower]) -> dict[str, str]:
    """The live proxies that don't have the newest table: id → what they have."""
    wanted = number_of_newest()
    return {proxy.id: f"{proxy.table[0]}.{proxy.table[1]}" for proxy in live if proxy.table < wanted}
