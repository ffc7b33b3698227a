"""Which way changes get to a context's service, as ``strangler.toml`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strangler.sync.client import ServiceClient
from strangler.sync.collections import declared
from strangler.sync.courier import Courier

if TYPE_CHECKING:
    from strangler.sync.relay import Destination


def destination_of(context: str) -> Destination:
    return Courier(context) if declared(context).transport == "celery" else ServiceClient(context)
