"""RabbitMQ as the peers' guides ask for it: with STOMP."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.child import Process
from deploy.local.ports import HOST, Ports
from tests.rabbitmq import RabbitMQ


class Broker(RabbitMQ):
    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(state_dir)
        self.stomp_port = Ports.free().valkey

    def _server(self) -> Process:
        made = super()._server()
        with Path(made.env["RABBITMQ_CONFIG_FILE"]).open("a") as configuration:
            configuration.write(f"stomp.listeners.tcp.1 = {HOST}:{self.stomp_port}\n")
        plugins = Path(made.env["RABBITMQ_ENABLED_PLUGINS_FILE"])
        plugins.write_text("[rabbitmq_stomp].\n")
        if self.home.account:
            os.chown(plugins, self.home.account.uid, self.home.account.gid)
        return made
