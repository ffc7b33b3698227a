from tests.benchmarks.sync.row import Row


class Entry(Row):
    """What is mirrored."""

    class Meta(Row.Meta):
        app_label = "ledger"
