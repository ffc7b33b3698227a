"""The lease of a stream: one holder at a time, with a token that rises each time it changes hands (P6).

The lease only keeps two holders from working for nothing. Correctness rests on the token: it is part of every version that the
holder sends, and every acknowledgement checks it in the transaction in which it deletes. So a holder that was paused for longer
than its lease can neither overwrite newer rows nor delete pointers that its successor has to deliver.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from dataclasses import dataclass

from strangler.errors import LostLease
from strangler.sync.database import port, rows, value
from strangler.sync.databases.port import Statement

TTL_S = 7.0  # longer than a round with the slowest allowed answer (client.py: 1 s to connect, 5 s to answer)
BACKOFF_MAX_S = 5.0

# ``lazily``, in a statement of its own: its commit need not wait for the disk. All that a crash may take back of the relay's own
# notes is either flushed before anything is sent (the token, the marker: P7) or done again (the acknowledgement).
TAKE = Statement("""
UPDATE strangler_stream
SET lease_holder = %(me)s, lease_token = lease_token + 1, lease_until = {later:%(ttl)s}
WHERE name = %(name)s AND state = 'live' AND coalesce(retry_at, '-infinity') <= {now}
      AND (lease_until IS NULL OR lease_until <= {now} OR lease_holder = %(dead)s) AND {lazily}
RETURNING lease_token, context, kind, cursor
""")
# P7: this commit waits for the log to be on disk, and with it every commit that the round can have read.
RENEW = Statement("""
UPDATE strangler_stream SET lease_until = {later:%s}
WHERE name = %s AND lease_token = %s AND {durably}
RETURNING 1
""")
RELEASE = Statement("""
UPDATE strangler_stream SET lease_until = {now}, last_error = '', failures = 0, retry_at = NULL
WHERE name = %s AND lease_token = %s AND {lazily}
""")
FAIL = Statement("""
UPDATE strangler_stream
SET lease_until = {now}, last_error = %s, failures = failures + 1,
    retry_at = {later:{least:0.1 * power(2, CASE WHEN failures < 10 THEN failures ELSE 10 END); %s} * %s}
WHERE name = %s AND lease_token = %s
""")


@dataclass
class Lease:
    """A stream in hand. ``cursor`` is where a puller goes on."""

    stream: str
    token: int
    context: str
    kind: str
    cursor: int
    using: str | None = None

    def renew(self) -> None:
        """Keep it, with a commit that is durable (P7). Raises ``LostLease``."""
        with port(self.using).durable():
            if not rows(RENEW, [TTL_S, self.stream, self.token], self.using):
                raise lost(self.stream)

    def release(self) -> None:
        """Free for the next one, and the last round was good."""
        rows(RELEASE, [self.stream, self.token], self.using)

    def fail(self, error: str) -> None:
        """Free, but nobody is to try before a back-off that doubles up to a few seconds, with jitter."""
        rows(FAIL, [error[:2000], BACKOFF_MAX_S, random.uniform(0.75, 1.25), self.stream, self.token], self.using)


def take(stream: str, using: str | None = None) -> Lease | None:
    """The lease with a new token, or None: another holds it, the stream is not live, or it backs off after a failure."""
    params = {"me": _me(), "ttl": TTL_S, "name": stream, "dead": None}
    found = rows(TAKE, params, using)
    if not found:
        holder = value("SELECT lease_holder FROM strangler_stream WHERE name = %s", [stream], using)
        if not holder or not is_dead(holder):
            return None
        found = rows(TAKE, {**params, "dead": holder}, using)
    if not found:
        return None
    token, context, kind, cursor = found[0]
    return Lease(stream, token, context, kind, cursor, using)


def lost(stream: str) -> LostLease:
    return LostLease(f"stream {stream}: another holder has taken it over; this round is void and will be done again by that one")


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine that no longer is: then nobody need wait for its lease to end."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
