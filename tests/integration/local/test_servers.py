"""The embedded servers, as whoever runs the tests (root or not)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from deploy.local import account
from deploy.local.child import wait_gone
from deploy.local.errors import CannotStart
from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from deploy.local.register import Register
from deploy.local.supervisor import clear
from deploy.local.valkey import Valkey


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "state"
    directory.mkdir()
    yield directory
    clear(directory)


@pytest.fixture
def server(state_dir: Path) -> Iterator[Postgres]:
    running = Postgres(state_dir, Ports.free().postgres, durable=False)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def valkey(state_dir: Path) -> Iterator[Valkey]:
    running = Valkey(state_dir, Ports.free().valkey)
    running.start()
    yield running
    running.stop()


def test_data_survive_kill_nine(server: Postgres) -> None:
    url = server.ensure_database("shop")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    server.kill()
    assert not server.is_ready()
    server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_valkey_keeps_its_data_and_asks_for_its_password(valkey: Valkey) -> None:
    client = redis.Redis.from_url(valkey.url())
    client.set("kept", "7")
    client.execute_command("WAITAOF", 1, 0, 2000)
    valkey.kill()
    valkey.start()
    assert client.get("kept") == b"7"
    client.close()
    stranger = redis.Redis(port=valkey.port)
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    stranger.close()


def test_a_stale_pid_file_that_names_another_living_program_is_no_hindrance(server: Postgres) -> None:
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    server.start()
    assert server.is_ready()


def test_a_role_owns_its_database_and_no_more(server: Postgres) -> None:
    shop, payments = server.ensure_database("shop"), server.ensure_database("payments")
    assert server.ensure_database("shop") == shop
    with psycopg.connect(shop) as connection:
        connection.execute("SET session_replication_role = replica")
        row = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
        assert row == (False, True)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(payments.replace("payments:", "shop:", 1))


def test_a_lost_password_file_is_made_anew(server: Postgres, state_dir: Path) -> None:
    server.stop()
    (state_dir / "postgres.password").unlink()
    (state_dir / "secrets.json").unlink()
    server.start()
    assert server.is_ready()
    assert (state_dir / "postgres.password").stat().st_mode & 0o777 == 0o600


def test_a_taken_port_is_one_sentence_with_the_variable_to_change(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"port {port} for postgres is taken .*POSTGRES_PORT") as caught:
            Postgres(state_dir, port).start()
        assert "\n" not in str(caught.value)


def test_data_of_another_version_are_refused_with_the_way_out(server: Postgres) -> None:
    server.stop()
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(CannotStart, match="are PostgreSQL 9's and this is 1[0-9]"):
        server.start()


def test_a_closed_directory_stays_closed(tmp_path: Path) -> None:
    """As root the servers' account can't enter it: the data go elsewhere. Otherwise they run as us, and stay."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    state_dir = closed / "state"
    state_dir.mkdir()
    running = Postgres(state_dir, Ports.free().postgres, durable=False)
    try:
        running.start()
        assert running.data.is_relative_to(account.ELSEWHERE if os.geteuid() == 0 else state_dir)
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        running.stop()
        clear(state_dir)
    assert not running.data.exists()


KILLED_SUPERVISOR = """
import os, signal, sys
from pathlib import Path
from deploy.local.child import Child
from deploy.local.register import Register
from deploy.local.valkey import Valkey
state_dir, port = Path(sys.argv[1]), int(sys.argv[2])
register = Register(state_dir)
register.open()
child = Child(Valkey(state_dir, port).prepare(), state_dir / "log")
child.start()
child.wait_ready()
register.note([child])
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_supervisor_left_running_is_ended(state_dir: Path) -> None:
    argv = [sys.executable, "-c", KILLED_SUPERVISOR, str(state_dir), str(Ports.free().valkey)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = psutil.Process(int(done.stdout))
    register = Register(state_dir)
    register.open()
    assert not wait_gone([left], timeout=0)
    register.close()


def test_a_second_supervisor_is_told_who_runs(state_dir: Path) -> None:
    first, second = Register(state_dir), Register(state_dir)
    first.open()
    with pytest.raises(CannotStart, match=rf"already runs here \(pid {os.getpid()}\)"):
        second.open()
    first.close()
    second.open()
    second.close()
