"""A real RabbitMQ for the tests: Debian's program, run by us, with data, names and ports of its own, on 127.0.0.1 alone.

It is no part of the estate that `make up` starts; there RabbitMQ is a broker URL away. Erlang's name server (epmd) runs beside it
on a port of ours too, so that no node of the machine is touched, and both end with us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kombu import Connection

from deploy.local.account import Home, discard, home_for
from deploy.local.child import Child, Process
from deploy.local.errors import CannotStart
from deploy.local.keyring import write_private
from deploy.local.ports import HOST, Ports
from deploy.local.readiness import Holds

# The program itself; Debian's own /usr/sbin/rabbitmq-server insists on the system's user and directories.
PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/sbin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server")
USER = PASSWORD = "tests"
CONFIGURATION = """
listeners.tcp.1 = {host}:{port}
default_user = {user}
default_pass = {password}
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
"""
# One scheduler that does not spin while it waits: the machine has other work.
ERLANG = "+S 1:1 +SDcpu 1:1 +SDio 2 +A 2 +sbwt none +sbwtdcpu none +sbwtdio none"


class RabbitMQ:
    """A broker whose data lies in ``state_dir``. ``kill`` and ``start`` again keep queues and durable messages."""

    def __init__(self, state_dir: Path) -> None:
        free = Ports.free()
        self.state_dir, self.port, self._names_port, self._node_port = state_dir, free.proxy, free.operator, free.monolith
        self._home: Home | None = None
        self.names: Child | None = None
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{PASSWORD}@{HOST}:{self.port}//"

    @property
    def home(self) -> Home:
        if self._home is None:
            self._home = home_for(self.state_dir, "rabbitmq", program())
        return self._home

    def start(self) -> str:
        """Gives its URL. Raises ``CannotStart`` with its last words."""
        self.names = self.names or self._begin(self._name_server())
        self.child = self.child or Child(self._server(), self.state_dir / "log")
        self.child.start()
        self.child.wait_ready(120)  # it needs 7 s of a core, on a busy machine much more
        return self.url

    def kill(self) -> None:
        """As `kill -9` does."""
        if self.child:
            self.child.kill()

    def stop(self) -> None:
        """Its data is thrown away, so it need not end in good order."""
        self.kill()
        if self.names:
            self.names.kill()

    def discard(self) -> None:
        shutil.rmtree(self.home.path, ignore_errors=True)
        discard(self.state_dir)

    def is_ready(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=1) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    def _begin(self, process: Process) -> Child:
        child = Child(process, self.state_dir / "log")
        child.start()
        child.wait_ready()
        return child

    def _name_server(self) -> Process:
        argv = (_epmd(), "-address", HOST, "-port", str(self._names_port))
        is_up = Holds(lambda: subprocess.call([argv[0], "-port", argv[-1], "-names"], stdout=-3, stderr=-3, env=self._env) == 0)
        return Process(name="epmd", argv=argv, env=self._env, cwd=self.home.path, account=self.home.account, ready=is_up)

    def _server(self) -> Process:
        configuration = self.home.path / "rabbitmq.conf"
        write_private(configuration, CONFIGURATION.format(host=HOST, port=self.port, user=USER, password=PASSWORD))
        if self.home.account:
            os.chown(configuration, self.home.account.uid, self.home.account.gid)
        env = {
            **self._env,
            "RABBITMQ_NODENAME": f"tests-{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home.path / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home.path / "data"),
            "RABBITMQ_LOG_BASE": str(self.home.path / "log"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{ERLANG} -kernel inet_dist_use_interface {{127,0,0,1}}",
        }
        return Process(
            name="rabbitmq",
            argv=(program().as_posix(),),
            env=env,
            cwd=self.home.path,
            account=self.home.account,
            ready=Holds(self.is_ready),
            port=self.port,
        )

    @property
    def _env(self) -> dict[str, str]:
        here = {"HOME": str(self.home.path), "ERL_EPMD_ADDRESS": HOST, "ERL_EPMD_PORT": str(self._names_port)}
        return {"LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin", **here}


def program() -> Path:
    """Raises ``CannotStart`` where there is none."""
    for path in map(Path, PROGRAMS):
        if path.exists():
            return path
    raise CannotStart("these tests need RabbitMQ; on Debian and Ubuntu type `apt-get install rabbitmq-server` and start again")


def _epmd() -> str:
    found = shutil.which("epmd")
    if not found:
        raise CannotStart("RabbitMQ is here but Erlang's name server isn't: there is no program epmd in PATH")
    return found
