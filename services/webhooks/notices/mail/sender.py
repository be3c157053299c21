"""The worker that sends letters: claims those that are due, and sends them to the mail server."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

from aiolimiter import AsyncLimiter

from services.webhooks.notices import links
from services.webhooks.notices.mail import claims, interrupted_letters, leases, outcomes
from services.webhooks.notices.mail.leases import Claim
from services.webhooks.notices.mail.letters import Letter, compose, local_time
from services.webhooks.notices.mail.rendering import (
    Envelope,
    confirmation_message,
    endpoint_disabled_message,
    envelope,
    linked_message,
    notices_message,
    replaced_message,
)
from services.webhooks.notices.mail.transport import (
    TOO_LARGE_FOR_ALL,
    Attempt,
    Outcome,
    Transport,
    open_transport,
)
from services.webhooks.notices.reports.report_letter import ReportLetter, compose_report
from services.webhooks.notices.reports.report_pdf import ReportPdfs
from services.webhooks.schemas.notices import NoticeKind
from services.webhooks.settings import WebhooksSettings
from shared import clock
from shared.database.outages import DependencyUnavailable, is_outage
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

IDLE_SECONDS = 2.0
# Delays between single letters to a mail server that accepted none: each such letter may be lost.
PROBES = Backoff(10.0, 300.0)
# How long an error of the mail server is reported if no further letter is sent.
ERROR_AGE = timedelta(hours=1)
# After this many different people in a row are refused for a reason that may be ours, the server counts as
# failing.
MAX_REFUSALS = 3
LETTERS_PER_CONNECTION = 4
BACKOFF = Backoff(0.5, 15.0)
# The From address of letters that are written into a folder.
DEVELOPMENT_SENDER = "noreply@gospablik.example"


@dataclass
class MailServerState:
    """Whether the mail server accepts letters, judging by the last attempts of this process."""

    failures: int = 0
    _error: str | None = None
    _noted_at: datetime = field(default_factory=clock.now)
    _refused: set[UUID] = field(default_factory=set)

    @property
    def error(self) -> str | None:
        """Return why the mail server accepts no letters; None if no current error is known."""
        return self._error if clock.now() - self._noted_at < ERROR_AGE else None

    def note(self, person_id: UUID, attempt: Attempt) -> None:
        """Update the state with the outcome of an attempt."""
        if attempt.outcome is Outcome.SENT:
            self._error, self.failures = None, 0
            self._refused.clear()
        elif attempt.error is not None:
            self._refused.add(person_id)
            if attempt.outcome is not Outcome.LATER or len(self._refused) >= MAX_REFUSALS:
                self._error, self._noted_at = attempt.error, clock.now()
                self.failures += 1

    def check(self) -> None:
        """Raise `DependencyUnavailable` if the mail server accepts no letters."""
        if (error := self.error) is not None:
            raise DependencyUnavailable(f"the mail server accepts no letters: {error}")


class NoticeSender:
    """Sends due letters until cancelled. Any number of senders may run, in any number of processes."""

    def __init__(
        self,
        database: Database,
        settings: WebhooksSettings,
        public_url: str,
        state: MailServerState,
        reports: ReportPdfs,
    ) -> None:
        self._database = database
        self._settings = settings
        self._public_url = public_url.rstrip("/")
        self._front_end_url = settings.front_end_url or public_url
        self._state = state
        self._reports = reports
        self._limiter = AsyncLimiter(settings.smtp_letters_per_minute, 60)

    async def run(self) -> None:
        """Send letters until cancelled."""
        while True:
            count = await self.send_due() if await claims.is_any_due(self._database) else 0
            if not count:
                await asyncio.sleep(IDLE_SECONDS)
            elif self._state.error is not None:
                await asyncio.sleep(PROBES.delay(self._state.failures))

    async def send_due(self) -> int:
        """Send due letters, at most a few for each connection; return how many were tried.

        A mail server that accepts no letters gets a single one as a probe.
        """
        if count := await interrupted_letters.resolve_interrupted(self._database):
            log.warning("letters interrupted while being sent", count=count)
        connections = self._settings.smtp_connections
        limit = connections * LETTERS_PER_CONNECTION if self._state.error is None else 1
        found = await claims.claim(self._database, self._settings.encryption_keys, limit, self._reports)
        left = {claim.letter_id: claim for claim in found}
        parts = [found[start::connections] for start in range(min(connections, len(found)))]
        stopped = asyncio.Event()
        try:
            # Wait for all parts before raising an error: no part may run beside a restarted sender.
            ended = await asyncio.gather(
                *(self._send_all(part, left, stopped) for part in parts), return_exceptions=True
            )
        finally:
            await asyncio.shield(leases.release(self._database, left.values()))
        for error in ended:
            if error is not None:
                raise error
        return len(found) - len(left)

    async def _send_all(self, found: Sequence[Claim], left: dict[UUID, Claim], stopped: asyncio.Event) -> None:
        """Send letters over one connection, and remove from `left` those that were tried.

        An unreachable server, or a letter without an answer, ends the round of all connections.
        """
        async with open_transport(self._settings) as transport:
            for claim in found:
                if stopped.is_set():
                    return
                sending = asyncio.create_task(self._send_and_record(transport, claim))
                del left[claim.letter_id]
                try:
                    attempt = await asyncio.shield(sending)
                except asyncio.CancelledError:
                    await sending  # finish the letter before stopping: otherwise its outcome would be uncertain
                    raise
                self._state.note(claim.person_id, attempt)
                if attempt.error is not None:
                    log.warning(
                        "mail server did not confirm that it accepted the letter",
                        error=attempt.error,
                        outcome=attempt.outcome.value,
                    )
                if attempt.outcome in (Outcome.UNAVAILABLE, Outcome.UNCERTAIN):
                    stopped.set()

    async def _send_and_record(self, transport: Transport, claim: Claim) -> Attempt:
        attempt = await self._send(transport, claim)
        await self._record(claim, attempt)
        return attempt

    async def _send(self, transport: Transport, claim: Claim) -> Attempt:
        async with self._limiter:
            addresses = envelope(
                claim.letter_id,
                links.letter_code(self._settings.encryption_keys, claim.letter_id),
                sender=self._settings.smtp_from or DEVELOPMENT_SENDER,
                bounce_address=self._settings.smtp_bounce_address,
                recipient=claim.address,
            )
            try:
                # In a thread: encoding megabytes of a PDF must not block the event loop.
                content = await asyncio.to_thread(lambda: self._message(addresses, claim).as_bytes())
            except Exception as error:  # noqa: BLE001 — no error may stop other letters
                # The error's text is not logged: it may contain an address.
                log.error("letter not written", letter_id=str(claim.letter_id), error=type(error).__name__)  # noqa: TRY400
                return Attempt(Outcome.LATER)
            attempt = await transport.send(addresses, content, lambda: leases.begin_sending(self._database, claim))
        if attempt.outcome is not Outcome.TOO_LARGE:
            return attempt
        if claim.report is None or not isinstance(claim.pdf, bytes):
            return Attempt(Outcome.REFUSED, attempt.smtp_status)
        # The letter is sent again without the PDF. If the server refuses this size for everyone, other letters go
        # without it too.
        if (attempt.smtp_status or "").endswith(TOO_LARGE_FOR_ALL):
            self._reports.note_too_large(claim.report.sheet.week)
        return attempt

    def _message(self, addresses: Envelope, claim: Claim) -> EmailMessage:
        keys = self._settings.encryption_keys
        notices_url = f"{self._public_url}/api/v1/notices"
        if claim.nonce is not None:
            token = links.confirmation_token(keys, claim.person_id, claim.nonce)
            return confirmation_message(addresses, confirm_url=f"{notices_url}/confirmation?token={token}")
        settings_url = f"{self._front_end_url.rstrip('/')}/settings/notices"
        if claim.account_linked:
            return linked_message(addresses, settings_url=settings_url)
        if claim.endpoint is not None:
            since = claim.endpoint.failing_since
            return endpoint_disabled_message(
                addresses,
                cause=claim.endpoint.cause,
                failing_since=local_time(since, claim.calendar.zone) if since else None,
                failed=claim.endpoint.failed_deliveries,
                endpoint_url=f"{self._front_end_url.rstrip('/')}/webhooks/{claim.endpoint.id}",
            )
        if claim.report is None and not claim.lines:
            return replaced_message(addresses, settings_url=settings_url)
        kinds = (NoticeKind.REPORT,) if claim.report else tuple(sorted({line.kind for line in claim.lines}))
        token = links.unsubscribe_token(keys, links.Unsubscription(claim.person_id, kinds))
        unsubscribe_url = f"{notices_url}/unsubscription?token={token}"
        letter: Letter | ReportLetter
        if claim.report is not None:
            letter = compose_report(claim.report.sheet, claim.pdf, front_end_url=self._front_end_url)
        else:
            zone = claim.calendar.zone
            letter = compose(claim.lines, front_end_url=self._front_end_url, zone=zone, now=clock.now())
        return notices_message(
            addresses,
            letter,
            unsubscribe_url=unsubscribe_url,
            settings_url=settings_url,
            pdf=claim.pdf if isinstance(claim.pdf, bytes) else None,
        )

    async def _record(self, claim: Claim, attempt: Attempt) -> None:
        """Store the outcome; during a database outage retry, otherwise a sent letter would be recorded as
        uncertain.
        """
        failures = 0
        while True:
            try:
                await outcomes.record_attempt(self._database, claim, attempt)
            except Exception as error:
                if not is_outage(error):
                    raise
                failures += 1
                await asyncio.sleep(BACKOFF.delay(failures))
            else:
                return
