"""Claims of letters: find letters and notices that are due, and lease them to a worker.

A letter is sent at most once. A worker leases it, sends the mail server everything but the text, commits
`sending`, and then sends the text. If the lease ends before `sending`, another worker can claim the letter. A
letter that stays `sending` has perhaps been sent, and fails as `uncertain`.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Uuid, bindparam, exists, func, not_, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from services.webhooks.endpoints.disabling import LETTER_PURPOSE, load_disabled
from services.webhooks.notices import preferences
from services.webhooks.notices.mail.leases import LEASE, Claim
from services.webhooks.notices.mail.outcomes import record_outcome
from services.webhooks.notices.mail.transport import is_too_large
from services.webhooks.notices.preferences import may_wake, settings_of
from services.webhooks.notices.relevance import TOO_LATE_AFTER, Line, check_relevance
from services.webhooks.notices.reports.published_reports import ReportLine
from services.webhooks.notices.reports.report_pdf import NoPdf, ReportPdfs, last_erasure
from services.webhooks.notices.schedule import WorkingHours, next_working_moment
from services.webhooks.schemas.notices import AddressState, NoticeChannel, NoticeKind, NoticeReason, NoticeStatus
from shared import clock
from shared.api.pagination import inline_literal
from shared.database.sessions import Database, WriteSession
from shared.ids import new_id
from shared.tables.notices import Notice, NoticeLetter, NoticeSettings
from shared.tables.registry import Person
from shared.working_time import WorkingCalendar

# Due notices that are read to find people: more than needed, since other workers may have locked some people.
_CANDIDATES = 500
# Notices in one letter; the rest come with the next letter.
MAX_NOTICES = 1000
# Older confirmation links are not sent: the recipient would no longer expect them.
LINK_AGE = timedelta(days=1)
# After this time a notice that cannot be read is tried again.
UNREADABLE_DELAY = timedelta(hours=1)
# Messages in networks are made by `messages.due_messages`.
_BY_EMAIL = Notice.channel == NoticeChannel.EMAIL.value


_ANY_DUE = select(
    or_(
        exists().where(
            NoticeLetter.status == inline_literal("waiting"), NoticeLetter.next_attempt_at <= bindparam("now")
        ),
        # Interrupted letters of any worker, and messages that ingest has not accepted yet.
        exists().where(NoticeLetter.status == inline_literal("sending")),
        exists().where(
            Notice.status == inline_literal("waiting"),
            Notice.letter_id.is_(None),
            Notice.send_at <= bindparam("now"),
        ),
    ).label("is_any_due")
)


async def is_any_due(database: Database) -> bool:
    """Return whether a sender may find work. This cheap query saves most rounds from locking and reading rows."""
    return bool((await database.execute_alone(_ANY_DUE, {"now": clock.now()})).is_any_due)


async def claim(database: Database, keys: SecretStr, limit: int, pdfs: ReportPdfs) -> list[Claim]:
    """Lease letters that are due, commit, and return them. Outdated notices are suppressed.

    `limit`: how many stored letters, and people with notices for new letters, are taken. Each report of a person
    gets its own letter. Reports whose PDF is being read are not claimed and do not count.
    """
    async with database.write() as session:
        round_ = await _Round.load(session, limit, pdfs)
        claims = [found for letter in round_.links if (found := round_.claim_link(letter, keys))]
        claims += [
            found
            for letter in round_.of_former_addresses
            if (found := round_.claim_of_former_address(letter, keys))
        ]
        claims += [found for letter in round_.warnings if (found := round_.claim_warning(letter, keys))]
        for endpoint_letter in round_.of_endpoints:
            if (found := await round_.claim_of_endpoint(endpoint_letter, keys)) is not None:
                claims.append(found)
        for letter, notices in round_.letters:
            if (found := await round_.claim_notices(letter, notices, keys)) is not None:
                claims.append(found)
    return claims


class _Round:
    """The letters and notices of one `claim`, with the settings and calendars needed to decide about them."""

    def __init__(
        self,
        session: WriteSession,
        settings: dict[UUID, NoticeSettings],
        hours: WorkingHours,
        pdfs: ReportPdfs,
        recipients: Collection[UUID],
    ) -> None:
        self._session = session
        self._last_erasure = 0
        self._recipients = recipients
        self._pdfs = pdfs
        self._settings = settings
        self._hours = hours
        self._now = clock.now()
        self._lines: dict[UUID, Line | ReportLine] = {}
        self.links: list[NoticeLetter] = []
        self.of_former_addresses: list[NoticeLetter] = []
        self.warnings: list[NoticeLetter] = []
        self.of_endpoints: list[NoticeLetter] = []
        self.letters: list[tuple[NoticeLetter | None, list[Notice]]] = []

    @staticmethod
    async def load(session: WriteSession, limit: int, pdfs: ReportPdfs) -> "_Round":
        now = clock.now()
        is_ready = _is_ready(pdfs.pending)
        letters = await _due_letters(session, limit, now, is_ready)
        people = await lock_due_people(session, limit - len(letters), now, is_ready & _BY_EMAIL)
        by_letter: dict[UUID, list[Notice]] = {letter.id: [] for letter in letters}
        for notice in await waiting_notices(session, Notice.letter_id.in_(list(by_letter))):
            by_letter[cast("UUID", notice.letter_id)].append(notice)
        by_person: dict[UUID, list[Notice]] = {person_id: [] for person_id in people}
        for person_id in people:
            by_person[person_id] += await waiting_notices(
                session,
                Notice.person_id == person_id,
                Notice.letter_id.is_(None),
                Notice.send_at <= now,
                is_ready,
                _BY_EMAIL,
                limit=MAX_NOTICES,
            )
        every = [notice for notices in (*by_letter.values(), *by_person.values()) for notice in notices]
        settings = await settings_of(session, {*people, *(letter.person_id for letter in letters)})
        hours = await WorkingHours.load(session, {notice.organisation_id for notice in every})
        recipients = await _active_people(session, {letter.person_id for letter in letters})
        found = _Round(session, settings, hours, pdfs, recipients)
        found.links = [letter for letter in letters if letter.purpose == "confirmation"]
        found.of_former_addresses = [letter for letter in letters if letter.purpose == "replaced"]
        found.warnings = [letter for letter in letters if letter.purpose == "linked"]
        found.of_endpoints = [letter for letter in letters if letter.purpose == LETTER_PURPOSE]
        of_letters = [(letter, by_letter[letter.id]) for letter in letters if letter.purpose == "notices"]
        of_people = [part for notices in by_person.values() for part in _letters_of(notices)]
        found.letters = [*of_letters, *((None, notices) for notices in of_people)]
        relevance = await check_relevance(session, every, settings, now)
        for reason in set(relevance.suppressed.values()):
            suppressed = [notice for notice in every if relevance.suppressed.get(notice.id) is reason]
            await record_outcome(session, suppressed, NoticeStatus.SUPPRESSED, reason)
        for notice in every:
            if notice.id not in relevance.lines and notice.id not in relevance.suppressed:
                notice.send_at, notice.letter_id = now + UNREADABLE_DELAY, None
        found._lines = dict(relevance.lines)
        if any(notice.report_week is not None for notice in every):
            found._last_erasure = await last_erasure(session)
        return found

    def claim_link(self, letter: NoticeLetter, keys: SecretStr) -> Claim | None:
        """Lease the letter that confirms an address; cancel it if it is old or no address awaits confirmation."""
        settings = self._settings.get(letter.person_id)
        address = None if settings is None else preferences.address_of(settings, keys)
        is_old = self._now - letter.created_at > LINK_AGE
        if settings is None or settings.address_state != AddressState.UNCONFIRMED or address is None or is_old:
            letter.status = "cancelled"
            return None
        return self._leased(letter, address, self._hours.default, nonce=settings.confirmation_nonce)

    def claim_of_former_address(self, letter: NoticeLetter, keys: SecretStr) -> Claim | None:
        """Lease the letter to a former address saying that somebody else replaced or removed it; cancel it if it
        is old or the former address is gone.
        """
        settings = self._settings.get(letter.person_id)
        address = None if settings is None else preferences.former_address_of(settings, keys)
        if settings is None or address is None or self._is_too_late(letter):
            letter.status = "cancelled"
            if settings is not None:
                settings.former_address = None
            return None
        found = self._leased(letter, address, self._hours.default)
        letter.address_generation = None
        return found

    def claim_warning(self, letter: NoticeLetter, keys: SecretStr) -> Claim | None:
        """Lease the letter saying that an account in a network was linked; cancel it if it is old, or the person
        has no confirmed address, was deactivated or was locked.
        """
        address = self._confirmed_address(letter, keys)
        if address is None or self._is_too_late(letter) or letter.person_id not in self._recipients:
            letter.status = "cancelled"
            return None
        return self._leased(letter, address, self._hours.default, account_linked=True)

    async def claim_of_endpoint(self, letter: NoticeLetter, keys: SecretStr) -> Claim | None:
        """Lease the letter saying that an endpoint was disabled; cancel it if it is old or no longer true, or the
        person has no confirmed address.
        """
        address = self._confirmed_address(letter, keys)
        endpoint = await load_disabled(self._session, letter.person_id, letter.endpoint_id)
        if address is None or endpoint is None or self._is_too_late(letter):
            letter.status = "cancelled"
            return None
        return self._leased(letter, address, self._hours.default, endpoint=endpoint)

    def _is_too_late(self, letter: NoticeLetter) -> bool:
        return self._now - letter.created_at > TOO_LATE_AFTER

    def _confirmed_address(self, letter: NoticeLetter, keys: SecretStr) -> str | None:
        settings = self._settings.get(letter.person_id)
        if settings is None or settings.address_state != AddressState.CONFIRMED:
            return None
        return preferences.address_of(settings, keys)

    async def claim_notices(
        self, letter: NoticeLetter | None, notices: Sequence[Notice], keys: SecretStr
    ) -> Claim | None:
        """Lease a letter with the notices that may be sent now; if `letter` is None, create one for them.

        The other notices wait for working hours; they stay in the given letter if all of its notices wait. A
        report whose PDF must be read first is not leased.
        """
        sendable: list[Notice] = []
        postponed: list[Notice] = []
        for notice in notices:
            if notice.id in self._lines:
                (sendable if self._may_be_sent_now(notice) else postponed).append(notice)
        for notice in postponed:
            notice.send_at = next_working_moment(self._hours.of(notice.organisation_id), self._now)
            if sendable:
                notice.letter_id = None
        if letter is not None and postponed and not sendable:
            letter.next_attempt_at = min(notice.send_at for notice in postponed)
            return None
        settings = self._settings.get(notices[0].person_id) if notices else None
        address = None if settings is None else preferences.address_of(settings, keys)
        if not sendable or address is None:
            # Nothing is left to send, or no key can decrypt the address now.
            await record_outcome(self._session, sendable, NoticeStatus.SUPPRESSED, NoticeReason.NO_ADDRESS)
            if letter is not None:
                letter.status = "cancelled"
            return None
        lines = [self._lines[notice.id] for notice in sendable]
        content: dict[str, Any] = {"lines": lines}
        if isinstance(line := lines[0], ReportLine):
            pdf = self._pdf(line, letter)
            if pdf is None:
                return None
            content = {"report": line, "pdf": pdf}
        if letter is None:
            letter = NoticeLetter(
                id=new_id(),
                person_id=sendable[0].person_id,
                purpose="notices",
                attempts=0,
                next_attempt_at=self._now,
            )
            self._session.add(letter)
            await self._session.flush()
            for notice in sendable:
                notice.letter_id = letter.id
        return self._leased(letter, address, self._hours.of(sendable[0].organisation_id), **content)

    def _pdf(self, line: ReportLine, letter: NoticeLetter | None) -> bytes | NoPdf | None:
        """Return the PDF to attach, or why there is none; None while the PDF is being read."""
        if letter is not None and is_too_large(letter.smtp_status or ""):
            return NoPdf.TOO_LARGE
        return self._pdfs.get(line.sheet.week, self._last_erasure)

    def _may_be_sent_now(self, notice: Notice) -> bool:
        settings = self._settings.get(notice.person_id)
        if may_wake(settings, NoticeKind(notice.kind), notice.details):
            return True
        return next_working_moment(self._hours.of(notice.organisation_id), self._now) <= self._now

    def _leased(self, letter: NoticeLetter, address: str, calendar: WorkingCalendar, **content: Any) -> Claim:
        letter.address_generation = self._settings[letter.person_id].address_generation
        letter.lease_id = uuid4()
        letter.leased_until = func.clock_timestamp() + LEASE
        return Claim(letter.id, letter.person_id, letter.lease_id, letter.attempts, address, calendar, **content)


async def _active_people(session: WriteSession, people: Collection[UUID]) -> Collection[UUID]:
    """Return those of the people who are neither deactivated nor locked."""
    if not people:
        return ()
    return set(
        await session.scalars(
            select(Person.id).where(Person.id.in_(people), Person.active, Person.locked_at.is_(None))
        )
    )


def _letters_of(notices: Sequence[Notice]) -> Iterable[list[Notice]]:
    """Yield a person's notices by letter: notices of appeals share a letter, each report has its own letter."""
    if of_appeals := [notice for notice in notices if notice.report_week is None]:
        yield of_appeals
    for notice in notices:
        if notice.report_week is not None:
            yield [notice]


def _is_ready(pending: Sequence[str]) -> ColumnElement[bool]:
    """Return the SQL condition that a notice is not about a week whose PDF is being read."""
    return or_(Notice.report_week.is_(None), Notice.report_week.not_in(pending)) if pending else true()


async def _due_letters(
    session: WriteSession, limit: int, now: datetime, is_ready: ColumnElement[bool]
) -> Sequence[NoticeLetter]:
    """Lock and return due letters that no worker has leased: new ones without notices, and letters to retry."""
    waits = exists(Notice.id).where(Notice.letter_id == NoticeLetter.id, not_(is_ready))
    free = NoticeLetter.leased_until.is_(None) | (NoticeLetter.leased_until < func.clock_timestamp())
    return (
        await session.scalars(
            select(NoticeLetter)
            .where(NoticeLetter.status == "waiting", NoticeLetter.next_attempt_at <= now, free, ~waits)
            .order_by(NoticeLetter.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()


async def lock_due_people(
    session: WriteSession, limit: int, now: datetime, is_ready: ColumnElement[bool]
) -> list[UUID]:
    """Return the ids of people with due notices that are ready; those with notices outside digests first.

    Their settings are locked, so that one worker puts all notices of a person into one letter.
    """
    if limit <= 0:
        return []
    due = await session.scalars(
        select(Notice.person_id)
        .where(Notice.status == "waiting", Notice.letter_id.is_(None), Notice.send_at <= now, is_ready)
        .order_by(Notice.digest, Notice.send_at)
        .limit(_CANDIDATES)
    )
    candidates = list(dict.fromkeys(due))
    in_order = func.array_position(
        bindparam("candidates", candidates, type_=ARRAY(Uuid)), NoticeSettings.person_id
    )
    locked = await session.scalars(
        select(NoticeSettings.person_id)
        .where(NoticeSettings.person_id.in_(candidates))
        .order_by(in_order)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(locked)


async def waiting_notices(
    session: WriteSession, *conditions: ColumnElement[bool], limit: int | None = None
) -> Sequence[Notice]:
    """Return waiting notices that meet the conditions, earliest due first."""
    rows = await session.scalars(
        select(Notice)
        .where(Notice.status == "waiting", *conditions)
        .order_by(Notice.send_at, Notice.id)
        .limit(limit)
    )
    return rows.all()
