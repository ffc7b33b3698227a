"""What the proxy costs: beside nginx, HAProxy, Envoy, Traefik, Caddy and two Python proxies, in turns, one core each.

Ours has all semantics on: 100 routes, a context in canary at 10 %, freshness, request ids, trace ids, metrics, 1 % of requests
logged. The others forward, with ids where that is a word of configuration, and log nothing. Load and upstream share the other
core. ``QUICK=1`` takes two rounds of the small GET only.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.ports import Ports
from tests.benchmarks import load, peers
from tests.benchmarks.figures import ROUNDS, Figure
from tests.benchmarks.load import JOBS, SMALL
from tests.benchmarks.peers import Running

CORE, OTHER_CORE = 1, 0
IDLE = 1000
TARGETS = {"Envoy": 0.75, "Traefik": 0.5, "Caddy": 0.3, "nginx": 2.2, "aiohttp": 0.2}
Samples = defaultdict[tuple[str, str], list[float]]


def measure() -> list[Figure]:
    """CPU in microseconds a request, medians of five rounds in turns; added milliseconds at 2,000 requests/s; megabytes."""
    if wanting := peers.missing():
        raise SystemExit(f"the benchmark needs {', '.join(wanting)}; type: apt-get install {' '.join(wanting)}")
    quick = os.environ.get("QUICK") == "1"
    peers.install()
    directory = Path(tempfile.mkdtemp(prefix="strangler-bench-"))
    ports = iter(_ports())
    os.sched_setaffinity(0, {OTHER_CORE})
    try:
        with ExitStack() as stack:
            upstream = next(ports)
            stack.enter_context(peers.upstream_at(upstream, directory=directory, core=OTHER_CORE))
            ones = [peers.ours(upstream), peers.ours(upstream, routes=1), peers.ours(upstream, routes=5000), *peers.all_peers()]
            running = {
                one.name: stack.enter_context(
                    peers.started(one, directory=directory, port=next(ports), upstream=upstream, core=CORE)
                )
                for one in ones
            }
            samples: Samples = defaultdict(list)
            for number in range(2 if quick else ROUNDS):
                _round(running, samples, upstream, directory, number, quick)
            memory = _idle_memory(running["ours"])
    finally:
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
        shutil.rmtree(directory, ignore_errors=True)
    found = {key: statistics.median(values) for key, values in samples.items()}
    _print_all(found, list(running))
    return _figures(found, memory, quick)


def _ports() -> list[int]:
    return [port for _ in range(4) for port in vars(Ports.free()).values()]


def _round(running: dict[str, Running], samples: Samples, upstream: int, directory: Path, number: int, quick: bool) -> None:
    for job in JOBS[:1] if quick else JOBS:
        for name, proxy in running.items():
            if job is not SMALL and "routes" in name:
                continue
            print(f"round {number + 1}: {job.name}, {name}          ", end="\r", file=sys.stderr)
            before = proxy.cpu()
            done = load.saturate(proxy.port, job, directory=directory, core=OTHER_CORE)
            if done.failed:
                raise RuntimeError(f"{name}: {done.failed} of {done.requests} requests failed ({job.name})")
            samples[f"CPU {job.name}", name].append((proxy.cpu() - before) / done.requests * 1e6)
            samples[f"requests/s {job.name}", name].append(done.per_second)
    if quick:
        return
    direct = load.steadily(upstream)
    for name, proxy in running.items():
        if "routes" in name or name.startswith("Starlette"):
            continue  # two thousand a second are more than a core of it
        print(f"round {number + 1}: 2,000 requests/s, {name}          ", end="\r", file=sys.stderr)
        p50, p99 = load.steadily(proxy.port)
        samples["added p50", name].append(p50 - direct[0])
        samples["added p99", name].append(p99 - direct[1])


def _idle_memory(proxy: Running) -> float:
    """Megabytes with a thousand connections that have asked once and wait."""
    request = f"GET {SMALL.path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(IDLE):
            connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=5)))
            connection.sendall(request)
            connection.recv(4096)
        return proxy.megabytes()


def _print_all(found: dict[tuple[str, str], float], names: list[str]) -> None:
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    table = Table("", *names, title="all of it: CPU in µs a request, times in ms", title_justify="left", box=None)
    for kind in kinds:
        table.add_row(kind, *(f"{found[kind, name]:,.2f}" if (kind, name) in found else "" for name in names))
    Console(width=200).print(table)


def _figures(found: dict[tuple[str, str], float], memory: float, quick: bool) -> list[Figure]:
    cpu = f"CPU {SMALL.name}"
    figures = [Figure(cpu, found[cpu, "ours"], name, found[cpu, name], "µs a request", most) for name, most in TARGETS.items()]
    figures.append(Figure("5,000 routes", found[cpu, "ours, 5000 routes"], "one route", found[cpu, "ours, 1 routes"], "µs", 1.1))
    figures.append(Figure(f"memory, {IDLE} idle", memory, "limit", 60.0, "MB", 1.0))
    if not quick:
        figures.append(Figure("added p99 at 2,000/s", found["added p99", "ours"], "limit", 1.0, "ms", 1.0))
        for job in JOBS[1:]:
            kind = f"CPU {job.name}"
            figures += [Figure(kind, found[kind, "ours"], name, found[kind, name], "µs a request") for name in ("nginx", "Envoy")]
    return figures
