"""A cut rehearsed by the project's own tests: ``strangler rehearse CONTEXT -- pytest`` fences the context's tables in them.

The command (``suite``) starts the tests with an order in their environment (``order``). In each of their processes the fence
(``fence``) refuses what code outside of the context could no longer do, and notes it (``notes``); so do the tests with how they
ended (``tests``, ``pytest_plugin``). Nothing of it is loaded where there is no order.
"""

from __future__ import annotations

from strangler.analysis.rehearsing.order import given


def install() -> None:
    """Called when the product's app is ready. Idempotent."""
    order = given()
    if order is not None:
        from strangler.analysis.rehearsing import fence, tests

        tests.install(order)
        if order.fences:
            fence.install(order)
