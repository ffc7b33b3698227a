from __future__ import annotations

import pytest

from deploy.local.errors import Misconfigured
from deploy.local.ports import Ports


def test_variables_replace_the_defaults() -> None:
    ports = Ports.from_environ({"PROXY_PORT": "9000", "MONOLITH_PORT": ""})
    assert (ports.proxy, ports.monolith, ports.payments) == (9000, 8001, 8105)


@pytest.mark.parametrize("text", ["eighty", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_named(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"VALKEY_PORT='.*' is not a port; set it to a number from 1 to 65535"):
        Ports.from_environ({"VALKEY_PORT": text})


def test_two_listeners_on_one_port_are_named() -> None:
    with pytest.raises(Misconfigured, match="PROXY_PORT and MONOLITH_PORT are both 8001"):
        Ports.from_environ({"PROXY_PORT": "8001"})


def test_free_ports_differ() -> None:
    ports = Ports.free()
    assert len({ports.proxy, ports.monolith, ports.payments, ports.operator, ports.postgres, ports.valkey}) == 6
