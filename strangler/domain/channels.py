"""Where the control plane, the proxies and the workers meet in Redis, which only carries what the database knows."""

TABLE = "strangler:table"  # key: the newest route table; channel: its number, when it changes
MARKERS = "strangler:markers"  # hash: stream → marker; channel: "stream marker"
PROXIES = "strangler:proxies"  # hash: worker of a proxy → its report as JSON
ACKS = "strangler:acks"  # channel: the same reports
WORKERS = "strangler:workers"  # hash: Celery worker → its report as JSON; channel: the same
PARITY = "strangler:parity"  # stream: batches of samples of a parallel run, see ``strangler_proxy.reports``
PARITY_BYTES = "strangler:parity:bytes"  # key: what that stream holds
SERVED = "strangler:served:"  # + minute since 1970: hash: worker of a proxy → what it served in it, as JSON; for a day
SERVED_S = 86_400.0
