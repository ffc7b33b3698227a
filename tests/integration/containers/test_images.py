"""Each Dockerfile's steps run in a clean directory; then the estate runs from what they made, as the user that they name,
on databases that the container's own script made. What an engine would add (namespaces, the base image) is not shown here.
"""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.containers.compose import DOCKERFILES, compose
from deploy.containers.place import Containers
from deploy.local.account import Account
from deploy.local.child import Child, Process
from deploy.local.place import ROOT, estate_text
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import SUPERUSER, Postgres
from deploy.local.processes import applications, waves
from deploy.local.valkey import Valkey
from tests.images import Builder, DockerfileError, Image
from tests.servers import state_directory

PASSWORDS = {"SHOP_DB_PASSWORD": "of-the-shop", "PAYMENTS_DB_PASSWORD": "of-payments"}
UID = 10001


@dataclass(frozen=True)
class OnThisMachine(Containers):
    """The containers' place, with their names as addresses of this machine."""

    def host(self, name: str) -> str:
        return HOST

    @property
    def url(self) -> str:
        return self.at("proxy")

    def estate_file(self) -> Path:
        path = self.state_dir.parent / "strangler.toml"
        path.write_text(estate_text(self))
        return path


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    path = state_directory()
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture(scope="module")
def images(directory: Path) -> dict[str, Image]:
    builder = Builder(ROOT, directory / "images")
    return {unit: builder.build(ROOT / path) for unit, path in DOCKERFILES.items()}


@pytest.fixture(scope="module")
def servers(directory: Path) -> Iterator[tuple[Postgres, Valkey]]:
    ports = Ports.free()
    (directory / "servers").mkdir(mode=0o711)
    postgres = Postgres(directory / "servers", ports.postgres, durable=False)
    valkey = Valkey(directory / "servers", ports.valkey)
    try:
        postgres.start()
        valkey.start()
        yield postgres, valkey
    finally:
        for server in (postgres, valkey):
            server.stop()
            server.discard()


@pytest.fixture(scope="module")
def databases(servers: tuple[Postgres, Valkey]) -> dict[str, str]:
    """Made by the script that the image of PostgreSQL runs at its first start."""
    postgres = servers[0]
    environment = {
        **PASSWORDS,
        "PATH": f"{postgres.home.programs / 'bin'}:{os.defpath}",
        "POSTGRES_USER": SUPERUSER,
        "PGHOST": HOST,
        "PGPORT": str(postgres.port),
        "PGPASSWORD": (postgres.state_dir / "postgres.password").read_text(),
    }
    # As the image does with a script that may not be executed: bash reads it.
    subprocess.run(["bash", "-ec", f". {ROOT / 'deploy/containers/databases.sh'}"], env=environment, check=True)
    at = f"{HOST}:{postgres.port}"
    return {
        "DATABASE_URL": f"postgres://shop:{PASSWORDS['SHOP_DB_PASSWORD']}@{at}/shop",
        "PAYMENTS_DATABASE_URL": f"postgres://payments:{PASSWORDS['PAYMENTS_DB_PASSWORD']}@{at}/payments",
    }


@pytest.fixture(scope="module")
def places(
    directory: Path, images: dict[str, Image], servers: tuple[Postgres, Valkey], databases: dict[str, str]
) -> dict[str, OnThisMachine]:
    """Unit → where its containers would be: its own image, its own volume."""
    given = {
        **databases,
        "REDIS_URL": servers[1].url(),
        "EMAIL_URL": "consolemail://",
        "SECRET_KEY": "of-containers-0123456789-0123456789-0123456789",
        "JWT_PRIVATE_KEY": os.environ["JWT_PRIVATE_KEY"],
        "STRANGLER_SERVICE_TOKEN": "token-of-containers-0123456789",
    }
    ports = Ports.free()
    return {
        unit: OnThisMachine(image.path("/var/lib/shop"), ports, given, image.path("/srv/shop"), str(image.python))
        for unit, image in images.items()
    }


@pytest.fixture(scope="module")
def running(directory: Path, places: dict[str, OnThisMachine]) -> Iterator[dict[str, Child]]:
    """The estate of ``docker-compose.yml``, started in its order: set-up, what it is for, the proxy."""
    rows = [_confined(row) for unit, place in places.items() for row in applications(place, {}) if row.unit == unit]
    set_ups: dict[str, Any] = {unit: compose(place)["services"].get(f"{unit}-set-up") for unit, place in places.items()}
    by_unit = {row.unit: row for row in rows}
    for unit, service in set_ups.items():
        if service:
            _set_up(by_unit[unit], service["command"])
    children: dict[str, Child] = {}
    try:
        for wave in waves(rows):
            for row in wave:
                children[row.name] = Child(row, directory / "log")
                children[row.name].start()
            for row in wave:
                children[row.name].wait_ready()
        yield children
    finally:
        for child in children.values():
            child.ask_to_stop()
        for child in children.values():
            child.stop()


def _confined(row: Process) -> Process:
    """As the image's user, where this test may become somebody else and that one can reach this machine's Python."""
    user = Account("", UID, UID)
    becomes = os.geteuid() == 0 and user.can_reach(Path(row.argv[0]))
    return replace(row, account=user) if becomes else row


def _set_up(row: Process, command: list[str]) -> None:
    account = row.account.popen() if row.account else {}
    done = subprocess.run(command, env=dict(row.env), cwd=row.cwd, capture_output=True, text=True, check=False, **account)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr


def _is_healthy(row: Process) -> bool:
    return subprocess.run(row.health, env=dict(row.env), cwd=row.cwd, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_dockerfile_builds(images: dict[str, Image]) -> None:
    assert {unit: image.exposed for unit, image in images.items()} == {
        "monolith": [Ports().monolith],
        "payments": [Ports().payments],
        "proxy": [Ports().proxy, Ports().operator],
    }


def test_an_image_has_nothing_that_it_does_not_run(images: dict[str, Image]) -> None:
    assert not (images["proxy"].path("/srv/shop/monolith")).exists()
    assert not (images["monolith"].path("/srv/shop/tests")).exists()
    found = subprocess.run([images["proxy"].python, "-c", "import django"], capture_output=True, text=True, check=False)
    assert "No module named 'django'" in found.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_estate_runs_from_its_images(running: dict[str, Child], places: dict[str, OnThisMachine]) -> None:
    with urllib.request.urlopen(places["proxy"].url + "/") as page:
        assert page.status == 200
        assert b"<html" in page.read()
    with urllib.request.urlopen(f"http://{HOST}:{places['proxy'].ports.operator}/table") as table:
        assert places["payments"].at("payments").encode() in table.read()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["monolith", "payments", "worker", "payments-worker", "beat", "proxy"])
def test_a_health_check_says_what_is_so(name: str, running: dict[str, Child]) -> None:
    row = running[name].process
    assert _is_healthy(row)
    if name != "beat":  # what beat wrote stays true for ten minutes
        running[name].stop()
        assert not _is_healthy(row)
        running[name].start()
        running[name].wait_ready()


def test_a_source_that_is_kept_out_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".dockerignore").write_text("/*\n!/here\n")
    (tmp_path / "here").write_text("")
    (tmp_path / "there").write_text("")
    dockerfile = tmp_path / "here"
    dockerfile.write_text("FROM python:3.11-slim\nCOPY here ./\nCOPY there ./\n")
    with pytest.raises(DockerfileError, match="COPY there: not in the build context"):
        Builder(tmp_path, tmp_path / "built").build(dockerfile)


def test_a_command_that_fails_is_shown_with_what_it_said(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".dockerignore").write_text("")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM python:3.11-slim\nRUN echo so && \\\n  false\n")
    with pytest.raises(DockerfileError, match=r"RUN echo so &&\s+false ended with 1:\nso"):
        Builder(tmp_path, tmp_path / "built").build(dockerfile)
