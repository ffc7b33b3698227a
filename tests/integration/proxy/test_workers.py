"""Processes: several workers on one socket, one that dies, a clean stop, and misuse told in a sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import (
    PATIENCE,
    Application,
    Asked,
    Proxy,
    command,
    environment,
    free_port,
    raw,
    read_answer,
    response,
    table,
    until,
)

Start = Callable[..., Proxy]


def children(proxy: Proxy) -> list[int]:
    listed = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def test_a_worker_killed_is_replaced_and_the_others_serve_on(
    control: ControlPlane, controlled: Callable[..., Proxy], monolith: Application
) -> None:
    proxy = controlled("--workers", "2")
    until(lambda: len(control.proxies()) == 2, "both workers")
    [victim, other] = children(proxy)
    before = {one["id"] for one in control.proxies()}
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(proxy)) == 2 and victim not in children(proxy), "the replacement")
    assert other in children(proxy)
    until(lambda: len(control.proxies()) == 2 and {one["id"] for one in control.proxies()} != before, "its heart-beat")
    assert not any(f":{victim}:" in one["id"] for one in control.proxies()), "nobody waits for the dead one"
    for _ in range(20):
        assert proxy.ask("GET", "/").status == 200


def test_workers_end_when_their_parent_is_killed(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), "--workers", "2")
    pids = children(proxy)
    proxy.process.kill()
    proxy.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the end of the workers")


def test_metrics_of_all_workers_are_in_one_answer(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), "--workers", "3")
    until(lambda: len({line.split('worker="')[1][0] for line in lines(proxy)}) == 3, "three workers")
    for _ in range(30):
        proxy.ask("GET", "/")
    assert proxy.metric("requests_total", status="2xx") == 30


def lines(proxy: Proxy) -> list[str]:
    return [line for line in proxy.operators("/metrics")[1].decode().splitlines() if line.startswith("strangler_proxy_clients{")]


def test_sigterm_drains(start: Start, monolith: Application) -> None:
    go = threading.Event()

    def slow(asked: Asked) -> bytes:
        if asked.target == "/slow":
            assert go.wait(PATIENCE)
        return response()

    monolith.handler = slow
    for workers in ("1", "2"):
        go.clear()
        monolith.asked.clear()
        proxy = start(table(monolith), "--workers", workers)
        idle = proxy.connect()
        idle.sendall(raw("GET", "/"))
        assert read_answer(idle.makefile("rb")).status == 200
        busy = proxy.send("GET", "/slow")
        monolith.wait(2)
        proxy.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b"", "idle connections are closed at once"
        until(lambda proxy=proxy: refused(proxy), "the listener to close")
        assert proxy.process.poll() is None
        go.set()
        answer = read_answer(busy.makefile("rb"))
        assert (answer.status, answer.get("connection")) == (200, "close")
        assert proxy.process.wait(PATIENCE) == 0


def refused(proxy: Proxy) -> bool:
    try:
        socket.create_connection(("127.0.0.1", proxy.port), timeout=1).close()
    except OSError:
        return True
    return False


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, timeout=30, check=False)


def test_a_port_that_is_taken_is_one_sentence_and_2(tmp_path: Path, monolith: Application) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(table(monolith)))
    done = run("--listen", f"127.0.0.1:{monolith.port}", "--operator", "none", "--table", str(file))
    assert done.returncode == 2
    assert done.stderr == (
        f"strangler-proxy: cannot listen on 127.0.0.1:{monolith.port} for users: Address already in use; "
        "stop what holds the port, or give another one\n"
    )


def test_a_table_that_cannot_be_used_is_one_sentence_and_2(tmp_path: Path, monolith: Application) -> None:
    file = tmp_path / "table.json"
    listen = ("--listen", f"127.0.0.1:{free_port()}", "--operator", "none", "--table", str(file))
    assert "does not exist" in run(*listen).stderr
    file.write_text("{")
    assert "is not JSON" in run(*listen).stderr
    broken = table(monolith)
    broken["contexts"]["payments"]["stage"] = "flying"
    file.write_text(json.dumps(broken))
    done = run(*listen)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "contexts.payments.stage: is 'flying'; it is one of monolith, mirror" in done.stderr


def test_misuse_and_help() -> None:
    assert run("--listen", "nowhere").returncode == 2
    assert run().returncode == 2
    done = run("--help")
    assert done.returncode == 0
    assert "example:" in done.stdout


def test_a_table_file_is_watched_where_there_is_no_control_plane(
    start: Start, monolith: Application, service: Application, tmp_path: Path
) -> None:
    proxy = start(table(monolith, service))
    assert proxy.ask("POST", "/api/payments/", b"x").body == b"monolith"
    beside = tmp_path / "next.json"
    beside.write_text(json.dumps(table(monolith, service, version=2, stage="live")))
    beside.replace(tmp_path / "table.json")
    until(lambda: proxy.ask("POST", "/api/payments/", b"x").body == b"service", "the new table")


def test_the_operators_listener(start: Start, monolith: Application, service: Application) -> None:
    proxy = start(table(monolith, service, percent=10))
    assert json.loads(proxy.operators("/livez")[1])["status"] == "alive"
    assert json.loads(proxy.operators("/readyz")[1]) == {"status": "ready", "table": [1, 1]}
    assert json.loads(proxy.operators("/table")[1])["table"]["contexts"]["payments"]["percent"] == 10
    said = json.loads(proxy.operators("/explain?method=GET&path=/api/payments/7&user=42")[1])
    assert (said["target"], said["rule"], said["access"]) == ("monolith", "prefix /api/payments", "read")
    assert "bucket" in said["reason"]
    said = json.loads(proxy.operators("/explain?method=POST&path=/api/orders/checkout/")[1])
    assert (said["target"], said["writes"]) == ("monolith", ["orders", "payments"])
    assert proxy.operators("/explain")[0] == 400
    assert proxy.operators("/nothing")[0] == 404
    proxy.ask("GET", "/")
    assert "# TYPE strangler_proxy_requests_total counter" in proxy.operators("/metrics")[1].decode()


def test_secrets_are_not_in_the_access_log(start: Start, monolith: Application) -> None:
    proxy = start(table(monolith), "--access-log", "1")
    proxy.ask("GET", "/page?token=hush", Cookie="sessionid=hush", Authorization="Bearer hush")
    until(lambda: '"/page"' in proxy.log.read_text(), "the log line")
    proxy.stop()
    text = proxy.log.read_text()
    assert "hush" not in text
    line = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    assert (line["status"], line["method"], line["side"]) == (200, "GET", "monolith")
