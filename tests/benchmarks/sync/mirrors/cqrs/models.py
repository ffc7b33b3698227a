from dj_cqrs.mixins import MasterMixin, ReplicaMixin

from tests.benchmarks.sync.row import Row


class Entry(MasterMixin, Row):
    """The source's."""

    CQRS_ID = "entry"

    class Meta(Row.Meta):
        app_label = "cqrs"


class Copy(ReplicaMixin, Row):
    """The destination's."""

    CQRS_ID = "entry"

    class Meta(Row.Meta):
        app_label = "cqrs"
