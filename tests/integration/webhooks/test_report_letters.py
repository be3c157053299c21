"""The weekly report by e-mail: each recipient gets it once, with the PDF from the metrics service."""

import asyncio
import io
import os
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from unittest.mock import AsyncMock, patch
from uuid import uuid4

import asyncpg
import pytest
import time_machine
from pypdf import PdfReader

from services.metrics.indicators.weeks import Week
from services.metrics.rendering.canonical_json import encode
from services.metrics.schemas.weekly_report import AttentionItem
from services.webhooks.notices.mail import leases, outcomes
from services.webhooks.notices.recording import LATE_REPORT_DELAY, record_notices
from services.webhooks.notices.reports.report_pdf import ReportPdfs, pdf_reader
from services.webhooks.schemas.notices import AddressState
from shared.events.consumer import read_after
from shared.service_client import FileTooLarge, ServiceUnavailable
from shared.settings import settings
from tests.integration.webhooks.notice_office import DUE, Office, local
from tests.support.mail_server import MailServer
from tests.support.sample_report import sample_report
from tests.support.served_app import served
from tests.support.service_under_test import service_under_test

WEEK = "2026-W47"
# Monday: the report is published before working hours.
PUBLISHED = local("2026-11-23 07:07")
MORNING = local("2026-11-23 09:00")
PDF = b"%PDF-1.7 made for a test"
WAIT = timedelta(seconds=1)


async def announce(office: Office, week: str = WEEK) -> None:
    """Write the event of a published report again and create the missing notices."""
    found = Week.parse(week)
    await office.harness.emit("report.ready", week=week, first_day=found.monday, last_day=found.sunday)
    await office.fan_out()


async def publish(office: Office, week: str = WEEK, **changes: Any) -> None:
    """Insert a published report with its event, as metrics does, and create its notices."""
    found = Week.parse(week)
    days: dict[str, Any] = {"week": week, "first_day": found.monday, "last_day": found.sunday}
    document = sample_report(organisations=12).report.model_copy(update=days | changes)
    report_id = uuid4()
    await office.harness.sql(
        """INSERT INTO weekly_reports (id, week, document, digest, appeals, published_at, created_at)
           VALUES ($1, $2, $3, 'none', 508, now(), now())""",
        report_id,
        week,
        encode(document).decode(),
    )
    await office.harness.emit("report.ready", subject_id=report_id, **days)
    await office.fan_out()


def reads(office: Office, answer: bytes | Exception) -> list[str]:
    """Replace reads of the PDF by this result or error; return a list that gets the requested weeks."""
    asked: list[str] = []

    async def read(week: str, max_bytes: int) -> bytes:
        asked.append(week)
        if isinstance(answer, Exception):
            raise answer
        return answer

    office.reports = ReportPdfs(read, 10**7, wait=WAIT, asked_again_after=WAIT / 4)
    return asked


async def send(office: Office) -> int:
    """Send due letters in two rounds, the second with the PDF; return the number of attempts."""
    count = await office.send()
    await pdf_read(office)
    return count + await office.send()


async def pdf_read(office: Office) -> None:
    """Wait until no PDF is being read."""
    await asyncio.gather(*office.reports._reading.values())


def attached(message: EmailMessage) -> list[tuple[str | None, bytes]]:
    return [(part.get_filename(), part.get_content()) for part in message.iter_attachments()]


@pytest.fixture
async def monday(office: Office, now: time_machine.Traveller) -> time_machine.Traveller:
    now.move_to(PUBLISHED)
    reads(office, PDF)
    return now


async def test_readers_of_reports_get_one_letter_with_the_pdf_in_the_morning(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    harness = office.harness
    for role in ("head", "analyst", "moderator", "auditor"):
        await office.person(role, address=f"{role}@example.ru")
    # These get none: no right, no confirmed address, reports not chosen.
    for role in ("operations", "manager", "executor"):
        await office.person(role, address=f"{role}@example.ru")
    await office.person("head", address="unconfirmed@example.ru", state=AddressState.UNCONFIRMED)
    await office.person("head", address="never@example.ru", report="never")
    await office.person("analyst", address=None)
    async with (
        service_under_test("metrics", harness.test_database, harness.app.keys_dir) as metrics,
        served(metrics.client._transport.app) as url,  # type: ignore[attr-defined]
    ):
        os.environ["GOSPABLIK_METRICS_URL"] = url  # the block restores the environment
        settings.cache_clear()
        office.reports = ReportPdfs(pdf_reader(harness.app.service), 10**7)
        await publish(office)
        monday.move_to(local("2026-11-23 08:55"))
        assert await office.send() == 0
        monday.move_to(MORNING)
        assert await office.send() == 0  # the first round only starts to read the PDF
        assert await office.letters() == []
        await asyncio.gather(send(office), send(office))
        assert await office.send() == 0
    readers = {"head@example.ru", "analyst@example.ru", "moderator@example.ru", "auditor@example.ru"}
    assert sorted(letter.recipient for letter in mail.letters) == sorted(readers)
    message = mail.letters[0].message
    assert message["Subject"] == "Отчёт за неделю 16–22\xa0ноября: 508 обращений (−50)"
    [(name, content)] = attached(message)
    assert name == "weekly-report-2026-W47.pdf"
    assert content.startswith(b"%PDF")
    assert "47-я неделя 2026 года" in PdfReader(io.BytesIO(content)).pages[0].extract_text().replace("\xa0", " ")
    for kind in ("plain", "html"):
        text = mail.letters[0].body(kind)
        for part in ("на 50 меньше", "приложен к письму", "https://api.example.ru/reports/weekly/2026-W47"):
            assert part in text
    outcomes = {(notice["status"], notice["reason"]) for notice in await office.notices()}
    assert outcomes == {
        ("sent", None),
        ("suppressed", "address_unconfirmed"),
        ("suppressed", "unsubscribed"),
        ("suppressed", "no_address"),
    }


async def test_pdf_that_was_read_before_an_erasure_is_not_sent(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    asked = reads(office, PDF)
    await office.person("head")
    await publish(office)
    monday.move_to(MORNING)
    assert await office.claim() == []
    await pdf_read(office)
    await office.harness.emit("author.erased")
    await office.fan_out()
    assert await office.claim() == []  # the PDF is read again
    await pdf_read(office)
    assert await office.send() == 1
    assert asked == [WEEK, WEEK]
    assert len(mail.letters) == 1


async def test_report_announced_again_is_sent_once(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    await office.person("head")
    await publish(office)
    async with office.harness.database.write() as session:
        await record_notices(session, await read_after(session, 0, types=["report.ready"]))
    await announce(office)
    monday.move_to(MORNING)
    assert await send(office) == 1
    assert await send(office) == 0
    assert len(await office.notices()) == len(mail.letters) == 1
    with pytest.raises(asyncpg.CheckViolationError, match="one_subject"):
        await office.harness.sql("UPDATE notices SET report_week = NULL")


async def test_report_is_not_sent_twice_after_workers_were_killed(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    lapse = "UPDATE notice_letters SET leased_until = now() - interval '1 second'"
    await office.person("head")
    await publish(office)
    monday.move_to(MORNING)
    assert await office.claim() == []  # the PDF is not read yet
    await pdf_read(office)
    [before] = await office.claim()
    assert await office.send() == 0  # while the lease runs
    await office.harness.sql(lapse)
    assert await office.send() == 1
    assert not await leases.begin_sending(office.harness.database, before)
    await office.person("analyst")
    monday.move_to(local("2026-11-30 07:07"))
    await publish(office, "2026-W48")
    monday.move_to(local("2026-11-30 09:00"))
    await office.claim()
    await pdf_read(office)
    for killed in await office.claim():
        assert await leases.begin_sending(office.harness.database, killed)
    await office.harness.sql(lapse)
    assert await office.send() == 0
    assert len(mail.letters) == 1
    uncertain = [notice for notice in await office.notices() if notice["reason"] == "uncertain"]
    assert [notice["report_week"] for notice in uncertain] == ["2026-W48"] * 2


async def test_only_the_newest_report_of_missed_weeks_is_sent(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    await office.person("head")
    monday.move_to(local("2026-11-25 11:00"))
    # Without the delay, notices of older weeks would be due before the newest report is published.
    for week in ("2026-W44", "2026-W45", "2026-W46", WEEK):
        await publish(office, week)
        monday.shift(timedelta(minutes=2))
        await send(office)
    monday.shift(LATE_REPORT_DELAY)
    await send(office)
    assert [letter.message["Subject"].split(":")[0] for letter in mail.letters] == [
        "Отчёт за неделю 16–22\xa0ноября"
    ]
    assert await office.outcomes() == [("suppressed", "too_late")] * 3 + [("sent", None)]


async def test_late_report_is_sent_if_no_newer_report_is_published(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    await office.person("head")
    monday.move_to(local("2026-12-01 11:00"))
    await publish(office)
    monday.shift(timedelta(minutes=2))
    assert await send(office) == 0
    monday.shift(LATE_REPORT_DELAY)
    assert await send(office) == 1
    assert await office.outcomes() == [("sent", None)]


async def test_report_delayed_by_days_off_until_the_next_report_is_not_sent(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    await office.person("head")
    await publish(office)
    await office.harness.sql("UPDATE notices SET send_at = $1", local("2026-11-30 09:00"))
    monday.move_to(local("2026-11-30 07:07"))
    await publish(office, "2026-W48")
    monday.move_to(local("2026-11-30 09:00"))
    assert await send(office) == 1
    assert await office.outcomes() == [("suppressed", "too_late"), ("sent", None)]


async def test_hostile_names_in_a_report_are_escaped(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    await office.person("head")
    text = "<script>alert(1)</script>\r\nBcc: victim@example.ru\n\u202eгород\x07 & <b>"
    growing = AttentionItem(kind="topic_grows", count=9, text=text, population="opened")
    await publish(office, attention=[growing])
    monday.move_to(MORNING)
    assert await send(office) == 1
    message = mail.letters[0].message
    assert not {"Bcc", "Cc"} & set(message.keys())
    assert message["Subject"].startswith("Отчёт за неделю")
    html = mail.letters[0].body("html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Bcc: victim@example.ru город &amp; &lt;b&gt;</li>" in html
    assert "– <script>alert(1)</script> Bcc: victim@example.ru город & <b>\n" in mail.letters[0].body().replace(
        "\r", ""
    )


async def test_one_click_unsubscribes_from_letters_with_reports(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    person_id = await office.person("head")
    await publish(office)
    monday.move_to(MORNING)
    await send(office)
    path = mail.letters[0].message["List-Unsubscribe"].strip("<> ").removeprefix("https://api.example.ru")
    client = office.harness.app.client
    shown = await client.get(path)
    assert "еженедельный отчёт" in shown.text
    assert "обращения" not in shown.text
    assert (await client.post(path)).status_code == 200
    assert (await office.settings_of(person_id)).choices == {"report": "never"}
    monday.move_to(local("2026-11-30 07:07"))
    await publish(office, "2026-W48")
    monday.move_to(local("2026-11-30 09:00"))
    assert await send(office) == 0
    assert (await office.outcomes())[-1] == ("suppressed", "unsubscribed")


@pytest.mark.parametrize(
    ("error", "words", "waits"),
    [
        (ServiceUnavailable("down"), "Приложить отчёт в PDF не удалось", True),
        (FileTooLarge("large"), "больше, чем допускает почта", False),
    ],
)
async def test_letter_without_a_pdf_says_so_and_links_to_the_report(
    office: Office, mail: MailServer, monday: time_machine.Traveller, *, error: Exception, words: str, waits: bool
) -> None:
    for number in range(3):
        await office.person("head", address=f"h{number}@example.ru")
    asked = reads(office, error)
    await publish(office)
    monday.move_to(MORNING)
    assert await office.send() == 0
    assert await office.letters() == []
    assert await send(office) == 3
    assert (len(asked) > 1) is waits
    assert len(mail.letters) == 3
    text = mail.letters[0].body()
    assert words in text
    assert "/reports/weekly/2026-W47" in text
    assert attached(mail.letters[0].message) == []


async def test_reader_who_lost_the_right_by_the_morning_gets_no_letter(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    person_id = await office.person("analyst")
    await publish(office)
    await office.change("people", person_id, role="operations")
    monday.move_to(MORNING)
    assert await send(office) == 0
    assert await office.outcomes() == [("suppressed", "no_access")]


async def test_report_is_sent_in_a_separate_letter(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    moderator = await office.person("moderator")
    due: Any = {"clock": "first_response", "due_at": DUE}
    await office.emit("appeal.escalated", await office.appeal(), step="centre", told=[moderator], **due)
    await publish(office)
    monday.move_to(MORNING)
    assert await office.send() == 1  # the report waits for the PDF and delays no other letter
    assert await send(office) == 1
    attachments = {letter.message["Subject"].split(" ")[0]: attached(letter.message) for letter in mail.letters}
    assert attachments == {"№": [], "Отчёт": [("weekly-report-2026-W47.pdf", PDF)]}
    answer = await office.harness.app.client.get(
        "/api/v1/notices", params={"kind": "report"}, headers=office.harness.headers("operations")
    )
    [listed] = answer.json()["items"]
    assert (listed["report_week"], listed["appeal_id"], listed["appeal_number"]) == (WEEK, None, None)


async def test_unreadable_report_does_not_block_other_letters(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    moderator = await office.person("moderator")
    due: Any = {"clock": "first_response", "due_at": DUE}
    await office.emit("appeal.escalated", await office.appeal(), step="centre", told=[moderator], **due)
    await publish(office)
    await office.harness.sql("UPDATE weekly_reports SET document = '{}'")
    monday.move_to(MORNING)
    assert await office.send() == 1
    assert await office.outcomes() == [("sent", None), ("waiting", None)]


@pytest.mark.parametrize(
    ("answer", "for_all"),
    [("552 5.3.4 Message too big", True), ("554 5.3.4 too big", True), ("550 5.2.3 too big for you", False)],
)
async def test_letter_refused_for_its_size_is_sent_again_without_the_pdf(
    office: Office, mail: MailServer, monday: time_machine.Traveller, *, answer: str, for_all: bool
) -> None:
    await office.person("head")
    await publish(office)
    monday.move_to(MORNING)
    mail.data = [answer]
    assert await send(office) == 1
    assert await office.outcomes() == [("waiting", None)]
    await office.person("analyst", address="other@example.ru")
    await announce(office)
    monday.shift(timedelta(minutes=2))
    assert await send(office) == 2
    assert {status for status, _ in await office.outcomes()} == {"sent"}
    files = {letter.recipient: len(attached(letter.message)) for letter in mail.letters}
    assert files == {"sadik5@example.ru": 0, "other@example.ru": 0 if for_all else 1}
    [first] = [letter for letter in mail.letters if letter.recipient == "sadik5@example.ru"]
    assert "больше, чем допускает почта" in first.body()


async def test_letter_above_the_announced_limit_of_the_server_is_sent_without_the_pdf(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    mail.max_bytes = 50_000
    await office.person("head")
    reads(office, PDF * 4000)
    await publish(office)
    monday.move_to(MORNING)
    begin = AsyncMock()
    with patch.object(leases, "begin_sending", begin):
        assert await send(office) == 1
    begin.assert_not_awaited()
    monday.shift(timedelta(minutes=1))
    assert await send(office) == 1
    assert attached(mail.letters[0].message) == []


async def test_full_mailbox_does_not_remove_the_pdf_from_other_letters(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    for number in range(2):
        await office.person("head", address=f"h{number}@example.ru")
    await publish(office)
    monday.move_to(MORNING)
    mail.data = ["552 5.2.2 mailbox full"]
    sender = office.sender()
    sender._settings = office.settings.model_copy(update={"smtp_connections": 1})
    await sender.send_due()
    await pdf_read(office)
    assert await sender.send_due() == 2
    assert sorted(await office.outcomes()) == [("failed", "refused"), ("sent", None)]
    assert len(attached(mail.letters[0].message)) == 1


@pytest.mark.parametrize(("status", "bounces"), [("5.3.4", 0), ("5.2.3", 0), ("5.2.2", 0), ("5.1.1", 1)])
async def test_only_a_bounce_caused_by_the_address_counts_against_it(
    office: Office, mail: MailServer, monday: time_machine.Traveller, status: str, bounces: int
) -> None:
    person_id = await office.person("head")
    await publish(office)
    monday.move_to(MORNING)
    await send(office)
    [letter] = await office.letters()
    async with office.harness.database.write() as session:
        assert await outcomes.record_bounce(session, letter["id"], status)
    assert await office.outcomes() == [("failed", "bounced")]
    assert (await office.settings_of(person_id)).bounces == bounces


async def test_slow_metrics_service_delays_no_other_letter(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    answer = asyncio.Event()

    async def read(week: str, max_bytes: int) -> bytes:
        await answer.wait()
        return PDF

    office.reports = ReportPdfs(read, 10**7)
    for number in range(12):  # longer than a round may take
        await office.person("head", address=f"h{number}@example.ru")
    await publish(office)
    monday.move_to(MORNING)
    assert await office.send() == 0
    await office.person()
    await office.emit("appeal.assigned", await office.appeal())
    monday.shift(timedelta(minutes=2))
    office.state._error = "down"
    assert await office.send() == 1  # a single letter tests the server
    assert [letter.recipient for letter in mail.letters] == ["sadik5@example.ru"]
    assert len(await office.letters()) == 1
    answer.set()
    assert await send(office) == 12


async def test_address_confirmed_after_the_publication_gets_the_report(
    office: Office, mail: MailServer, monday: time_machine.Traveller
) -> None:
    await office.person("head", state=AddressState.UNCONFIRMED)
    await publish(office)
    await office.harness.sql("UPDATE notice_settings SET address_state = 'confirmed'")
    monday.move_to(MORNING)
    assert await send(office) == 1
