"""A thousand flips under load: a context changes hands again and again while requests go through four workers.

From the table's publication to the acknowledgement of the last worker; no request may fail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import redis

from deploy.local.ports import Ports
from deploy.local.valkey import Valkey
from strangler.domain.channels import ACKS, PROXIES, TABLE
from tests.benchmarks import load, peers
from tests.benchmarks.figures import Figure

FLIPS, WORKERS, PATIENCE_S = 1000, 4, 5.0
LOAD = load.Job("flips", load.SMALL.path)


def measure() -> list[Figure]:
    """Milliseconds from commit to the last acknowledgement, and how many requests failed meanwhile."""
    if wanting := peers.missing():
        raise SystemExit(f"the benchmark needs {', '.join(wanting)}; type: apt-get install {' '.join(wanting)}")
    flips = int(os.environ.get("FLIPS", FLIPS))
    directory = Path(tempfile.mkdtemp(prefix="strangler-bench-"))
    directory.chmod(0o711)
    ports = [port for _ in range(2) for port in vars(Ports.free()).values()]
    valkey = Valkey(directory / "valkey", ports[0])
    try:
        url = valkey.start()
        with ExitStack() as stack:
            for port in ports[1:3]:
                stack.enter_context(peers.upstream_at(port, directory=directory / str(port), core=0))
            sides = ports[1:3]
            stack.enter_context(_proxy(ports[3], url, directory, table(sides, 1)))
            client = stack.enter_context(closing(redis.Redis.from_url(url)))
            times, done = _flip(client, sides, flips, ports[3], directory)
    finally:
        valkey.stop()
        valkey.discard()
        shutil.rmtree(directory, ignore_errors=True)
    times.sort()
    median = times[len(times) // 2]
    print(f"{len(times)} flips, {done.requests:,} requests at {done.per_second:,.0f}/s meanwhile, median {median:.1f} ms")
    return [
        Figure("p99 of a flip, 4 workers", times[int(len(times) * 0.99)], "limit", 50.0, "ms", 1.0),
        Figure("requests failed, + 1", done.failed + 1.0, "none, + 1", 1.0, "", 1.0),
    ]


def table(sides: list[int], version: int) -> dict[str, Any]:
    """Live on the service with even versions, on the monolith with odd ones."""
    targets = {side: [f"http://127.0.0.1:{port}"] for side, port in zip(("monolith", "service"), sides, strict=True)}
    stage = "monolith" if version % 2 else "live"
    context = {"stage": stage, "percent": 0, "epoch": version, "sticky": "user", "targets": targets, "streams": {}}
    return {
        "generation": 1,
        "version": version,
        "default": {"targets": targets["monolith"]},
        "contexts": {"orders": context},
        "routes": [{"match": {"prefix": "/api/orders"}, "access": "auto", "context": "orders"}],
        "also": [],
    }


def _proxy(port: int, url: str, directory: Path, first: dict[str, Any]) -> Any:
    argv = (
        sys.executable,
        "-m",
        "strangler_proxy",
        "--listen",
        "127.0.0.1:{port}",
        "--operator",
        "none",
        "--workers",
        str(WORKERS),
    )
    env = {"PYTHONPATH": os.pathsep.join([str(peers.ROOT), str(peers.ROOT / "proxy")]), "STRANGLER_SERVICE_TOKEN": "bench"}
    text = json.dumps(first).replace("{", "{{").replace("}", "}}")
    peer = peers.Peer("flipped", (*argv, "--redis", url, "--table", "{dir}/table.json"), {"table.json": text}, env)
    return peers.started(peer, directory=directory, port=port, upstream=0, core=1)


def _flip(client: redis.Redis, sides: list[int], flips: int, port: int, directory: Path) -> tuple[list[float], load.Closed]:
    until = time.monotonic() + PATIENCE_S
    while client.hlen(PROXIES) < WORKERS:
        if time.monotonic() > until:
            raise RuntimeError("the workers never reported")
        time.sleep(0.05)
    acks = client.pubsub(ignore_subscribe_messages=True)
    acks.subscribe(ACKS)
    times = []
    with subprocess.Popen(_load(port), stdout=subprocess.PIPE, text=True) as running:
        try:
            for version in range(2, flips + 2):
                times.append(_publish(client, acks, table(sides, version)))
        finally:
            running.send_signal(signal.SIGINT)  # wrk tells what it counted, and ends
        said = running.communicate()[0]
    acks.close()
    return times, load.read(said)


def _load(port: int) -> list[str]:
    return ["wrk", "-t1", "-c16", "-d300s", f"http://127.0.0.1:{port}{LOAD.path}"]


def _publish(client: redis.Redis, acks: Any, snapshot: dict[str, Any]) -> float:
    """As ``strangler.control.publish`` does: the table, then the word that there is one."""
    wanted, heard = [snapshot["generation"], snapshot["version"]], set[str]()
    began = time.perf_counter()
    client.set(TABLE, json.dumps(snapshot))
    client.publish(TABLE, f"{wanted[0]}.{wanted[1]}")
    while len(heard) < WORKERS:
        message = acks.get_message(timeout=PATIENCE_S)
        if message is not None:  # None also stands for the subscription's own message
            said = json.loads(message["data"])
            if said["table"] == wanted:
                heard.add(said["id"])
        elif time.perf_counter() - began > PATIENCE_S:
            raise RuntimeError(f"{WORKERS - len(heard)} workers did not acknowledge {wanted} within {PATIENCE_S:g} s")
    return 1000 * (time.perf_counter() - began)
