"""A mail server on loopback with a real SMTP implementation and responses set by tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

OK = "250 OK"


@dataclass
class ReceivedLetter:
    """A letter that the server has read completely."""

    sender: str
    recipient: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def body(self, kind: str = "plain") -> str:
        """Return the text of the letter or, for `html`, its HTML."""
        part = self.message.get_body((kind,))
        assert part is not None
        text: str = part.get_content()
        return text


@dataclass
class MailServer:
    """Responds with the items of `rcpt` and `data` in turn, then with `250 OK`.

    `cut` in `data`: the server accepts the letter and closes the connection without a response. If `hold` is set,
    the response to a letter waits for this event. `max_bytes` is announced to new connections.
    """

    port: int = 0
    max_bytes: int = 2**25
    letters: list[ReceivedLetter] = field(default_factory=list)
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None
    holding: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802 — the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt.pop(0) if self.rcpt else OK
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 — likewise
        assert isinstance(envelope.content, bytes)
        assert envelope.mail_from is not None
        answer = self.data.pop(0) if self.data else OK
        if answer in (OK, "cut"):
            for recipient in envelope.rcpt_tos:
                self.letters.append(ReceivedLetter(envelope.mail_from, recipient, envelope.content))
        if answer == "cut":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return OK
        if self.hold is not None:
            self.holding.set()
            await self.hold.wait()
        return answer


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    """Run a mail server on a free port until the block ends; with `tls` it accepts letters only after STARTTLS."""
    loop = asyncio.get_running_loop()
    found = MailServer()
    server = await loop.create_server(
        lambda: SMTP(
            found,
            data_size_limit=found.max_bytes,
            hostname="mx.example.ru",
            loop=loop,
            tls_context=tls,
            require_starttls=tls is not None,
        ),
        "127.0.0.1",
        0,
    )
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
