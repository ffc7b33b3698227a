"""Where an estate lives: its directory, ports, servers and secrets, and what each unit's settings read from the environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from deploy.local.errors import CannotStart
from deploy.local.keyring import Keyring, signing_key
from deploy.local.ports import HOST, Ports

ROOT = Path(__file__).resolve().parents[2]
SERVICE = Path("extracted") / "payments-django"
UNITS = ("monolith", "payments")  # those with a database of their own
REPLACEABLE = (
    "DATABASE_URL",
    "PAYMENTS_DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "EMAIL_URL",
    "SECRET_KEY",
    "STRANGLER_SERVICE_TOKEN",
)
OURS = (
    *REPLACEABLE,
    "ALLOWED_HOSTS",
    "CACHE_URL",
    "DJANGO_SETTINGS_MODULE",
    "JWT_PRIVATE_KEY",
    "JWT_PRIVATE_KEY_FILE",
    "MEDIA_ROOT",
    "PYTHONPATH",
    "SITE_URL",
    "STRANGLER_ESTATE",
)


@dataclass(frozen=True)
class Place:
    """This machine. ``given`` holds the user's own URLs and secrets (``REPLACEABLE``), which win over ours.

    ``root`` has the sources, ``python`` the packages, ``listen`` is the address that listeners bind.
    """

    state_dir: Path
    ports: Ports
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    root: Path = ROOT
    python: str = sys.executable
    listen: str = HOST

    def host(self, name: str) -> str:
        """Where others reach the process ``name``."""
        return HOST

    def at(self, name: str) -> str:
        return f"http://{self.host(name)}:{getattr(self.ports, name)}"

    @property
    def url(self) -> str:
        """The way in, as people type it."""
        return f"http://{HOST}:{self.ports.proxy}"

    @property
    def keyring(self) -> Keyring:
        return Keyring.open(self.state_dir)

    @property
    def embeds_postgres(self) -> bool:
        """Whether PostgreSQL is ours. Raises ``CannotStart`` when only one of the two databases is given."""
        given = [name for name in ("DATABASE_URL", "PAYMENTS_DATABASE_URL") if self.given.get(name)]
        if len(given) == 1:
            missing = "PAYMENTS_DATABASE_URL" if given == ["DATABASE_URL"] else "DATABASE_URL"
            raise CannotStart(f"{given[0]} is set and {missing} is not; each unit has a database of its own, so set both or none")
        return not given

    @property
    def embeds_valkey(self) -> bool:
        return not self.given.get("REDIS_URL")

    def database_url(self, unit: str) -> str:
        """The database of ``monolith`` or ``payments``."""
        variable, name = {"monolith": ("DATABASE_URL", "shop"), "payments": ("PAYMENTS_DATABASE_URL", "payments")}[unit]
        return self.given.get(variable) or f"postgres://{name}:{self.keyring.password(name)}@{HOST}:{self.ports.postgres}/{name}"

    def redis_url(self, database: int = 0) -> str:
        """Database 0 is the product's channel, 1 cache and sessions, 2 the broker."""
        given = self.given.get("REDIS_URL")
        if not given:
            return f"redis://:{self.keyring.password('valkey')}@{HOST}:{self.ports.valkey}/{database}"
        return given if database == 0 else urlunsplit(urlsplit(given)._replace(path=f"/{database}"))

    @property
    def service_token(self) -> str:
        return self.given.get("STRANGLER_SERVICE_TOKEN") or self.keyring.service_token

    def secrets(self) -> dict[str, str]:
        """What tokens and sessions are signed with."""
        return {
            "SECRET_KEY": self.given.get("SECRET_KEY") or self.keyring.secret_key,
            "JWT_PRIVATE_KEY_FILE": str(signing_key(self.state_dir)),
            "STRANGLER_SERVICE_TOKEN": self.service_token,
        }

    def estate_file(self) -> Path:
        """``strangler.toml``, or where the ports differ a copy of it that names them."""
        text = estate_text(self)
        if text == (ROOT / "strangler.toml").read_text(encoding="utf-8"):
            return ROOT / "strangler.toml"
        copy = self.state_dir / "strangler.toml"
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")
        return copy

    def first_table(self) -> Path:
        """The proxy's last good route table; before there was one, a table that sends everything to the monolith."""
        path = self.state_dir / "proxy-table.json"
        if not path.exists():
            default = {"targets": [self.at("monolith")]}
            table = {"generation": 0, "version": 0, "default": default, "contexts": {}, "routes": [], "also": []}
            path.write_text(json.dumps(table) + "\n")
        return path


def estate_text(place: Place) -> str:
    """The declared estate with the addresses of ``place``."""
    text, default = (ROOT / "strangler.toml").read_text(encoding="utf-8"), Ports()
    for name in UNITS:
        text = text.replace(f"http://{HOST}:{getattr(default, name)}", place.at(name))
    return text


def settings(place: Place, unit: str) -> dict[str, str]:
    """What the settings of ``monolith``, ``payments`` or ``proxy`` read from the environment, and nothing else of it."""
    if unit == "proxy":
        return {"REDIS_URL": place.redis_url(), "STRANGLER_SERVICE_TOKEN": place.service_token}
    hosts = dict.fromkeys((HOST, "localhost", *(place.host(name) for name in UNITS)))
    module = {"monolith": "monolith.settings", "payments": "payments_service.settings"}[unit]
    return {
        "ALLOWED_HOSTS": ",".join(hosts),
        "CELERY_BROKER_URL": place.given.get("CELERY_BROKER_URL") or place.redis_url(2),
        "DATABASE_URL": place.database_url(unit),
        "DJANGO_SETTINGS_MODULE": module,
        "EMAIL_URL": place.given.get("EMAIL_URL") or f"filemail://{place.state_dir}/mail",
        "MEDIA_ROOT": str(place.state_dir / "media"),
        "REDIS_URL": place.redis_url(),
        "SITE_URL": place.url,
        "STRANGLER_ESTATE": str(place.estate_file()),
        **place.secrets(),
    }


def environment(place: Place, unit: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a unit's processes: what ``inherited`` has, but every setting of ours from the table."""
    kept = {name: value for name, value in inherited.items() if name not in OURS}
    sources = {"monolith": (".",), "payments": (str(SERVICE), "."), "proxy": (".", "proxy")}[unit]
    python = {"PYTHONPATH": os.pathsep.join(str(place.root / source) for source in sources), "PYTHONUNBUFFERED": "1"}
    path = f"{Path(place.python).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {**kept, **settings(place, unit), **python, "PATH": path}
