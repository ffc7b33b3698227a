"""``safe to roll back now: yes or no, because …``: a judgement over what was observed, always in ``strangler status``.

Safe means that the next step back would go through and lose nothing. Rolling back after data changed can be worse than staying
(REFERENCES, Flagger), so what is not known is not safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from strangler.domain.gates import State, Verdict, closed
from strangler.domain.stages import Position, Side, Stage


@dataclass(frozen=True)
class Safety:
    """``command``: the way back; None where there is none. ``because`` is a sentence without its full stop."""

    safe: bool
    because: str
    command: str | None


def judge(
    context: str, at: Position, owner: Side | str, verdicts: Sequence[Verdict], *, operation: str = "", movable: bool = True
) -> Safety:
    """``owner``: whom the monolith takes for it, empty where it did not say. ``verdicts``: of the gates of one stage back, now.
    ``operation``: what is under way, in words.

    A drift check that is missing holds nothing back: the transition makes it itself.
    """
    command = None if not movable or at.stage is Stage.MONOLITH else f"strangler rollback {context}"
    if operation:  # also at the first stage: the way into the mirror changes tables
        return Safety(False, f"an operation is under way: {operation}", command)
    if command is None:
        return Safety(True, "nothing has moved yet", None)
    if owner and owner != at.stage.owner:
        said = f"{at} is the {at.stage.owner}'s, but the owner is {owner}; settle it: strangler reconcile {context}"
        return Safety(False, said, command)
    shut = [verdict for verdict in closed(verdicts) if (verdict.gate, verdict.state) != ("drift", State.UNKNOWN)]
    if shut:
        return Safety(False, "; ".join(map(str, shut)), command)
    if at.stage.owner is Side.MONOLITH:
        return Safety(True, "the monolith owns every row and answers every request by itself", command)
    return Safety(True, "the monolith's tables follow the service's, and both sides answer", command)
