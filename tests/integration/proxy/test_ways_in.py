"""The ways in and out besides plain TCP: IPv6, unix sockets, TLS both ways, and proxies in front."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.proxy.harness import PATIENCE, Application, Proxy, raw, read_answer, table, until

Start = Callable[..., Proxy]


def to(url: str) -> dict[str, Any]:
    return {"generation": 1, "version": 1, "default": {"targets": [url]}, "contexts": {}, "routes": [], "also": []}


class _Unix(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = "unix", 0


class _Says(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"hello"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def serving() -> Iterator[Callable[[ThreadingHTTPServer], ThreadingHTTPServer]]:
    """Runs a server of the standard library until the test ends."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def serve(server: ThreadingHTTPServer) -> ThreadingHTTPServer:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return server

    yield serve
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


# ---- addresses ---------------------------------------------------------------------------------------------------------


def test_ipv6_on_both_sides(start: Start, serving: Any) -> None:
    class Six(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    server = serving(Six(("::1", 0), _Says))
    proxy = start(to(f"http://[::1]:{server.server_port}"), "--listen", "[::1]:0")
    until(lambda: b"proxy.started" in proxy.log.read_bytes(), "the proxy's port")
    port = int(proxy.log.read_text().split("listen=[::1]:")[1].split()[0])
    with socket.create_connection(("::1", port), timeout=PATIENCE) as one:
        one.sendall(raw("GET", "/"))
        assert read_answer(one.makefile("rb")).body == b"hello"


def test_unix_sockets_on_both_sides(start: Start, serving: Any, tmp_path: Path) -> None:
    there, here = tmp_path / "app.sock", tmp_path / "proxy.sock"
    serving(_Unix(str(there), _Says))
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(here))
    left_over.close()  # as a killed proxy leaves it
    start(to(f"unix:{there}"), "--listen", f"unix:{here}")
    for head in (raw("GET", "/"), b"GET / HTTP/1.0\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(PATIENCE)
            one.connect(str(here))
            one.sendall(head)
            assert read_answer(one.makefile("rb")).body == b"hello"


# ---- proxies in front --------------------------------------------------------------------------------------------------


def test_what_a_trusted_proxy_says_of_the_client_is_handed_on(start: Start, monolith: Application) -> None:
    said = {"X_Forwarded_For": "6.6.6.6, 8.8.8.8", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "shop.example"}
    start(table(monolith), "--trusted", "127.0.0.0/8").ask("GET", "/", **said)
    start(table(monolith)).ask("GET", "/", **said)
    trusted, not_trusted = monolith.asked
    assert trusted.all("x-forwarded-for") == ["6.6.6.6, 8.8.8.8, 127.0.0.1"]
    assert (trusted.all("x-forwarded-proto"), trusted.all("x-forwarded-host")) == (["https"], ["shop.example"])
    assert not_trusted.all("x-forwarded-for") == ["127.0.0.1"]
    assert not_trusted.all("x-forwarded-proto") == ["http"]
    assert not_trusted.all("forwarded") == ["for=127.0.0.1;proto=http"]


# ---- TLS ---------------------------------------------------------------------------------------------------------------


@dataclass
class Authority:
    """Signs certificates. ``file`` is its own."""

    directory: Path

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self.file = self.directory / "authority.crt"
        own = self._signed(self._name, self._key.public_key(), [x509.BasicConstraints(ca=True, path_length=None)])
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, path: Path, *names: str) -> Path:
        """Certificate and key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._signed(subject, key.public_key(), [x509.SubjectAlternativeName(alternatives)])
        encoding = serialization.Encoding.PEM
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(certificate.public_bytes(encoding) + private)
        return path

    def _signed(self, subject: x509.Name, key: Any, extensions: list[Any]) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.file))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def certificates(authority: Authority, tmp_path: Path) -> Path:
    directory = tmp_path / "certificates"
    directory.mkdir()
    authority.issue(directory / "default.pem", "localhost")
    authority.issue(directory / "shop.example.pem", "shop.example")
    authority.issue(directory / "_.shop.example.pem", "*.shop.example")
    return directory


def talk(proxy: Proxy, context: ssl.SSLContext, name: str) -> tuple[ssl.SSLSocket, dict[str, Any]]:
    one = context.wrap_socket(proxy.connect(), server_hostname=name)
    return one, one.getpeercert() or {}


def of(certificate: dict[str, Any]) -> str:
    return str(certificate["subject"][0][0][1])


def test_tls_by_name_and_the_scheme_is_told(
    start: Start, monolith: Application, authority: Authority, certificates: Path
) -> None:
    proxy = start(table(monolith), "--certificates", str(certificates))
    for name, shown in (("shop.example", "shop.example"), ("www.shop.example", "*.shop.example"), ("localhost", "localhost")):
        one, certificate = talk(proxy, authority.client(), name)
        with one:
            for _ in range(2):
                one.sendall(raw("GET", "/"))
                assert read_answer(one.makefile("rb")).status == 200
        assert of(certificate) == shown
    assert monolith.asked[0].get("x-forwarded-proto") == "https"


def test_a_new_certificate_is_taken_without_dropping_a_connection(
    start: Start, monolith: Application, authority: Authority, certificates: Path
) -> None:
    proxy = start(table(monolith), "--certificates", str(certificates))
    old, before = talk(proxy, authority.client(), "shop.example")
    authority.issue(certificates / "shop.example.pem", "shop.example", "also.example")

    def new() -> bool:
        one, certificate = talk(proxy, authority.client(), "shop.example")
        one.close()
        return bool(certificate["serialNumber"] != before["serialNumber"])

    until(new, "the new certificate")
    (certificates / "shop.example.pem").write_text("rubbish")
    until(lambda: b"certificate.refused" in proxy.log.read_bytes(), "the refusal")
    assert new()
    with old:
        old.sendall(raw("GET", "/"))
        assert read_answer(old.makefile("rb")).status == 200


def test_a_client_without_a_certificate_is_sent_away_where_one_is_wanted(
    start: Start, monolith: Application, authority: Authority, certificates: Path, tmp_path: Path
) -> None:
    proxy = start(table(monolith), "--certificates", str(certificates), "--client-ca", str(authority.file))
    mine = authority.issue(tmp_path / "mine.pem", "me")
    one, _ = talk(proxy, authority.client(mine), "localhost")
    with one:
        one.sendall(raw("GET", "/"))
        assert read_answer(one.makefile("rb")).status == 200
    with pytest.raises((OSError, EOFError)):  # with TLS 1.3 the client learns it with the first answer
        ask(proxy, authority.client())
    assert len(monolith.asked) == 1


def ask(proxy: Proxy, context: ssl.SSLContext) -> None:
    one, _ = talk(proxy, context, "localhost")
    with one:
        one.sendall(raw("GET", "/"))
        read_answer(one.makefile("rb"))


def test_tls_to_an_application_is_verified(start: Start, serving: Any, authority: Authority, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Says)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    context.load_cert_chain(authority.issue(tmp_path / "app.pem", "127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    serving(server)
    known = ("--target-ca", str(authority.file))
    shown = ("--target-certificate", str(authority.issue(tmp_path / "proxy.pem", "proxy")))
    url = to(f"https://127.0.0.1:{server.server_port}")
    assert start(url, *known, *shown).ask("GET", "/").body == b"hello"
    assert start(url, *shown).ask("GET", "/").status == 503, "an unknown authority is not believed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--certificates", "{dir}"], "default.pem is no certificate"),
        (["--target-ca", "{dir}/none"], "can't be set up"),
    ],
)
def test_tls_that_can_not_be_is_one_sentence(words: list[str], said: str, start: Start, tmp_path: Path) -> None:
    from tests.integration.proxy.test_workers import run

    (tmp_path / "table.json").write_text("{}")
    given = [word.format(dir=tmp_path) for word in words]
    done = run("--table", str(tmp_path / "table.json"), "--redis", "redis://127.0.0.1:1", *given)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
