"""What can go wrong at a seam. The caller of a contract may meet these whichever side answers."""

from __future__ import annotations

from strangler.errors import Fenced, StranglerError

__all__ = ["Fenced", "NotOwner", "OutsideTransaction", "RemoteInsideTransaction", "SeamTimeout", "SeamUnavailable"]


class RemoteInsideTransaction(StranglerError):
    """A remote write was asked for inside ``atomic`` (P18): it could not be rolled back with the rest."""

    def __init__(self, context: str, method: str) -> None:
        self.context, self.method = context, method
        super().__init__(
            f"{context}.{method} is remote now and can't be part of a transaction. Commit an intent first, call "
            "after the commit, and give the intent's id as the idempotency key."
        )


class OutsideTransaction(StranglerError):
    """``claim`` was called outside ``atomic``: there is nothing for which the side could be fixed."""

    def __init__(self, context: str) -> None:
        super().__init__(f'claim("{context}") needs a transaction. Call it first inside transaction.atomic().')


class SeamUnavailable(StranglerError):
    """The other side did not do it: not reachable, refused, or the circuit is open. **Nothing was executed.**"""

    def __init__(self, context: str, reason: str) -> None:
        self.context = context
        super().__init__(f"{context} is not available: {reason}. Look at `strangler status {context}`.")


class SeamTimeout(StranglerError):
    """No answer in time, or a broken one. **The outcome is unknown**: ask again with the same idempotency key."""

    def __init__(self, context: str, reason: str) -> None:
        self.context = context
        super().__init__(f"{context} gave no answer: {reason}. Nobody knows if it was done; repeat it with the same key.")


class NotOwner(StranglerError):
    """The other side answered 421: not executed, it is not the owner (P20). Resolve the seam again."""

    def __init__(self, context: str, owner: str = "", epoch: int = 0) -> None:
        self.context, self.owner, self.epoch = context, owner, epoch
        super().__init__(f"{context} was not executed there: the owner is {owner or 'somebody else'} (epoch {epoch}).")
