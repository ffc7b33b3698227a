"""``docker-compose.yml`` against the table of processes and against the specification. (The machines of CI have no engine.)

``compose-spec.json`` is the Compose specification's own schema (compose-spec/compose-spec, Apache-2.0).
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.containers.__main__ import files
from deploy.local.child import Process
from deploy.local.place import ROOT, Place
from deploy.local.ports import Ports
from deploy.local.processes import applications
from tests.images import steps

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("up"), Ports())


@pytest.fixture(scope="module")
def rows(place: Place) -> dict[str, Process]:
    """What `make up` executes."""
    return {row.name: row for row in applications(place, {})}


@pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/containers/strangler.toml"])
def test_the_file_is_what_the_table_makes(path: str) -> None:
    assert (ROOT / path).read_text() == files()[path], "type: python3 make.py containers"


def test_it_validates_against_the_specification() -> None:
    jsonschema.Draft7Validator(json.loads((Path(__file__).parent / "compose-spec.json").read_text())).validate(COMPOSE)


def test_every_process_of_make_up_has_its_container(rows: dict[str, Process]) -> None:
    servers, set_ups = {"postgres", "valkey", "rabbitmq"}, {"monolith-set-up", "payments-set-up"}
    assert SERVICES.keys() - servers - set_ups == rows.keys()


@pytest.mark.parametrize("name", ["monolith", "payments", "worker", "payments-worker", "beat", "proxy"])
def test_command_environment_and_health_check_are_those_of_make_up(name: str, rows: dict[str, Process], place: Place) -> None:
    """Word by word, but for what must differ: where the interpreter, the sources and the data lie, and what listeners bind."""

    def moved(word: str) -> str:
        for here, inside in ((place.python, "python"), (str(place.state_dir), "/var/lib/shop"), (str(ROOT), "/srv/shop")):
            word = word.replace(here, inside)
        return re.sub(r"^127\.0\.0\.1:(?=\d+$)", "0.0.0.0:", word)

    row, service = rows[name], SERVICES[name]
    as_read = json.loads(json.dumps(service).replace("$$", "$"))
    assert as_read["command"] == [moved(word) for word in row.argv]
    assert as_read["healthcheck"]["test"] == ["CMD", *(moved(word) for word in row.health)]
    assert service["working_dir"] == moved(str(row.cwd))
    assert service["environment"].keys() - {"JWT_PRIVATE_KEY"} == row.env.keys() - {"PATH", "JWT_PRIVATE_KEY_FILE"}
    for variable in {"DJANGO_SETTINGS_MODULE", "MEDIA_ROOT", "PYTHONPATH", "PYTHONUNBUFFERED"} & row.env.keys():
        assert service["environment"][variable] == moved(row.env[variable])


def test_secrets_come_from_the_environment_alone() -> None:
    """Each is a variable, and the script that makes them makes all."""
    text = (ROOT / "docker-compose.yml").read_text()
    named = set(re.findall(r"\$\{(\w+)", text)) - {"PROXY_PORT", "OPERATOR_PORT", "SITE_URL", "EMAIL_URL", "CELERY_BROKER_URL"}
    script = (ROOT / "deploy/containers/secrets.sh").read_text()
    assert named
    assert {name for name in named if name not in script} == set()
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY|AUTH", name):
                assert re.fullmatch(r"\$\{\w+(:\?[^}]*)?\}", value), name


def test_secrets_are_written_once(tmp_path: Path) -> None:
    script = ROOT / "deploy/containers/secrets.sh"
    subprocess.run(["sh", script], cwd=tmp_path, check=True)
    written = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in written.splitlines())
    assert len(set(values.values())) == len(values) == 8
    assert values["JWT_PRIVATE_KEY"].startswith("'-----BEGIN PRIVATE KEY-----\\n")
    again = subprocess.run(["sh", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "there is an .env already" in again.stderr
    assert (tmp_path / ".env").read_text() == written
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_what_a_service_needs_is_there_and_has_a_health_check_or_ends() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            other = SERVICES[needed]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in other, (name, needed)
            else:
                assert other["restart"] == "no", (name, needed)
            assert how.get("required", True) or other["profiles"], (name, needed)


def test_everything_that_is_named_exists() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            assert mount.split(":")[0] in COMPOSE["volumes"]
        for mount in service.get("configs", []):
            assert mount["source"] in COMPOSE["configs"]
        if "build" in service:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    for source in COMPOSE["configs"].values():
        assert (ROOT / source["file"]).is_file()


def test_only_the_proxy_is_reached_from_outside_and_from_this_machine_alone() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy"}
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["proxy"]["ports"])


def test_nothing_of_ours_runs_as_root() -> None:
    for service in SERVICES.values():
        if "build" in service:
            users = [rest for name, rest in steps((ROOT / service["build"]["dockerfile"]).read_text()) if name == "USER"]
            assert users == ["10001:10001"]
            assert service["cap_drop"] == ["ALL"]
            assert service["read_only"]
