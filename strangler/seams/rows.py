"""Be told of rows that the other side changed."""

from __future__ import annotations

from collections.abc import Callable

from strangler.sync import apply


def on_row_applied(collection: str, handler: Callable[[str, str], None]) -> None:
    """Call ``handler(key, op)`` for each row of ``collection`` (``"payments.Payment"``) that was applied here (P9).

    ``op`` is ``"upsert"`` or ``"delete"``. Runs in the transaction that applies the rows, after them, at least once and in no
    order between keys; Django's signals do not fire for applied rows. What it writes is captured as any write is. What it raises
    undoes the batch, which comes again; for effects outside the database use ``on_commit`` in it.
    """

    def hook(changed: str, key: str, op: str) -> None:
        if changed == collection:
            handler(key, op)

    apply.on_row_applied(hook)
