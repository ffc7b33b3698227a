"""Break-glass: is the service really dead, and what may be lost by going on without it (P22). Pure judgements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from strangler.domain.gates import State, Verdict


def dead(context: str, answers: Mapping[str, str]) -> Verdict:
    """``answers``: where the service listens → why it is not ready there, empty where it is. One that is ready is alive."""
    ready = [url for url, why in answers.items() if not why]
    wanted = "the service is ready nowhere"
    if ready:
        reason = f"the service is ready at {', '.join(ready)}; the way back that loses nothing is: strangler rollback {context}"
        return Verdict("dead", State.FAIL, "ready", wanted, reason)
    if not answers:
        return Verdict("dead", State.UNKNOWN, "nowhere to ask", wanted, f"strangler.toml names no address of {context}'s service")
    said = "; ".join(f"{url}: {why}" for url, why in answers.items())
    return Verdict("dead", State.PASS, "not ready", wanted, said)


@dataclass(frozen=True)
class Loss:
    """What is known of the writes that the service acknowledged last. Positions are the feed's, moments RFC 3339.

    ``refused``: rows that came over and could not be applied. ``per_s``: changes a second in the last minutes; None: not known.
    """

    position: int
    marker: int
    applied_at: str | None
    age_s: float | None
    refused: int
    per_s: float | None

    @property
    def sentence(self) -> str:
        since = "nothing was ever applied" if self.applied_at is None else f"its last round was at {self.applied_at}"
        ago = "" if self.age_s is None else f", {self.age_s:.0f} s ago"
        most = "how many more is not known"
        if self.per_s is not None and self.age_s is not None:
            most += (
                f"; at the rate of the last minutes ({self.per_s:.1f} a second) that would be about {self.per_s * self.age_s:.0f}"
            )
        return (
            f"the reverse mirror reached marker {self.marker} (position {self.position} of the feed); {since}{ago}. What the"
            f" service acknowledged after that is not here: at least {self.refused} rows, {most}"
        )

    def verdict(self) -> Verdict:
        """For the receipt. It holds nothing back: a person has said that they know."""
        return Verdict("loss", State.UNKNOWN, f"position {self.position}", "everything", self.sentence)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence}


def phrase(context: str, epoch: int) -> str:
    """What has to be typed. The epoch makes it one for this moment: it says nothing after the next change of owner."""
    return f"{context} {epoch}"
