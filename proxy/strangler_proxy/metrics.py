"""Counters that cost a dictionary increment on the hot path, and their Prometheus text (format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable

Labels = tuple[str, ...]
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _pairs(names: Labels, values: Iterable[str]) -> str:
    return ",".join(f'{name}="{_quoted(value)}"' for name, value in zip(names, values, strict=False))


class Counter:
    """A family of counters. ``add`` takes the labels' values in the order of their names."""

    kind = "counter"
    __slots__ = ("help", "labels", "name", "values")

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.values: defaultdict[Labels, int] = defaultdict(int)

    def add(self, *labels: str) -> None:
        self.values[labels] += 1

    def samples(self, extra: str) -> Iterable[str]:
        for labels, value in sorted(self.values.items()):
            inside = ",".join(part for part in (_pairs(self.labels, labels), extra) if part)
            yield f"{self.name}{{{inside}}} {value}"


class Gauge:
    """Read when asked: ``read`` returns the values by labels."""

    kind = "gauge"
    __slots__ = ("help", "labels", "name", "read")

    def __init__(self, name: str, help: str, labels: Labels, read: Callable[[], dict[Labels, float]]) -> None:
        self.name, self.help, self.labels, self.read = name, help, labels, read

    def samples(self, extra: str) -> Iterable[str]:
        for labels, value in sorted(self.read().items()):
            inside = ",".join(part for part in (_pairs(self.labels, labels), extra) if part)
            yield f"{self.name}{{{inside}}} {value:g}"


class Histogram:
    kind = "histogram"
    __slots__ = ("counts", "help", "labels", "name", "sums")

    def __init__(self, name: str, help: str, labels: Labels) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.counts: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self.sums: defaultdict[Labels, float] = defaultdict(float)

    def observe(self, value: float, *labels: str) -> None:
        self.counts[labels][bisect_left(BOUNDS, value)] += 1
        self.sums[labels] += value

    def samples(self, extra: str) -> Iterable[str]:
        for labels, counts in sorted(self.counts.items()):
            inside = ",".join(part for part in (_pairs(self.labels, labels), extra) if part)
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
                total += count
                yield f'{self.name}_bucket{{{inside},le="{bound}"}} {total}'
            yield f"{self.name}_sum{{{inside}}} {self.sums[labels]:.6f}"
            yield f"{self.name}_count{{{inside}}} {total}"


class Served:
    """What was answered for one context, by one side, in one stage and access: counts by status class, and times."""

    __slots__ = ("by_bound", "by_class", "seconds")

    def __init__(self) -> None:
        self.by_class = [0] * 10  # an application may say 999
        self.by_bound = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        self.by_class[status // 100] += 1
        self.by_bound[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Requests(Counter):
    """``strangler_proxy_requests_total``, read from what was served."""

    __slots__ = ("_served",)

    def __init__(self, served: dict[Labels, Served]) -> None:
        super().__init__("strangler_proxy_requests_total", "Requests answered.", ("context", "side", "stage", "access", "status"))
        self._served = served

    def samples(self, extra: str) -> Iterable[str]:
        self.values.clear()
        for labels, served in self._served.items():
            for number, count in enumerate(served.by_class):
                if count:
                    self.values[*labels, f"{number}xx" if number else "-"] = count
        return super().samples(extra)


class Seconds(Histogram):
    """``strangler_proxy_request_seconds``, read from what was served."""

    __slots__ = ("_served",)

    def __init__(self, served: dict[Labels, Served]) -> None:
        super().__init__(
            "strangler_proxy_request_seconds", "From head to the answer's end.", ("context", "side", "stage", "access")
        )
        self._served = served

    def samples(self, extra: str) -> Iterable[str]:
        for labels, served in self._served.items():
            if any(served.by_bound):
                self.counts[labels] = served.by_bound
                self.sums[labels] = served.seconds
        return super().samples(extra)


class Metrics:
    """All that one worker counts. Labels: context (``-`` where no route matched), side, stage, access, status class."""

    def __init__(self) -> None:
        self._served: dict[Labels, Served] = {}
        self.requests = Requests(self._served)
        self.seconds = Seconds(self._served)
        self.errors = Counter("strangler_proxy_problems_total", "Answers made by the proxy itself.", ("kind",))
        self.refused = Counter("strangler_proxy_refused_total", "Requests that were not understood, by reason.", ("reason",))
        self.fallbacks = Counter("strangler_proxy_fallbacks_total", "Canary reads sent to the monolith.", ("context", "cause"))
        self.ejections = Counter("strangler_proxy_ejections_total", "Targets left out for a while.", ("target", "cause"))
        self.checks = Counter("strangler_proxy_checks_total", "Active health checks, by outcome.", ("target", "outcome"))
        self.misdirected = Counter("strangler_proxy_misdirected_total", "421 answers that were routed anew.", ("context", "side"))
        self.retries = Counter("strangler_proxy_retries_total", "Safe requests sent again on a fresh connection.", ("side",))
        self.waits = Counter("strangler_proxy_freshness_waits_total", "Requests that waited for a marker.", ("outcome",))
        self.positions = Counter("strangler_proxy_positions_total", "Positions kept for clients without cookies.", ("outcome",))
        self.parked = Counter("strangler_proxy_parked_total", "Writes parked by a hold, by what became of them.", ("outcome",))
        self.limited = Counter("strangler_proxy_limited_total", "Requests judged by a limit.", ("context", "outcome"))
        self.limits_alone = Counter("strangler_proxy_limits_alone_total", "Shared limits counted without Redis.", ("cause",))
        self.overrides = Counter("strangler_proxy_overrides_total", "Requests with an override of a tester.", ("outcome",))
        self.shadow = Counter("strangler_proxy_shadow_total", "Copies of reads, by outcome.", ("context", "outcome"))
        self.identity = Counter(
            "strangler_proxy_identity_total", "Who asks: questions to the monolith, and answers.", ("outcome",)
        )
        self.csrf = Counter("strangler_proxy_csrf_refused_total", "Requests that may be another site's forgeries.", ("context",))
        self.tables = Counter("strangler_proxy_tables_total", "Tables offered, by outcome.", ("outcome",))
        self.abandoned = Counter("strangler_proxy_abandoned_total", "Requests whose client left before the answer.", ())
        self.logs_dropped = Counter("strangler_proxy_access_log_dropped_total", "Log lines dropped: the reader is slow.", ())
        self.gauges: list[Gauge] = []

    def served(self, *labels: str) -> Served:
        """The counters of what is answered so (context, side, stage, access); kept for ever, so that counts only rise."""
        found = self._served.get(labels)
        if found is None:
            found = self._served[labels] = Served()
        return found

    def every_served(self) -> Iterable[tuple[Labels, Served]]:
        return self._served.items()

    def gauge(self, name: str, help: str, labels: Labels, read: Callable[[], dict[Labels, float]]) -> None:
        self.gauges.append(Gauge(f"strangler_proxy_{name}", help, labels, read))

    def families(self) -> list[Counter | Gauge | Histogram]:
        found = [value for value in vars(self).values() if isinstance(value, (Counter, Histogram))]
        return [*found, *self.gauges]

    def samples(self, worker: str) -> dict[str, list[str]]:
        """By family name its sample lines, with the worker's number as a label."""
        extra = f'worker="{worker}"'
        return {family.name: list(family.samples(extra)) for family in self.families()}


def render(families: Iterable[Counter | Gauge | Histogram], workers: Iterable[dict[str, list[str]]]) -> str:
    """One exposition out of the samples of several workers."""
    by_worker = list(workers)
    lines = []
    for family in families:
        samples = [line for samples in by_worker for line in samples.get(family.name, ())]
        if samples:
            lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}", *samples]
    return "\n".join(lines) + "\n"
