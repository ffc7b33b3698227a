"""The estate file ``strangler.toml``, parsed and judged.

``parse`` never raises for a wrong file. It returns what it understood and a list of ``Problem``; each has a stable id, the
key, what is wrong and the fix, so that Django's system checks, the CLI and the console can show the same thing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strangler.domain import ratelimit, schedule
from strangler.domain.durations import seconds
from strangler.domain.estate import Budget, Context, Estate, Gates, Ramp, ReadCopy, Route
from strangler.domain.parity.rules import How, Rule
from strangler.domain.ratelimit import Limit
from strangler.domain.snapshot import PAGE

STICKY = ("user", "cookie", "address")
SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB)$")
BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
TRANSPORTS = ("http", "celery")
ON_FAIL = ("back", "freeze")
COPY = re.compile(r"^(?P<label>\w+\.\w+)(?:\((?P<columns>\w+(?:\s*,\s*\w+)*)\))?$")


@dataclass(frozen=True)
class Problem:
    """Something wrong in the estate file. ``id`` is stable (``strangler.E001``)."""

    id: str
    key: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message} ({self.id}). {self.hint}"


def size(text: str) -> int:
    """``"1GB"`` → 1,000,000,000. Raises ``ValueError`` naming the form it takes."""
    match = SIZE.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a size such as 500MB or 1GB")
    return int(float(match[1]) * BYTES[match[2]])


class _Reader:
    """Walks the raw TOML and collects problems instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, number: int, key: str, message: str, hint: str) -> None:
        self.problems.append(Problem(f"strangler.E{number:03}", key, message, hint))

    def table(self, raw: Mapping[str, Any], name: str, key: str) -> Mapping[str, Any]:
        value = raw.get(name, {})
        if isinstance(value, Mapping):
            return value
        self.problem(2, key, f"is {value!r}, not a table", f"Write it as [{key}].")
        return {}

    def unknown(self, raw: Mapping[str, Any], known: set[str], key: str) -> None:
        for name in sorted(set(raw) - known):
            self.problem(3, f"{key}.{name}" if key else name, "is not a known key", f"Known here: {', '.join(sorted(known))}.")

    def flag(self, raw: Mapping[str, Any], name: str, key: str, default: bool) -> bool:
        value = raw.get(name, default)
        if isinstance(value, bool):
            return value
        self.problem(19, f"{key}.{name}", f"is {value!r}", f"Write {name} = true or {name} = false.")
        return default

    def strings(self, raw: Mapping[str, Any], name: str, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = raw.get(name, list(default))
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.problem(4, f"{key}.{name}", f"is {value!r}, not a list of strings", f'Write {name} = ["…"].')
        return default

    def modules(self, raw: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
        modules = self.strings(raw, name, key)
        for module in modules:
            if not all(part.isidentifier() for part in module.split(".")):
                self.problem(20, f"{key}.{name}", f"{module!r} is not a dotted name", f'Write {name} = ["shop.payments"].')
        return modules

    def loaders(self, analysis: Mapping[str, Any]) -> dict[str, str]:
        known = self.table(analysis, "loaders", "analysis.loaders")
        for name, package in known.items():
            parts = [*name.split("."), *(package.split(".") if isinstance(package, str) and package else ())]
            if not isinstance(package, str) or not all(part.isidentifier() for part in parts):
                self.problem(20, f"analysis.loaders.{name}", f"is {package!r}", 'Write "shop.loading.get_class" = "shop.apps".')
        return {name: package for name, package in known.items() if isinstance(package, str)}

    def urls(self, raw: Mapping[str, Any], name: str, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        urls = self.strings(raw, name, key, default)
        for url in urls:
            if not re.match(r"^https?://[^/\s]+$", url):
                self.problem(
                    5, f"{key}.{name}", f"{url!r} is not an origin", 'Write scheme, host and port: "http://127.0.0.1:8105".'
                )
        return urls

    def page(self, raw: Mapping[str, Any], key: str) -> str:
        value = raw.get("health", "")
        if isinstance(value, str) and (not value or PAGE.match(value)):
            return value
        self.problem(19, f"{key}.health", f"is {value!r}, not a path", 'Write health = "/readyz", or leave it out.')
        return ""

    def number(self, raw: Mapping[str, Any], name: str, key: str, default: float, low: float, high: float) -> float:
        value = raw.get(name, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.problem(6, f"{key}.{name}", f"is {value!r}, not a number from {low:g} to {high:g}", f"The default is {default:g}.")
        return default

    def route(self, raw: Any, key: str) -> Route | None:
        if not isinstance(raw, Mapping):
            self.problem(7, key, f"is {raw!r}, not a table", 'Write { prefix = "/api/payments" }.')
            return None
        limits = {"limit", "limit_by", "limit_burst", "limit_shared"}
        self.unknown(raw, {"path", "pattern", "prefix", "access", "methods", "csrf", *limits}, key)
        matchers = [name for name in ("path", "pattern", "prefix") if name in raw]
        if len(matchers) != 1:
            self.problem(8, key, f"has {' and '.join(matchers) or 'no matcher'}", "Give exactly one of path, pattern, prefix.")
            return None
        value = raw[matchers[0]]
        if not isinstance(value, str) or not value.startswith("/"):
            self.problem(9, f"{key}.{matchers[0]}", f"is {value!r}, not a path", 'A path starts with "/".')
            return None
        access = raw.get("access", "auto")
        if access not in ("auto", "read", "write"):
            self.problem(10, f"{key}.access", f"is {access!r}", "It is auto (safe methods read, others write), read or write.")
            access = "auto"
        methods = tuple(method.upper() for method in self.strings(raw, "methods", key))
        csrf = self.flag(raw, "csrf", key, False)
        return Route(**{matchers[0]: value}, access=access, methods=methods, limit=self.limit(raw, key), csrf=csrf)

    def limit(self, route: Mapping[str, Any], key: str) -> Limit | None:
        by, shared = route.get("limit_by", "user"), route.get("limit_shared", False)
        if "limit" not in route:
            for name in ("limit_by", "limit_burst", "limit_shared"):
                if name in route:
                    self.problem(40, f"{key}.{name}", "stands without a limit", 'Write limit = "100/m" beside it.')
            return None
        try:
            rate, per_s = ratelimit.rate(str(route["limit"]))
        except ValueError as error:
            self.problem(41, f"{key}.limit", str(error), 'Write limit = "100/m"; without one nothing is limited.')
            return None
        if by not in ratelimit.BY:
            self.problem(42, f"{key}.limit_by", f"is {by!r}", f"It is one of {', '.join(ratelimit.BY)}.")
            by = "user"
        burst = route.get("limit_burst", rate)
        if isinstance(burst, bool) or not isinstance(burst, int) or not 1 <= burst <= ratelimit.MOST:
            self.problem(43, f"{key}.limit_burst", f"is {burst!r}", f"It is a whole number from 1 to {ratelimit.MOST}.")
            burst = rate
        if not isinstance(shared, bool):
            self.problem(44, f"{key}.limit_shared", f"is {shared!r}", "It is true or false.")
            shared = False
        return Limit(rate, per_s, burst, by, shared)

    def context(self, name: str, raw: Mapping[str, Any]) -> Context:
        key = f"contexts.{name}"
        known = {"apps", "routes", "also_written_by", "read_copies", "not_mirrored", "service", "receivers", "gates", "ramp"}
        known |= {"shadow", "outbox", "parity", "contract"}
        self.unknown(raw, known, key)
        apps = self.strings(raw, "apps", key)
        if not apps:
            self.problem(11, f"{key}.apps", "names no Django app", 'Write apps = ["shop.payments"].')
        listed = raw.get("routes", [])
        if not isinstance(listed, list):
            self.problem(4, f"{key}.routes", "is not a list", 'Write routes = [{ prefix = "/api/…" }].')
            listed = []
        routes = [self.route(item, f"{key}.routes[{index}]") for index, item in enumerate(listed)]
        service = self.table(raw, "service", f"{key}.service")
        self.unknown(service, {"urls", "transport", "sticky", "identity", "health"}, f"{key}.service")
        sticky = service.get("sticky", "user")
        if sticky not in STICKY:
            self.problem(12, f"{key}.service.sticky", f"is {sticky!r}", f"It is one of {', '.join(STICKY)}.")
            sticky = "user"
        transport = service.get("transport", "http")
        if transport not in TRANSPORTS:
            hint = 'It is http, or celery for a service in Python that has a worker: transport = "celery".'
            self.problem(47, f"{key}.service.transport", f"is {transport!r}", hint)
            transport = "http"
        shadow = self.table(raw, "shadow", f"{key}.shadow")
        self.unknown(shadow, {"share", "noise"}, f"{key}.shadow")
        receivers = self.table(raw, "receivers", f"{key}.receivers")
        for receiver, where in receivers.items():
            if where not in ("service", "monolith", "drop"):
                self.problem(13, f"{key}.receivers.{receiver}", f"is {where!r}", "It is service, monolith or drop.")
        return Context(
            name=name,
            apps=apps,
            contract=self.modules(raw, "contract", key),
            routes=tuple(route for route in routes if route),
            also_written_by=self.strings(raw, "also_written_by", key),
            read_copies=self.copies(raw, key),
            not_mirrored=self.strings(raw, "not_mirrored", key),
            service_urls=self.urls(service, "urls", f"{key}.service"),
            transport=transport,
            sticky=sticky,
            identity=self.flag(service, "identity", f"{key}.service", True),
            health=self.page(service, f"{key}.service"),
            shadow_share=self.number(shadow, "share", f"{key}.shadow", 0.1, 0, 1),
            shadow_noise=self.number(shadow, "noise", f"{key}.shadow", 0.1, 0, 1),
            parity=self.parity(raw, f"{key}.parity"),
            receivers=dict(receivers),
            gates=self.gates(raw, f"{key}.gates"),
            ramp=self.ramp(raw, f"{key}.ramp"),
            outbox=self.budget(raw, f"{key}.outbox"),
        )

    def parity(self, context: Mapping[str, Any], key: str) -> tuple[Rule, ...]:
        listed = context.get("parity", [])
        if not isinstance(listed, list):
            self.problem(70, key, f"is {listed!r}, not a list of rules", f"Write each as [[{key}]].")
            return ()
        rules = [self.rule(item, f"{key}[{index}]") for index, item in enumerate(listed)]
        return tuple(rule for rule in rules if rule)

    def rule(self, raw: Any, key: str) -> Rule | None:
        """One rule of comparison; half of one would let more be than was meant, so it is whole or none."""
        if not isinstance(raw, Mapping):
            self.problem(70, key, f"is {raw!r}, not a table", 'Write endpoint = "…", field = "…", how = "…", reason = "…".')
            return None
        self.unknown(raw, {"endpoint", "field", "how", "reason", "author", "expires"}, key)
        before = len(self.problems)
        for name in ("endpoint", "field", "reason", "author"):
            if not isinstance(raw.get(name), str) or not raw[name].strip():
                said = f"is {raw[name]!r}" if name in raw else "is missing"
                self.problem(71, f"{key}.{name}", said, f'Write {name} = "…"; `strangler parity proposals` shows whole rules.')
        how = raw.get("how")
        if how not in list(How):
            self.problem(72, f"{key}.how", f"is {how!r}", f"It is one of {', '.join(How)}.")
        expires = self.moment(raw.get("expires"), f"{key}.expires")
        if len(self.problems) > before:
            return None
        return Rule(raw["endpoint"], raw["field"], How(str(how)), raw["reason"], raw["author"], expires)

    def moment(self, value: Any, key: str) -> dt.datetime | None:
        """A date of TOML, at the end of which it is over, in UTC; or a moment with its offset."""
        if value is None:
            return None
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            return value
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return dt.datetime.combine(value, dt.time.max, dt.UTC)
        self.problem(73, key, f"is {value!r}, not a date", "Write expires = 2027-03-31, without quotes.")
        return None

    def copies(self, raw: Mapping[str, Any], key: str) -> tuple[ReadCopy, ...]:
        found = []
        for text in self.strings(raw, "read_copies", key):
            match = COPY.match(text)
            if match:
                columns = tuple(name.strip() for name in (match["columns"] or "").split(",") if name.strip())
                found.append(ReadCopy(match["label"], columns))
            else:
                self.problem(14, f"{key}.read_copies", f"{text!r} is not a model", 'Write "app.Model" or "app.Model(id,email)".')
        return tuple(found)

    def gates(self, context: Mapping[str, Any], key: str) -> Gates:
        raw = self.table(context, "gates", key)
        defaults = Gates()
        limits = {
            "parity": (0, 1),
            "min_samples": (0, 1e9),
            "max_error_increase": (0, 1),
            "latency_ratio": (1, 1000),
            "latency_slack_ms": (0, 1e6),
            "min_requests": (0, 1e9),
            "lag_p99_ms": (1, 1e7),
            "max_pause_ms": (1, 1e6),
            "max_drift_age_s": (1, 1e7),
            "max_task_wait_s": (0, 3600),
            "writers_days": (0, 3650),
            "retire_days": (0, 3650),
            "rehearsal_days": (0, 3650),
        }
        whole = ("min_samples", "min_requests")
        self.unknown(raw, {*limits, "window", "parity_window"}, key)
        values = {name: self.number(raw, name, key, getattr(defaults, name), *limits[name]) for name in limits}
        return Gates(
            **{name: int(value) if name in whole else value for name, value in values.items()},  # type: ignore[arg-type]
            window_s=self.window(raw, "window", key, defaults.window_s),
            parity_window_s=self.window(raw, "parity_window", key, defaults.parity_window_s),
        )

    def window(self, raw: Mapping[str, Any], name: str, key: str, default: float) -> float:
        """How far back a gate looks: whole minutes are counted, and kept for a day."""
        hint = f'Write {name} = "10m", from 1m to 24h. The default is {default / 60:.0f}m.'
        try:
            found = seconds(str(raw[name])) if name in raw else default
        except ValueError as error:
            self.problem(80, f"{key}.{name}", str(error), hint)
            return default
        if 60 <= found <= 86_400:
            return found
        self.problem(80, f"{key}.{name}", f"is {raw[name]!r}, out of reach", hint)
        return default

    def budget(self, context: Mapping[str, Any], key: str) -> Budget:
        raw, default = self.table(context, "outbox", key), Budget()
        self.unknown(raw, {"max_rows", "max_bytes", "max_age"}, key)
        rows = self.number(raw, "max_rows", key, default.max_rows, 1000, 1e12)
        most, age = default.max_bytes, default.max_age_s
        try:
            most = max(1_000_000, size(str(raw["max_bytes"]))) if "max_bytes" in raw else most
        except (ValueError, OverflowError) as error:
            self.problem(45, f"{key}.max_bytes", str(error), 'Write max_bytes = "1GB".')
        try:
            age = max(60.0, seconds(str(raw["max_age"]))) if "max_age" in raw else age
        except ValueError as error:
            self.problem(46, f"{key}.max_age", str(error), 'Write max_age = "24h".')
        return Budget(int(rows), most, age)

    def ramp(self, context: Mapping[str, Any], key: str) -> Ramp:
        raw = self.table(context, "ramp", key)
        self.unknown(raw, {"steps", "interval", "on_fail", "max_backs", "not_before", "days", "hours", "timezone"}, key)
        steps = raw.get("steps", list(Ramp().steps))
        whole = isinstance(steps, list) and all(type(step) is int and 1 <= step <= 100 for step in steps)
        if not whole or not steps or sorted(set(steps)) != steps:
            self.problem(15, f"{key}.steps", f"is {steps!r}", "Write rising shares from 1 to 100: steps = [10, 50, 100].")
            steps = list(Ramp().steps)
        try:
            interval = seconds(str(raw.get("interval", "10m")))
            if interval < 1:
                raise ValueError(f"{raw['interval']!r} is shorter than a tick, which is a second")
        except ValueError as error:
            self.problem(16, f"{key}.interval", str(error), 'Write interval = "10m".')
            interval = Ramp().interval_s
        on_fail = raw.get("on_fail", Ramp.on_fail)
        if on_fail not in ON_FAIL:
            self.problem(60, f"{key}.on_fail", f"is {on_fail!r}", "It is back (to the last share that held) or freeze.")
            on_fail = Ramp.on_fail
        backs = int(self.number(raw, "max_backs", key, Ramp.max_backs, 1, 100))
        when, wrong = schedule.read(raw)
        for name, message, hint in wrong:
            self.problem(61, f"{key}.{name}", message, hint)
        return Ramp(tuple(steps), interval, on_fail, backs, when)


def parse(raw: Mapping[str, Any]) -> tuple[Estate, list[Problem]]:
    """What a parsed TOML document declares, and all that is wrong with it."""
    reader = _Reader()
    reader.unknown(raw, {"estate", "contexts", "analysis"}, "")
    estate = reader.table(raw, "estate", "estate")
    reader.unknown(estate, {"monolith", "service_token_env", "health"}, "estate")
    analysis = reader.table(raw, "analysis", "analysis")
    reader.unknown(analysis, {"packages", "tests", "loaders"}, "analysis")
    contexts = {
        name: reader.context(name, body)
        for name, body in reader.table(raw, "contexts", "contexts").items()
        if isinstance(body, Mapping)
    }
    owners: dict[str, str] = {}
    for context in contexts.values():
        for app in context.apps:
            if app in owners:
                reader.problem(
                    17, f"contexts.{context.name}.apps", f"{app} belongs to {owners[app]} too", "An app has one context."
                )
            owners[app] = context.name
    for implicit in ("platform", "project"):
        if implicit in contexts:
            reader.problem(18, f"contexts.{implicit}", "is implicit and never moves", "Take it out, or give it another name.")
    parsed = Estate(
        monolith_urls=reader.urls(estate, "monolith", "estate", Estate.monolith_urls),
        service_token_env=str(estate.get("service_token_env", Estate.service_token_env)),
        health=reader.page(estate, "estate"),
        contexts=contexts,
        tests=reader.flag(analysis, "tests", "analysis", False),
        packages=reader.modules(analysis, "packages", "analysis"),
        loaders=reader.loaders(analysis),
    )
    return parsed, reader.problems
