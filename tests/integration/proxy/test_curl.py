"""curl as a client, Debian's: uploads, versions, ranges, codings."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.proxy.harness import Application, Proxy, running, table
from tests.integration.proxy.shop import COOKIES, PAGE, open_shop


@pytest.fixture(scope="module")
def shop() -> Iterator[Application]:
    application = open_shop()
    yield application
    application.stop()


@pytest.fixture(scope="module")
def proxy(shop: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    (directory / "table.json").write_text(json.dumps(table(shop)))
    with running(directory, "--table", str(directory / "table.json")) as one:
        yield one


def curl(proxy: Proxy, *words: str, code: int = 0) -> bytes:
    """What it prints; the last word is the path."""
    program = shutil.which("curl")
    assert program, "there is no curl; `python3 make.py test` installs it, or type: apt-get install curl"
    command = [program, "--silent", "--show-error", "--max-time", "60", "--noproxy", "*", *words[:-1]]
    done = subprocess.run([*command, f"http://127.0.0.1:{proxy.port}{words[-1]}"], capture_output=True, check=False, timeout=70)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("upload") / "file"
    file.write_bytes(os.urandom(3_000_000))
    return file


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("how", "expect", "chunked"),
    [
        (("-H", "Expect: 100-continue"), "100-continue", None),
        (("-H", "Expect:"), None, None),
        (("-H", "Transfer-Encoding: chunked"), None, "chunked"),
        (("-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"), "100-continue", "chunked"),
    ],
)
def test_uploads(how: tuple[str, ...], expect: str | None, chunked: str | None, proxy: Proxy, upload: Path) -> None:
    said = json.loads(curl(proxy, *how, "-T", str(upload), "/upload"))
    assert (said["method"], said["digest"]) == ("PUT", digest(upload))
    assert said["chunked"] == chunked
    if expect:
        assert said["expect"] == expect


def test_forms(proxy: Proxy, upload: Path) -> None:
    assert json.loads(curl(proxy, "-F", f"file=@{upload}", "/form"))["length"] > 3_000_000
    assert json.loads(curl(proxy, "-d", "a=1&b=2", "/form"))["length"] == 7


def test_an_upload_is_refused_before_it_is_sent(proxy: Proxy, shop: Application) -> None:
    """Expect: 100-continue, and the application says 413 instead of 100."""

    def refuse(asked, one, reader):  # type: ignore[no-untyped-def]
        one.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")
        return False

    shop.streaming = refuse
    try:
        words = ("-H", "Expect: 100-continue", "-w", "%{http_code} %{size_upload}", "-T", "/bin/sh", "/")
        assert curl(proxy, *words) == b"large413 0"
    finally:
        shop.streaming = None


def test_http_1_0(proxy: Proxy) -> None:
    assert curl(proxy, "--http1.0", "/page") == PAGE
    assert curl(proxy, "--http1.0", "/chunked") == PAGE, "without chunks, to the end of the connection"
    assert json.loads(curl(proxy, "--http1.0", "-d", "abc", "/form"))["length"] == 3


def test_head(proxy: Proxy) -> None:
    head = curl(proxy, "--head", "/page").decode()
    assert "HTTP/1.1 200" in head
    assert "Content-Length: 10000" in head


def test_ranges_and_resuming(proxy: Proxy, tmp_path: Path) -> None:
    assert curl(proxy, "--range", "10-19", "/page") == PAGE[10:20]
    assert curl(proxy, "-w", "%{http_code}", "--range", "0-0", "/page") == b"0206"


def test_conditions(proxy: Proxy) -> None:
    assert curl(proxy, "-w", "%{http_code}", "-H", 'If-None-Match: "page"', "/page") == b"304"


def test_compressed(proxy: Proxy) -> None:
    assert curl(proxy, "--compressed", "/zipped") == PAGE
    assert gzip.decompress(curl(proxy, "/zipped")) == PAGE, "what is coded stays coded"


def test_an_answer_in_chunks_and_one_to_the_end(proxy: Proxy) -> None:
    assert curl(proxy, "/chunked") == PAGE
    assert curl(proxy, "/to-the-end") == PAGE


def test_cookies_stay_apart(proxy: Proxy, tmp_path: Path) -> None:
    jar = tmp_path / "jar"
    head = curl(proxy, "-c", str(jar), "--dump-header", "-", "/cookies").decode()
    found = [line for line in head.splitlines() if line.startswith("Set-Cookie: ")]
    assert found == [f"Set-Cookie: {value}" for _, value in COOKIES]
    assert json.loads(curl(proxy, "-b", str(jar), "/"))["cookie"].split("; ") == ["a=1", "b=2", "c=3"]


def test_redirects_and_kept_connections(proxy: Proxy) -> None:
    assert curl(proxy, "--location", "/moved") == PAGE
    url = f"http://127.0.0.1:{proxy.port}/page"
    counts = curl(proxy, "-o", "/dev/null", "-w", "%{num_connects} ", *(["-o", "/dev/null", url] * 3), "/page").split()
    assert counts == [b"1", b"0", b"0", b"0"], "four requests, one connection"


def test_http_2_is_not_spoken_and_said_so(proxy: Proxy) -> None:
    """Prior knowledge gets a readable refusal and the end; an offer to upgrade is passed over."""
    assert curl(proxy, "--http2", "/page") == PAGE
    with proxy.connect() as one, one.makefile("rb") as reader:
        one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(27))
        said = reader.read()
    assert said.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert b"Connection: close" in said
    assert proxy.ask("GET", "/page").status == 200


def test_http_2_by_prior_knowledge_ends_at_once(proxy: Proxy) -> None:
    program = shutil.which("curl")
    assert program
    words = [program, "-sS", "--max-time", "20", "--noproxy", "*", "--http2-prior-knowledge", f"http://127.0.0.1:{proxy.port}/"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=30)
    assert done.returncode not in (0, 28), f"neither served nor kept waiting: {done.stderr.decode()}"
