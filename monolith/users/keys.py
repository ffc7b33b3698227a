"""The RSA key that signs access tokens, and its public half as a JSON Web Key."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@functools.cache
def private_key() -> RSAPrivateKey:
    """From JWT_PRIVATE_KEY (PEM), else from JWT_PRIVATE_KEY_FILE, which is made in development if there is none."""
    pem = settings.JWT_PRIVATE_KEY.encode() or _read(Path(settings.JWT_PRIVATE_KEY_FILE))
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ImproperlyConfigured("JWT_PRIVATE_KEY is not an RSA key; make one with `openssl genrsa 2048`")
    return key


@functools.cache
def public_key() -> RSAPublicKey:
    return private_key().public_key()


@functools.cache
def jwk() -> dict[str, Any]:
    """RFC 7517; ``kid`` is the RFC 7638 thumbprint."""
    numbers = public_key().public_numbers()
    required = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
    return {**required, "use": "sig", "alg": "RS256", "kid": thumbprint}


def _base64url(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _read(path: Path) -> bytes:
    if not path.exists():
        if not settings.JWT_GENERATE:
            raise ImproperlyConfigured(
                f"{path} does not exist: set JWT_PRIVATE_KEY, or make it with `openssl genrsa -out {path}`"
            )
        _make(path)
    return path.read_bytes()


def _make(path: Path) -> None:
    """Several processes may start at once: the first to link its file under the name wins, whole."""
    pem = generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)
