"""One base class for what can go wrong. The message says what happened, to what, and the next command to run."""

from __future__ import annotations


class StranglerError(Exception):
    """Something the user can act on. The CLI prints it without a traceback and ends with 1."""


class Misconfigured(StranglerError):
    """Settings or the estate file are wrong. The CLI ends with 2."""


class Misuse(StranglerError):
    """A command was given words that make no sense. The CLI ends with 2."""


class Fenced(StranglerError):
    """The database refused a write because this side does not own the context (SQLSTATE SF001, P15)."""

    def __init__(self, context: str, owner: str = "", epoch: int = 0) -> None:
        self.context, self.owner, self.epoch = context, owner, epoch
        super().__init__(f"{context} is owned by {owner or 'the other side'} (epoch {epoch}); nothing was written here")


class StaleEpoch(StranglerError):
    """A message or an ownership of an older epoch, or the same epoch with other content (P16). Answered 409."""


class Gone(StranglerError):
    """A feed no longer has what was asked for: it was over its budget (P4). Answered 410. ``floor``: where it goes on."""

    def __init__(self, message: str, floor: int = 0) -> None:
        self.floor = floor
        super().__init__(message)


class SchemaMismatch(StranglerError):
    """One side's table can't take the other's rows until a migration is applied (``sync.negotiation``). Answered 422."""


class LostLease(StranglerError):
    """Another holder took the stream or the operation over; this one must stop without writing."""


class NotServed(StranglerError):
    """A service has no such call or collection (404): it is of an older contract, or of another language that leaves it out."""


class ServiceUnavailable(StranglerError):
    """A service did not answer, or answered 5xx. The message names it and the next command to run."""
