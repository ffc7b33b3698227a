from tests.benchmarks.sync.row import Row


class Bare(Row):
    class Meta(Row.Meta):
        app_label = "bare"
