"""Who the client is: the peer, or what proxies in front say of it, as far as they are trusted (RFC 7239, and its older kin)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from strangler_proxy.request import Fields

_HOST = re.compile(rb"[A-Za-z0-9.:\[\]_-]{1,255}")
_MOST_KNOWN = 10_000


class Hops:
    """``trusted`` are networks, such as ``10.0.0.0/8``; a unix socket's peer is trusted where ``unix`` is one of them.

    Raises ``ValueError`` for what is no network.
    """

    def __init__(self, trusted: Sequence[str], scheme: str) -> None:
        self._unix = "unix" in trusted
        self._networks = [ipaddress.ip_network(text) for text in trusted if text != "unix"]
        self._known: dict[str, bool] = {}
        self._scheme = scheme.encode()

    def trusts(self, address: str) -> bool:
        if not address:
            return self._unix
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[address] = self._is_inside(address)
        return found

    def _is_inside(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any(each in network for each in (parsed, mapped) if each is not None for network in self._networks)

    def of_peer(self, peer: str) -> bytes:
        """The header lines that tell of a peer that nobody stands before."""
        name = (peer or "unknown").encode()
        return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nForwarded: %b\r\n" % (name, self._scheme, self._node(peer))

    def behind(self, peer: str, fields: Fields) -> tuple[str, bytes, bytes]:
        """The client's address, the header lines and the host, as a trusted peer tells them and with it appended.

        The address is the last one of the chain that is not trusted: what stands before it may be made up.
        """
        chain = [part for text in fields.forwarded_for.split(b",") if (part := text.strip())]
        address = peer
        for hop in reversed(chain):
            address = _bare(hop.decode("latin-1"))
            if not self.trusts(address):
                break
        chain.append((peer or "unknown").encode())
        scheme = fields.forwarded_proto.lower()
        earlier = fields.forwarded + b", " if fields.forwarded else b""
        lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nForwarded: %b%b\r\n" % (
            b", ".join(chain),
            scheme if scheme in (b"http", b"https") else self._scheme,
            earlier,
            self._node(peer),
        )
        host = fields.forwarded_host
        return address, lines, host if _HOST.fullmatch(host) else fields.host

    def _node(self, peer: str) -> bytes:
        name = f'"[{peer}]"' if ":" in peer else peer or "unknown"
        return b"for=%b;proto=%b" % (name.encode(), self._scheme)


def _bare(node: str) -> str:
    """An address without its port: ``1.2.3.4:80``, ``[::1]:80``."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
