"""What crosses contexts while the project runs: joins, transactions, reads and writes of others' tables, cascades.

It stands on the recorder (``usage``): the same execute wrapper, units of work, reading of templates and thread that stores.
Added is the code that ran a statement (``sites``), and which statements committed together (``transactions``). From the two come
edges (``crossings``), summed up (``gathering``) and kept in the database (``storing``) or, for a run of tests, in a file
(``documents``).

What it can't see: what the database does by itself. A cascade of the database's own (``ON DELETE CASCADE`` in the schema,
Django's ``DB_CASCADE``), a trigger and a function show no statement; the live part finds that they are declared. A delete that
Django's collector makes is seen, with the code that called it. Code that is compiled (Cython) has no frame: its caller stands
for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strangler.domain.coupling.edges import Found


def read(paths: Iterable[str | Path] = (), database: bool = True) -> Found:
    """``paths``: files of ``pytest --strangler-ledger``. One that can't be read, and a database that can't, is ``Skipped``."""
    from strangler.analysis.runtime import findings  # late: pytest loads the plugin beside it before Django is set up

    return findings.read(paths, database)
