"""A mail server that keeps what it accepts, and refuses what a test wants refused. Nothing leaves it.

It speaks what senders need of RFC 5321: no TLS, no login, one recipient or more.
"""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

# Where a test can put another response than the usual one. `accept`: after the whole mail.
STEPS = ("connect", "mail", "rcpt", "data", "accept")
# In place of a response: the connection ends, at `accept` after the mail was kept.
HANG_UP = "hang up"
_USUAL = {
    "connect": "220 sandbox",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go on",
    "accept": "250 2.0.0 kept",
}
_MOST_BYTES = 10 * 1024 * 1024


class Mailbox:
    """Every mail that was accepted, oldest first, and the responses that tests have ordered.

    `quit_after`: by the number of a mail, the seconds from its acceptance to the QUIT of its sender. A sender that dies
    sends none. `hooks`: what is called at a step before its response, so that a test can let something happen in
    between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mails: list[EmailMessage] = []
        self._ordered: list[list[str | int]] = []
        self.quit_after: dict[int, float] = {}
        self.hooks: dict[str, Callable[[], None]] = {}

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails, oldest first."""
        with self._lock:
            return list(self._mails)

    def order(self, step: str, response: str, times: int = 1) -> None:
        """Let the next responses at a step be others."""
        with self._lock:
            self._ordered.append([step, response, times])

    def forget_orders(self) -> None:
        """Respond as usual again."""
        with self._lock:
            self._ordered.clear()
        self.hooks.clear()

    def response(self, step: str) -> str:
        """Return the response at a step, and use up an ordered one."""
        hook = self.hooks.get(step)
        if hook is not None:
            hook()
        with self._lock:
            for order in self._ordered:
                if order[0] == step and cast(int, order[2]) > 0:
                    order[2] = cast(int, order[2]) - 1
                    return str(order[1])
        return _USUAL[step]

    def keep(self, content: bytes) -> int:
        """Keep a mail; return its number."""
        mail = message_from_bytes(content, policy=policy.default)
        with self._lock:
            self._mails.append(mail)
            return len(self._mails) - 1


class MailServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves SMTP in threads, from `start` to `close`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        super().__init__(address, _Session)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="sandbox-mail", daemon=True)

    @property
    def url(self) -> str:
        """The address as SMTP_URL has it."""
        return f"smtp://{self.server_address[0]!s}:{self.server_address[1]}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hang up."""


class _HungUp(Exception):
    """The connection ends without a response."""


class _Session(socketserver.StreamRequestHandler):
    """One connection."""

    _kept: tuple[int, float] | None = None

    def handle(self) -> None:
        """Respond to one command after the other."""
        try:
            self._say_at("connect")
            while line := self.rfile.readline(4096):
                verb = line.decode("ascii", "replace").strip().upper()
                if verb.startswith("QUIT"):
                    if self._kept is not None:
                        number, kept_at = self._kept
                        self._mailbox.quit_after[number] = time.monotonic() - kept_at
                    self._say("221 2.0.0 bye")
                    return
                self._obey(verb)
        except _HungUp:
            return

    def _obey(self, verb: str) -> None:
        if verb.startswith("EHLO"):
            self._say("250-sandbox\r\n250 ENHANCEDSTATUSCODES")
        elif verb.startswith("MAIL FROM:"):
            self._say_at("mail")
        elif verb.startswith("RCPT TO:"):
            self._say_at("rcpt")
        elif verb.startswith("DATA"):
            if self._say_at("data").startswith("354"):
                self._take_mail()
        elif verb.startswith(("HELO", "RSET", "NOOP")):
            self._say("250 2.0.0 ok")
        else:
            self._say("502 5.5.2 not known here")

    def _take_mail(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline(_MOST_BYTES)) != b".\r\n":
            if not line:
                raise _HungUp  # a mail without its last line is none
            lines.append(line[1:] if line.startswith(b"..") else line)
        response = self._mailbox.response("accept")
        if response == HANG_UP or response.startswith("2"):
            self._kept = self._mailbox.keep(b"".join(lines)), time.monotonic()
        self._say(response)

    def _say_at(self, step: str) -> str:
        response = self._mailbox.response(step)
        self._say(response)
        return response

    def _say(self, response: str) -> None:
        if response == HANG_UP:
            raise _HungUp
        self.wfile.write(response.encode("ascii") + b"\r\n")

    @property
    def _mailbox(self) -> Mailbox:
        return cast(MailServer, self.server).mailbox
