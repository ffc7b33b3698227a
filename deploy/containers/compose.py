"""``docker-compose.yml``, made from the table of processes that `make up` executes."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from deploy.containers.place import ESTATE_FILE, Containers, needed
from deploy.local import postgres, valkey
from deploy.local.child import Process
from deploy.local.place import SERVICE, UNITS, environment
from deploy.local.processes import applications
from deploy.local.setup import MIGRATING

HEAD = """\
# The estate on containers. Made from the table of processes that `make up` executes: change deploy/local/processes.py or
# deploy/containers/ and type `python3 make.py containers`. How to use it: docs/howto/run-on-containers.md
#
#   sh deploy/containers/secrets.sh       # once: writes .env, a secret for everything
#   docker compose up --build --wait      # the shop is on http://127.0.0.1:8000
"""
DOCKERFILES = {
    "monolith": "monolith/Dockerfile",
    "payments": f"{SERVICE}/Dockerfile",
    "proxy": "proxy/Dockerfile",
}
PATIENCE_S = {"proxy": 35}  # it lets what is under way end: 30 s
EVERY = {"interval": "5s", "timeout": "5s", "retries": 6, "start_period": "60s"}
SELDOM = {"interval": "30s", "timeout": "20s", "retries": 3, "start_period": "60s"}  # a Python program each time


def compose(place: Containers) -> dict[str, Any]:
    """The file as data. Every application is a row of the table; the servers come from public images."""
    rows = applications(place, {})
    environments = {unit: _environment(place, unit) for unit in DOCKERFILES}
    services = {
        "postgres": _postgres(),
        "valkey": _valkey(),
        "rabbitmq": _rabbitmq(),
        **{f"{unit}-set-up": _set_up(unit, environments[unit]) for unit in UNITS},
        **{row.name: _application(row, environments[row.unit]) for row in rows},
    }
    return {
        "name": "shop",
        **{f"x-{unit}-environment": variables for unit, variables in environments.items()},
        "services": services,
        "configs": {
            "estate": {"file": "./deploy/containers/strangler.toml"},
            "databases": {"file": "./deploy/containers/databases.sh"},
        },
        "volumes": {"postgres": None, "valkey": None, "rabbitmq": None, "shop": None, "payments": None, "proxy": None},
    }


def _environment(place: Containers, unit: str) -> dict[str, str]:
    variables = environment(place, unit, {})
    del variables["PATH"]  # the image's
    return variables


def _application(row: Process, variables: dict[str, str]) -> dict[str, Any]:
    service = {
        **_image(row.unit),
        "command": _words(row.argv),
        "working_dir": str(row.cwd),
        "environment": variables,
        **_mounts(row.unit),
        "depends_on": _needs(row),
        "healthcheck": {"test": ["CMD", *_words(row.health)], **(SELDOM if row.queues else EVERY)},
        "restart": "unless-stopped",
        **_confined(),
    }
    if row.unit == "proxy":
        service["ports"] = ["127.0.0.1:${PROXY_PORT:-8000}:8000", "127.0.0.1:${OPERATOR_PORT:-8009}:8009"]
    if row.name in PATIENCE_S:
        service["stop_grace_period"] = f"{PATIENCE_S[row.name]}s"
    return service


def _confined() -> dict[str, Any]:
    """Nothing of ours runs as root (see the Dockerfiles), writes outside its volume or gains a right."""
    return {
        "init": True,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _image(unit: str) -> dict[str, Any]:
    return {"image": f"shop-{unit}", "build": {"context": ".", "dockerfile": DOCKERFILES[unit]}}


def _mounts(unit: str) -> dict[str, Any]:
    volume = {"monolith": "shop"}.get(unit, unit)
    mounts: dict[str, Any] = {"volumes": [f"{volume}:/var/lib/shop"]}
    if unit in UNITS:
        mounts["configs"] = [{"source": "estate", "target": str(ESTATE_FILE)}]
    return mounts


def _needs(row: Process) -> dict[str, Any]:
    if row.unit == "proxy":
        return {"valkey": _healthy(), **{name: _healthy() for name in row.needs}}
    return {**_servers(), f"{row.unit}-set-up": {"condition": "service_completed_successfully"}}


def _servers() -> dict[str, Any]:
    return {"postgres": _healthy(), "valkey": _healthy(), "rabbitmq": {**_healthy(), "required": False}}


def _healthy() -> dict[str, Any]:
    return {"condition": "service_healthy"}


def _set_up(unit: str, variables: dict[str, str]) -> dict[str, Any]:
    steps = [("python", "-m", "django", *words) for words in MIGRATING[unit]]
    if unit == "monolith":
        steps.append(("python", "-m", "django", "seed", "--if-empty"))
    return {
        **_image(unit),
        "command": ["sh", "-c", " && ".join(shlex.join(step) for step in steps)],
        "environment": variables,
        **_mounts(unit),
        "depends_on": {"postgres": _healthy(), "valkey": _healthy()},
        "restart": "no",
        **_confined(),
    }


def _postgres() -> dict[str, Any]:
    elsewhere = {"listen_addresses", "unix_socket_directories"}
    settings = {name: value for name, value in postgres.SETTINGS.items() if name not in elsewhere and value}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return {
        "image": "postgres:18",
        "command": ["postgres", *options],
        "environment": {
            **{name: needed(name) for name in ("POSTGRES_PASSWORD", "SHOP_DB_PASSWORD", "PAYMENTS_DB_PASSWORD")},
            "POSTGRES_INITDB_ARGS": shlex.join((*postgres.INITDB, *postgres.BUILTIN_LOCALE)),
        },
        "volumes": ["postgres:/var/lib/postgresql"],
        "configs": [{"source": "databases", "target": "/docker-entrypoint-initdb.d/databases.sh"}],
        "healthcheck": {"test": ["CMD", "pg_isready", "--host", "127.0.0.1", "--username", postgres.SUPERUSER], **EVERY},
        "restart": "unless-stopped",
        "stop_signal": postgres.STOP_SIGNAL.name,
        "shm_size": postgres.MIN_SHARED,
    }


def _valkey() -> dict[str, Any]:
    """Its entry point gives up root for ``valkey-server`` alone: no shell before it."""
    password = needed("VALKEY_PASSWORD")
    options = [word for name, value in valkey.SETTINGS.items() for word in (f"--{name}", value)]
    return {
        "image": "valkey/valkey:9",
        "command": ["valkey-server", *options, "--requirepass", password],
        "environment": {"REDISCLI_AUTH": password},
        "volumes": ["valkey:/data"],
        "healthcheck": {"test": ["CMD-SHELL", "valkey-cli ping | grep -q PONG"], **EVERY},
        "restart": "unless-stopped",
    }


def _rabbitmq() -> dict[str, Any]:
    """Only with ``--profile rabbitmq``; ``CELERY_BROKER_URL`` then names it."""
    return {
        "image": "rabbitmq:4",
        "profiles": ["rabbitmq"],
        "hostname": "rabbitmq",  # its data lie under its name
        "environment": {"RABBITMQ_DEFAULT_USER": "shop", "RABBITMQ_DEFAULT_PASS": "${RABBITMQ_PASSWORD}"},
        "volumes": ["rabbitmq:/var/lib/rabbitmq"],
        "healthcheck": {"test": ["CMD", "rabbitmq-diagnostics", "--quiet", "ping"], **SELDOM},
        "restart": "unless-stopped",
    }


def _words(argv: tuple[str, ...]) -> list[str]:
    """Compose reads ``$`` as the beginning of a variable; one that a shell in the container shall read is written twice."""
    return [word.replace("$", "$$") for word in argv]


class _Dumper(yaml.SafeDumper):
    """Lists of words on one line; shared environments as anchors that are named after their unit."""

    def generate_anchor(self, node: yaml.Node) -> str:
        return list(DOCKERFILES)[int(super().generate_anchor(node).removeprefix("id")) - 1]

    def represent_list(self, data: list[Any]) -> yaml.Node:
        words = all(isinstance(word, str) for word in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=words)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))


def as_text(data: dict[str, Any]) -> str:
    return HEAD + "\n" + yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
