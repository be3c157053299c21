"""Send letters to a mail server, one after another over one connection, or to a folder during development."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Protocol

import aiosmtplib
from aiosmtplib import SMTP

from services.webhooks.notices.mail.rendering import Envelope
from services.webhooks.settings import WebhooksSettings
from shared.database.outages import is_outage
from shared.http.client_tls import client_tls

# Servers check a text before they answer: RFC 5321, 4.5.3.2.6, tells clients to wait ten minutes.
ANSWER_SECONDS = 600.0
# Authentication required, or a refusal that may be about us instead of the letter (RFC 4954, RFC 5321).
_REFUSALS_OF_CLIENTS = frozenset({530, 538, 554})
# RFC 3463: the message exceeds the size limit of the server; of the mailbox; the mailbox is full.
TOO_LARGE_FOR_ALL, TOO_LARGE_FOR_MAILBOX, MAILBOX_FULL = "5.3.4", "5.2.3", "5.2.2"
# Commits the letter's status `sending`; returns False if the letter must not be sent.
BeforeData = Callable[[], Awaitable[bool]]


class Outcome(StrEnum):
    """The outcome of one attempt.

    `unavailable`: no server, or it refuses us before it gets the recipient. `uncertain`: the connection broke
    after the server had begun to receive the letter. `not_ours`: the lease was lost. `too_large`: refused for its
    size.
    """

    SENT = "sent"
    LATER = "later"
    UNAVAILABLE = "unavailable"
    ADDRESS_REFUSED = "address_refused"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    NOT_OURS = "not_ours"
    TOO_LARGE = "too_large"


@dataclass(frozen=True)
class Attempt:
    """The outcome of an attempt. `smtp_status` is the code of the answer, without its text.

    `error` is set if the attempt may have failed because of the server or our account, not because of the letter.
    """

    outcome: Outcome
    smtp_status: str | None = None
    error: str | None = None


class _Stage(Enum):
    """The stage of sending that a letter reached: sign-in and sender, recipient, text."""

    GREETING = 1
    RECIPIENT = 2
    TEXT = 3


class Transport(Protocol):
    """A connection over which letters are sent."""

    async def send(self, addresses: Envelope, content: bytes, before_data: BeforeData) -> Attempt:
        """Send one letter; call `before_data` right before sending its text."""
        ...


class MailServer:
    """A connection to a mail server that is opened with the first letter, and again after an error."""

    def __init__(self, settings: WebhooksSettings) -> None:
        self._settings = settings
        self._client: SMTP | None = None

    async def send(self, addresses: Envelope, content: bytes, before_data: BeforeData) -> Attempt:
        """Send one letter. A failure of the server, the connection or the database is returned as an outcome."""
        stage = _Stage.GREETING
        try:
            client = await self._connected()
            # RFC 1870: a server with a size limit refuses a larger letter before it gets the text.
            size = [f"SIZE={len(content)}"] if client.supports_extension("size") else None
            await client.mail(addresses.bounce_address, options=size)
            stage = _Stage.RECIPIENT
            await client.rcpt(addresses.recipient)
        except (aiosmtplib.SMTPException, OSError) as error:
            self._drop()
            return _failed(stage, error)
        try:
            if not await before_data():
                self._drop()
                return Attempt(Outcome.NOT_OURS)
        except Exception as error:
            # The database is unavailable: no text is sent, and the server counts as not at fault (no `error`).
            if not is_outage(error):
                raise
            self._drop()
            return Attempt(Outcome.UNAVAILABLE)
        try:
            answer = await client.data(content, timeout=ANSWER_SECONDS)
        except (aiosmtplib.SMTPException, OSError) as error:
            self._drop()
            return _failed(_Stage.TEXT, error)
        return Attempt(Outcome.SENT, str(answer.code))

    def _drop(self) -> None:
        """Close the connection at once; the next letter opens a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit()
            client.close()

    async def _connected(self) -> SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        config = self._settings
        client = SMTP(
            hostname=config.smtp_host,
            port=config.smtp_port,
            use_tls=config.smtp_tls == "tls",
            start_tls=config.smtp_tls == "starttls",
            tls_context=None if config.smtp_tls == "none" else client_tls(),
            username=config.smtp_user,
            password=config.smtp_password.get_secret_value() if config.smtp_user else None,
            timeout=config.smtp_timeout_seconds,
        )
        await client.connect()
        self._client = client
        if client.is_ehlo_or_helo_needed:  # the answer contains the size limit of the server
            try:
                await client.ehlo()
            except aiosmtplib.SMTPHeloError:
                await client.helo()
        return client


class MailFolder:
    """A folder into which each letter is written as `<letter id>.eml`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, addresses: Envelope, content: bytes, before_data: BeforeData) -> Attempt:
        """Write one letter into the folder."""
        if not await before_data():
            return Attempt(Outcome.NOT_OURS)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / f"{addresses.letter_id}.eml").write_bytes(content)
        return Attempt(Outcome.SENT)


@asynccontextmanager
async def open_transport(settings: WebhooksSettings) -> AsyncIterator[Transport]:
    """Yield the transport that the settings choose; close its connection at the end."""
    if settings.smtp_host is None:
        assert settings.mail_dir is not None
        yield MailFolder(settings.mail_dir)
        return
    server = MailServer(settings)
    try:
        yield server
    finally:
        await server.close()


def is_too_large(smtp_status: str) -> bool:
    """Return whether a server refused a letter for its size.

    The enhanced code decides, if there is one: 552 with a different enhanced code is mostly a full mailbox.
    """
    return smtp_status == "552" or smtp_status.endswith((TOO_LARGE_FOR_ALL, TOO_LARGE_FOR_MAILBOX))


def _failed(stage: _Stage, error: aiosmtplib.SMTPException | OSError) -> Attempt:
    """Return the outcome of an error, without the error's text: it may contain an address."""
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        broken = {_Stage.GREETING: Outcome.UNAVAILABLE, _Stage.RECIPIENT: Outcome.LATER}
        return Attempt(broken.get(stage, Outcome.UNCERTAIN), error=type(error).__name__)
    status = _status(error)
    described = f"{type(error).__name__} {status}"
    if is_too_large(status):
        return Attempt(Outcome.TOO_LARGE, status)
    if stage is _Stage.GREETING:
        return Attempt(Outcome.UNAVAILABLE, status, described)
    # A wrong setting or a daily limit must not mark addresses as bouncing, so the letter is tried again later.
    if error.code in _REFUSALS_OF_CLIENTS or " 5.7." in status:
        return Attempt(Outcome.LATER, status, described)
    if error.code < 500:
        return Attempt(Outcome.LATER, status)
    return Attempt(Outcome.ADDRESS_REFUSED if stage is _Stage.RECIPIENT else Outcome.REFUSED, status)


def _status(error: aiosmtplib.SMTPResponseException) -> str:
    """Return the code of the answer, and its enhanced code (RFC 3463) if there is one: «550 5.1.1»."""
    enhanced = error.message.split(" ", 1)[0]
    parts = enhanced.split(".")
    known = len(parts) == 3 and all(part.isdigit() and len(part) <= 3 for part in parts)
    return f"{error.code} {enhanced}" if known else str(error.code)
