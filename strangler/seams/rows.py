"""Be told of rows that the other side changed."""

from __future__ import annotations

from collections.abc import Callable


def on_row_applied(collection: str, handler: Callable[[str, str], None]) -> None:
    """Call ``handler(key, op)`` for each row of ``collection`` (``"payments.Payment"``) that was applied here (P9).

    ``op`` is ``"upsert"`` or ``"delete"``. Runs in the transaction that applies the row, at least once, in no order between
    keys; Django's signals do not fire for applied rows. What the handler raises keeps the row from being applied.
    """
    from importlib.util import find_spec

    if not find_spec("strangler.sync.apply"):  # being written; goes with its commit
        return
    from strangler.sync import apply

    def hook(changed: str, key: str, op: str) -> None:
        if changed == collection:
            handler(key, op)

    apply.on_row_applied(hook)
