from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from deploy.local.child import Process
from deploy.local.errors import CannotStart
from deploy.local.place import ROOT, Place, environment
from deploy.local.ports import Ports
from deploy.local.processes import applications, waves
from deploy.local.readiness import Says


def process(name: str, *needs: str) -> Process:
    return Process(name=name, argv=("true",), env={}, ready=Says("ready"), needs=needs)


def test_each_wave_needs_only_earlier_ones() -> None:
    order = waves([process("proxy", "monolith", "worker"), process("monolith"), process("worker", "monolith")])
    assert [[each.name for each in wave] for wave in order] == [["monolith"], ["worker"], ["proxy"]]


def test_a_need_that_nobody_meets_is_named() -> None:
    with pytest.raises(ValueError, match="nothing meets the needs of proxy"):
        waves([process("proxy", "nobody")])


def test_every_unit_has_a_queue_and_a_database_of_its_own(tmp_path: Path) -> None:
    place = Place(tmp_path, Ports())
    rows = {row.name: row for row in applications(place, {"PATH": "/bin"})}
    assert rows["worker"].queues == ("monolith", "strangler")
    assert rows["payments-worker"].queues == ("payments", "strangler.payments")
    assert rows["monolith"].env["DATABASE_URL"].endswith("@127.0.0.1:25432/shop")
    assert rows["payments"].env["DATABASE_URL"].endswith("@127.0.0.1:25432/payments")
    assert rows["monolith"].env["STRANGLER_SERVICE_TOKEN"] == rows["payments"].env["STRANGLER_SERVICE_TOKEN"]


def test_settings_come_from_the_table_and_not_from_the_shell(tmp_path: Path) -> None:
    shell = {"DATABASE_URL": "postgres://elsewhere", "JWT_PRIVATE_KEY": "x", "LANG": "C"}
    found = environment(Place(tmp_path, Ports()), "monolith", shell)
    assert "elsewhere" not in found["DATABASE_URL"]
    assert "JWT_PRIVATE_KEY" not in found
    assert found["LANG"] == "C"


def test_given_servers_win(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "postgres://a/b", "PAYMENTS_DATABASE_URL": "postgres://a/c", "REDIS_URL": "redis://d:1/0"}
    place = Place(tmp_path, Ports(), given)
    assert not place.embeds_postgres
    assert not place.embeds_valkey
    assert environment(place, "payments", {})["DATABASE_URL"] == "postgres://a/c"
    assert environment(place, "monolith", {})["CELERY_BROKER_URL"] == "redis://d:1/2"


def test_one_database_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="DATABASE_URL is set and PAYMENTS_DATABASE_URL is not"):
        _ = Place(tmp_path, Ports(), {"DATABASE_URL": "postgres://a/b"}).embeds_postgres


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    place = Place(tmp_path, Ports())
    assert place.keyring == place.keyring
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(place.keyring.service_token) >= 32


def test_other_ports_make_a_copy_of_the_estate_file(tmp_path: Path) -> None:
    assert Place(tmp_path, Ports()).estate_file() == ROOT / "strangler.toml"
    copy = Place(tmp_path, Ports(monolith=9001, payments=9105)).estate_file()
    declared = tomllib.loads(copy.read_text())
    assert declared["estate"]["monolith"] == ["http://127.0.0.1:9001"]
    assert declared["contexts"]["payments"]["service"]["urls"] == ["http://127.0.0.1:9105"]
