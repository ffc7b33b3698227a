"""TLS for clients: a directory of certificates, one file a host name, read again when a file changes; no connection is dropped.

``shop.example.pem`` (chain and key in one file), ``_.shop.example.pem`` for ``*.shop.example``, ``default.pem`` for all others.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from strangler_proxy.access_log import event
from strangler_proxy.settings import BadSettings, Settings

DEFAULT = "default"


class Certificates:
    """``context`` is for the listener. Raises ``BadSettings`` if there is no usable ``default.pem``."""

    def __init__(self, directory: Path, client_ca: Path | None = None) -> None:
        self._directory, self._client_ca = directory, client_ca
        self._seen: dict[str, float] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.look()
        if DEFAULT not in self._contexts:
            raise BadSettings(f"{directory / 'default.pem'} is no certificate with its key; TLS needs one for unknown host names")
        self.context = self._made(self._directory / f"{DEFAULT}.pem")
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Takes what is new or has changed. What can't be used is told, and the certificate of before stays."""
        try:
            files = {path.stem: path for path in self._directory.glob("*.pem")}
        except OSError:
            return
        for name, path in files.items():
            try:
                changed = path.stat().st_mtime
                if self._seen.get(name) == changed:
                    continue
                self._seen[name] = changed
                self._contexts[name] = self._made(path)
                event("certificate.applied", host=name)
            except (OSError, ssl.SSLError) as error:
                event("certificate.refused", host=name, reason=error)
        for gone in self._contexts.keys() - files.keys() - {DEFAULT}:
            del self._contexts[gone]
            self._seen.pop(gone, None)

    def _made(self, path: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(path)
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except (OSError, ssl.SSLError) as error:
                raise BadSettings(f"{self._client_ca} has no authority's certificate: {error}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        host = (name or "").lower()
        wild = "_." + host.partition(".")[2]
        contexts = self._contexts
        connection.context = contexts.get(host) or contexts.get(wild) or contexts[DEFAULT]


def outgoing(settings: Settings) -> ssl.SSLContext:
    """For https targets: verified by the system's authorities and ``target_ca``; ``target_certificate`` shows who we are.

    Raises ``BadSettings``.
    """
    context = ssl.create_default_context()
    try:
        if settings.target_ca is not None:
            context.load_verify_locations(settings.target_ca)
        if settings.target_certificate is not None:
            context.load_cert_chain(settings.target_certificate)
    except (OSError, ssl.SSLError) as error:
        named = settings.target_ca or settings.target_certificate
        raise BadSettings(f"TLS towards applications can't be set up with {named}: {error}") from error
    return context


def judge(settings: Settings) -> None:
    """Whether TLS can be set up as told, before any worker starts. Raises ``BadSettings``."""
    if settings.certificates is not None:
        Certificates(settings.certificates, settings.client_ca)
    if settings.target_ca is not None or settings.target_certificate is not None:
        outgoing(settings)
