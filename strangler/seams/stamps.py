"""The stamp that a proxy puts on each request of a routed context, and what a side may answer to it (P20)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strangler.seams.claims import Owner

CONTEXT, EPOCH, ACCESS = "X-Strangler-Context", "X-Strangler-Epoch", "X-Strangler-Access"
NOT_EXECUTED = "X-Strangler-Not-Executed"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True)
class Stamp:
    context: str
    epoch: int
    writes: bool

    @classmethod
    def of(cls, headers: Mapping[str, str], method: str) -> Stamp | None:
        """The stamp of a request, None where there is none. Raises ``ValueError`` for one that makes no sense."""
        context = headers.get(CONTEXT, "")
        if not context:
            return None
        access = headers.get(ACCESS, "read" if method in SAFE_METHODS else "write")
        if access not in ("read", "write"):
            raise ValueError(f"{ACCESS} is {access!r}")
        epoch = headers.get(EPOCH, "")
        if not epoch.isdecimal():
            raise ValueError(f"{EPOCH} is {epoch!r}")
        return cls(context, int(epoch), access == "write")

    def headers(self) -> dict[str, str]:
        return {CONTEXT: self.context, EPOCH: str(self.epoch), ACCESS: "write" if self.writes else "read"}


def accepts(stamp: Stamp, local: Owner) -> bool:
    """May this side answer? No means 421: not executed here.

    A stamp above the local epoch: this side is the stale one. A write goes to the owner alone. A read may be answered by the
    other side too, from its copy, while both agree on the epoch; an older stamp comes from a proxy that missed a hand-over.
    """
    if stamp.epoch > local.epoch:
        return False
    if local.owner == local.here:
        return True
    return not stamp.writes and stamp.epoch == local.epoch
