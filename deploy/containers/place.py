"""The estate's place among containers: each process in one of its own, which others reach by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.local.place import Place
from deploy.local.ports import Ports

SOURCES, STATE, ESTATE_FILE = Path("/srv/shop"), Path("/var/lib/shop"), Path("/etc/shop/strangler.toml")
VALKEY = "redis://:${VALKEY_PASSWORD}@valkey:6379/0"


def needed(name: str) -> str:
    """A variable without which Compose refuses to start, and says what to do."""
    return f"${{{name}:?type: sh deploy/containers/secrets.sh}}"


GIVEN = {
    "DATABASE_URL": "postgres://shop:${SHOP_DB_PASSWORD}@postgres:5432/shop",
    "PAYMENTS_DATABASE_URL": "postgres://payments:${PAYMENTS_DB_PASSWORD}@postgres:5432/payments",
    "REDIS_URL": VALKEY,
    "CELERY_BROKER_URL": f"${{CELERY_BROKER_URL:-{VALKEY.replace('/0', '/2')}}}",
    "EMAIL_URL": "${EMAIL_URL:-consolemail://}",
    "SECRET_KEY": needed("SECRET_KEY"),
    "JWT_PRIVATE_KEY": needed("JWT_PRIVATE_KEY"),
    "STRANGLER_SERVICE_TOKEN": needed("STRANGLER_SERVICE_TOKEN"),
}


@dataclass(frozen=True)
class Containers(Place):
    """Secrets and servers are ``given`` as Compose's variables, which it takes from the environment or from ``.env``."""

    @classmethod
    def of_compose(cls) -> Containers:
        return cls(STATE, Ports(), GIVEN, root=SOURCES, python="python", listen="0.0.0.0")

    def host(self, name: str) -> str:
        return name

    @property
    def url(self) -> str:
        return "${SITE_URL:-http://127.0.0.1:8000}"

    def secrets(self) -> dict[str, str]:
        return {name: self.given[name] for name in ("SECRET_KEY", "JWT_PRIVATE_KEY", "STRANGLER_SERVICE_TOKEN")}

    def estate_file(self) -> Path:
        return ESTATE_FILE

    def first_table(self) -> Path:
        """The proxy writes it when the control plane's first one has come."""
        return self.state_dir / "proxy-table.json"
