from __future__ import annotations

import pytest

from strangler_proxy.hops import Hops
from strangler_proxy.request import Fields
from strangler_proxy.settings import Endpoint, address, parse


def fields(**said: str) -> Fields:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {"Host": "a", **said}.items())
    return Fields(b"\r\n" + lines.encode())


def test_nobody_is_trusted_by_default() -> None:
    hops = Hops((), "http")
    assert not hops.trusts("127.0.0.1")
    assert not hops.trusts("")
    assert (
        hops.of_peer("1.2.3.4") == b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nForwarded: for=1.2.3.4;proto=http\r\n"
    )
    assert b'Forwarded: for="[::1]";proto=http' in hops.of_peer("::1")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("6.6.6.6, 8.8.8.8, 10.0.0.7", "8.8.8.8"),  # whoever wrote the first one may lie
        ("10.0.0.3, 10.0.0.7", "10.0.0.3"),
        ("8.8.8.8:4711", "8.8.8.8"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "10.0.0.9"),
        ("rubbish", "rubbish"),
    ],
)
def test_the_client_is_the_last_of_the_chain_that_is_not_trusted(chain: str, client: str) -> None:
    hops = Hops(("10.0.0.0/8",), "http")
    found, lines, _ = hops.behind("10.0.0.9", fields(X_Forwarded_For=chain) if chain else fields())
    assert found == client
    assert f"X-Forwarded-For: {chain}{', ' if chain else ''}10.0.0.9\r\n".encode() in lines


def test_scheme_host_and_forwarded_are_handed_on() -> None:
    hops = Hops(("10.0.0.0/8",), "http")
    said = fields(X_Forwarded_Proto="HTTPS", X_Forwarded_Host="shop.example", Forwarded='for="_x"')
    _, lines, host = hops.behind("10.0.0.9", said)
    assert b"X-Forwarded-Proto: https\r\n" in lines
    assert b'Forwarded: for="_x", for=10.0.0.9;proto=http\r\n' in lines
    assert host == b"shop.example"
    _, lines, host = hops.behind("10.0.0.9", fields(X_Forwarded_Proto="gopher", X_Forwarded_Host="a b"))
    assert (b"X-Forwarded-Proto: http\r\n" in lines, host) == (True, b"a")


def test_mapped_addresses_and_unix_sockets() -> None:
    assert Hops(("10.0.0.0/8",), "http").trusts("::ffff:10.1.2.3")
    assert Hops(("unix",), "http").trusts("")


def test_where_to_listen() -> None:
    assert address("127.0.0.1:80") == Endpoint("127.0.0.1", 80)
    assert str(address("[::1]:80")) == "[::1]:80"
    assert address("unix:/run/a.sock") == Endpoint(path="/run/a.sock")


NONSENSE = [["--trusted", "everyone"], ["--trusted", "10.0.0.1/8"], ["--client-ca", "x"], ["--listen", "unix:x"]]


@pytest.mark.parametrize("words", NONSENSE)
def test_nonsense_is_misuse(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["--table", "t", *words], {})
    assert stopped.value.code == 2
    assert words[0] in capsys.readouterr().err
