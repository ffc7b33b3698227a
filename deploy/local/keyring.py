"""The estate's secrets: made once, kept in files that only their owner may read, handed to processes by environment."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class Keyring:
    """What ``secrets.json`` holds. ``servers`` is the secret from which the embedded servers' passwords are made."""

    secret_key: str
    service_token: str
    servers: str

    def password(self, role: str) -> str:
        return hmac.new(self.servers.encode(), role.encode(), hashlib.sha256).hexdigest()[:32]

    @classmethod
    def open(cls, state_dir: Path) -> Keyring:
        """The keyring of a state directory; what it lacks is made and written."""
        path = state_dir / "secrets.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        keyring = cls(**{field.name: known.get(field.name) or secrets.token_urlsafe(48) for field in fields(cls)})
        if asdict(keyring) != known:
            write_private(path, json.dumps(asdict(keyring), indent=2) + "\n")
        return keyring


def signing_key(state_dir: Path) -> Path:
    """The shop's key for JWTs (RSA, PEM), made at the first call."""
    path = state_dir / "jwt.pem"
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_private(path, pem.decode())
    return path


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step, readable by its owner alone."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
