"""The worker that sends letters: claims those that are due, and sends them to the mail server."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from uuid import UUID

from aiolimiter import AsyncLimiter

from services.webhooks.notices import claims, leases, links, outcomes
from services.webhooks.notices.leases import Claim
from services.webhooks.notices.letters import Letter, compose, local_time
from services.webhooks.notices.rendering import (
    Envelope,
    confirmation_message,
    endpoint_disabled_message,
    envelope,
    linked_message,
    notices_message,
    replaced_message,
)
from services.webhooks.notices.reports.report_letter import ReportLetter, compose_report
from services.webhooks.notices.reports.report_pdf import ReportPdfs
from services.webhooks.notices.transport import (
    TOO_LARGE_FOR_ALL,
    Attempt,
    Outcome,
    Transport,
    open_transport,
)
from services.webhooks.schemas.notices import NoticeKind
from services.webhooks.settings import WebhooksSettings
from shared import clock
from shared.database.outages import DependencyUnavailable, is_outage
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.supervision import Backoff

log = get_logger(__name__)

IDLE_SECONDS = 2.0
# Between the single letters that try a mail server which took none: it may destroy each of them.
PROBES = Backoff(10.0, 300.0)
# An error of the mail server is reported so long, if no letter shows whether it still holds.
ERROR_AGE = timedelta(hours=1)
# So many different people in a row whom the server refuses for a reason that may be ours are no chance.
MAX_REFUSALS = 3
LETTERS_PER_CONNECTION = 4
BACKOFF = Backoff(0.5, 15.0)
# The sender of letters that are written into a folder.
DEVELOPMENT_SENDER = "noreply@gospablik.example"


@dataclass
class MailServerState:
    """Whether the mail server takes letters, relevance by the last attempts of this process."""

    failures: int = 0
    _error: str | None = None
    _noted_at: datetime = field(default_factory=clock.now)
    _refused: set[UUID] = field(default_factory=set)

    @property
    def error(self) -> str | None:
        """Return why the mail server takes no letters; None: it does, as far as known."""
        return self._error if clock.now() - self._noted_at < ERROR_AGE else None

    def note(self, person_id: UUID, attempt: Attempt) -> None:
        """Take the outcome of one more attempt into account."""
        if attempt.outcome is Outcome.SENT:
            self._error, self.failures = None, 0
            self._refused.clear()
        elif attempt.error is not None:
            self._refused.add(person_id)
            if attempt.outcome is not Outcome.LATER or len(self._refused) >= MAX_REFUSALS:
                self._error, self._noted_at = attempt.error, clock.now()
                self.failures += 1

    def check(self) -> None:
        """Raise `DependencyUnavailable` while the mail server takes nothing."""
        if (error := self.error) is not None:
            raise DependencyUnavailable(f"the mail server takes no letters: {error}")


class NoticeSender:
    """Sends letters until it is cancelled. Any number of them may run, in any number of processes."""

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
        """Send letters that are due, at most a few for each connection; return how many were tried.

        A mail server that took no letter before gets a single one.
        """
        if count := await outcomes.resolve_interrupted(self._database):
            log.warning("letters interrupted while they were sent", count=count)
        connections = self._settings.smtp_connections
        limit = connections * LETTERS_PER_CONNECTION if self._state.error is None else 1
        found = await claims.claim(self._database, self._settings.encryption_keys, limit, self._reports)
        left = {claim.letter_id: claim for claim in found}
        parts = [found[start::connections] for start in range(min(connections, len(found)))]
        stopped = asyncio.Event()
        try:
            # All parts end before an error of one is raised: none goes on beside a restarted sender.
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

        A server that is not there, or that takes a letter without an answer, ends the round of all connections.
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
                    await sending  # a stopped worker finishes the letter: otherwise it would be uncertain
                    raise
                self._state.note(claim.person_id, attempt)
                if attempt.error is not None:
                    log.warning("mail server took no letter", error=attempt.error, outcome=attempt.outcome.value)
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
                # Encoding megabytes of a file must not hold up the event loop.
                content = await asyncio.to_thread(lambda: self._message(addresses, claim).as_bytes())
            except Exception as error:  # noqa: BLE001 — whatever it is, it must not stop the letters of others
                # Without the words of the error, which may contain an address.
                log.error("letter not written", letter_id=str(claim.letter_id), error=type(error).__name__)  # noqa: TRY400
                return Attempt(Outcome.LATER)
            attempt = await transport.send(addresses, content, lambda: leases.begin_sending(self._database, claim))
        if attempt.outcome is not Outcome.TOO_LARGE:
            return attempt
        if claim.report is None or not isinstance(claim.pdf, bytes):
            return Attempt(Outcome.REFUSED, attempt.smtp_status)
        # The letter comes again without the PDF; those of others too, if the server takes none so large.
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
            # The public address has no page with the report.
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
        """Store the outcome, through an outage of the database too: otherwise a sent letter is uncertain."""
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
