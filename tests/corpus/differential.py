"""`make differential`: every request of the corpus through our proxy, nginx and Envoy, in front of one recording application.

What a peer does otherwise is written into ``observed.json``, and each such difference has its reason in the case (``differs``)
and in ``differences.toml``. A difference without a reason, or a reason without a difference, fails the run; the record is held to
that by ``tests/unit/proxy/test_differences.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import Ports
from tests.benchmarks import peers
from tests.benchmarks.peers import Peer
from tests.corpus import cases, outcome
from tests.corpus.cases import HERE, PEERS, RequestCase
from tests.corpus.reader import Message, Unreadable
from tests.corpus.recorder import LAST
from tests.corpus.sockets import Server, converse
from tests.corpus.wire import SNAPSHOT

OBSERVED = HERE / "observed.json"
REASONS = HERE / "differences.toml"
SAME = "same"
_PATIENCE = 3.0
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NGINX = """\
client_max_body_size 0; lingering_time 1s; lingering_timeout 1s; ignore_invalid_headers on;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 16; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://up; proxy_http_version 1.1; proxy_request_buffering off;
    proxy_set_header Connection ""; proxy_set_header Host $http_host; }} }}"""
_ENVOY_OPTIONS = """\
          delayed_close_timeout: 0.1s
          http_protocol_options: {{accept_http_10: true, default_host_for_http_10: none}}
          route_config:"""
_OURS = (sys.executable, "-m", "strangler_proxy", "--listen", "127.0.0.1:{port}", "--operator", "none", "--table", "{dir}/t.json")
OWN = {
    "ours": frozenset(outcome.ADDED),
    "nginx": frozenset[str](),
    "envoy": frozenset({"x-forwarded-for", "x-forwarded-proto", "x-request-id", "x-envoy-external-address"}),
}
"""Fields that a peer says itself: they are not compared."""
_FRAMING = frozenset({"content-length", "connection", "x-envoy-expected-rq-timeout-ms"})


def reasons() -> dict[str, dict[str, str]]:
    return tomllib.loads(REASONS.read_text(encoding="utf-8"))


def observed() -> dict[str, dict[str, str]]:
    """The record: a case's id → its digest and what each peer did."""
    return json.loads(OBSERVED.read_text(encoding="utf-8"))["cases"]


def complaints(all_cases: list[RequestCase], seen: dict[str, dict[str, str]]) -> list[str]:
    """What is unexplained, stale or not recorded, a sentence each."""
    known, used, found = reasons(), set(), []
    for case in all_cases:
        entry = seen.get(case.id, {})
        if entry.get("case") != case.digest:
            found.append(f"{case.id}: not recorded as it is now")
            continue
        if entry["ours"] != SAME:
            found.append(f"{case.id}: we do not what it says: {entry['ours']}")
        for peer in PEERS:
            reason = case.differs.get(peer)
            used.add((peer, reason))
            if reason is None and entry[peer] != SAME:
                found.append(f"{case.id}: {peer} differs and nobody says why: {entry[peer]}")
            elif reason is not None and entry[peer] == SAME:
                found.append(f"{case.id}: {peer} does the same; {reason!r} explains nothing")
            elif reason is not None and reason not in known[peer]:
                found.append(f"{case.id}: differences.toml has no {reason!r} under [{peer}]")
    found += [f"{name}: recorded, but no case" for name in seen.keys() - {case.id for case in all_cases}]
    unused = [(peer, reason) for peer in PEERS for reason in known[peer] if (peer, reason) not in used]
    return found + [f"differences.toml: no case has {peer} = {reason!r}" for peer, reason in unused]


# ---- what a peer did ------------------------------------------------------------------------------------------------------


def difference(case: RequestCase, peer: str, port: int, application: Server) -> str:
    """``SAME``, or in a few words what the peer did otherwise."""
    application.recorder.reset()
    try:
        received = converse(port, case.raw if case.half else case.raw + LAST, half=case.half, patience=_PATIENCE)
        if application.recorder.unreadable:
            return f"forwards what breaks the grammar: {application.recorder.unreadable[0]!r}"[:160]
        got = outcome.asked(application.recorder, received, case.raw)
        answers = "answers " + ",".join(map(str, got.answers))
    except TimeoutError:
        answers = "waits"
    except Unreadable:
        answers = "answers by HTTP/0.9"
    messages = [_shown(message, peer) for message in application.recorder.messages]
    wanted = [_shown(message, peer) for message in case.forwarded]
    if messages == wanted:
        return SAME
    more = [message for message in messages if message not in wanted]
    return f"{answers}, forwards {len(messages)}" + (f": {more[0]}"[:160] if more else "")


def _shown(message: Message, peer: str) -> str:
    """What an application makes of it: names in small letters and in order, those of one name as one list, framing aside."""
    lists: dict[str, list[str]] = {}
    for name, value in message.fields:
        lists.setdefault(name.lower(), []).append(value)
    fields = "; ".join(f"{name}: {','.join(lists[name])}" for name in sorted(lists.keys() - OWN[peer] - _FRAMING))
    trailers = "".join(f"; trailer {name.lower()}: {value}" for name, value in sorted(message.trailers))
    return f"{message.method} {message.target}; {fields}{trailers}; {message.body!r}"


# ---- running them ---------------------------------------------------------------------------------------------------------


def _peer(name: str, application: Server) -> Peer:
    if name == "ours":
        table = json.dumps(SNAPSHOT | {"default": {"targets": [application.url]}})
        paths = os.pathsep.join([str(peers.ROOT), str(peers.ROOT / "proxy")])
        return Peer("ours", _OURS, {"t.json": table.replace("{", "{{").replace("}", "}}")}, {"PYTHONPATH": paths})
    if name == "nginx":
        return peers._nginx("nginx", _NGINX)
    options = peers.ENVOY.replace("          route_config:", _ENVOY_OPTIONS)
    return Peer("envoy", (peers._envoy(), "-c", "{dir}/envoy.yaml", "--concurrency", "1", "-l", "error"), {"envoy.yaml": options})


@contextmanager
def _running(name: str, application: Server, directory: Path) -> Iterator[int]:
    port = Ports.free().proxy
    with peers.started(_peer(name, application), directory=directory, port=port, upstream=application.port, core=0):
        yield port


def _versions() -> dict[str, str]:
    """What was run: another version may do otherwise."""
    asked = {"nginx": ["nginx", "-v"], "envoy": [peers._envoy(), "--version"]}
    said = {name: subprocess.run(words, capture_output=True, text=True, check=True) for name, words in asked.items()}
    return {name: _VERSION.findall(done.stdout + done.stderr)[0] for name, done in said.items()}


def run(only: str) -> dict[str, dict[str, str]]:
    """What each peer does with each case whose id holds ``only``."""
    chosen = [case for case in cases.requests() if only in case.id]
    seen: dict[str, dict[str, str]] = {case.id: {"case": case.digest} for case in chosen}
    with tempfile.TemporaryDirectory() as directory, Server() as application:
        Path(directory).chmod(0o755)  # nginx's worker is another user
        for name in ("ours", *PEERS):
            with _running(name, application, Path(directory)) as port:
                for case in chosen:
                    seen[case.id][name] = difference(case, name, port, application)
    return seen


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make differential", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose id holds it; shown, not written")
    arguments = parser.parse_args(words)
    if "nginx" in peers.missing():
        print("the differential run needs nginx; on Debian and Ubuntu type `apt-get install nginx-light` and start again")
        return 2
    peers.install()
    seen = run(arguments.only)
    if arguments.only:
        print(json.dumps(seen, indent=1))
        return 0
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in seen.items())
    OBSERVED.write_text(f'{{"peers": {json.dumps(_versions())},\n"cases": {{\n{lines}\n}}}}\n', encoding="utf-8")
    wrong = complaints(cases.requests(), seen)
    differing = {peer: sum(entry[peer] != SAME for entry in seen.values()) for peer in PEERS}
    print("\n".join(wrong))
    print(f"{len(seen)} cases; otherwise do: " + ", ".join(f"{peer} {count}" for peer, count in differing.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
