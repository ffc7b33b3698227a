"""A mail server that keeps what it is sent: as much of SMTP as Python's client speaks (RFC 5321)."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from queue import Queue
from typing import cast


class Mailbox(socketserver.ThreadingTCPServer):
    """``mails`` are (recipients, message), in the order in which they came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: Queue[tuple[list[str], EmailMessage]] = Queue()

    @property
    def url(self) -> str:
        """For ``EMAIL_URL``."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        recipients: list[str] = []
        self._say("220 mailbox")
        for line in self.rfile:
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self._say("354 end with a dot")
                cast(Mailbox, self.server).mails.put((recipients, self._message()))
                recipients = []
            elif verb == b"RCPT":
                recipients.append(line.decode().split("<")[1].split(">")[0])
            self._say("221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                return

    def _message(self) -> EmailMessage:
        lines = [line.removeprefix(b".") for line in iter(self.rfile.readline, b".\r\n")]
        return cast(EmailMessage, email.message_from_bytes(b"".join(lines), policy=email.policy.default))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def open_mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
