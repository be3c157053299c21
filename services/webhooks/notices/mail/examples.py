"""Examples of letters, for people who review or change them."""

from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from services.webhooks.notices.mail.letters import compose
from services.webhooks.notices.mail.rendering import (
    Envelope,
    confirmation_message,
    endpoint_disabled_message,
    envelope,
    linked_message,
    notices_message,
    replaced_message,
)
from services.webhooks.notices.relevance import Line
from services.webhooks.notices.reports.report_letter import compose_report
from services.webhooks.schemas.notices import NoticeKind
from shared import clock
from shared.contracts.report_top_sheet import ReportTopSheet

# A notice of each event type: its kind, by which notices are grouped in a digest, and its details.
EXAMPLES: tuple[tuple[NoticeKind, str, Mapping[str, Any]], ...] = (
    (NoticeKind.ASSIGNMENT, "appeal.assigned", {}),
    (NoticeKind.ASSIGNMENT, "appeal.assignee_changed", {}),
    (NoticeKind.ASSIGNMENT, "appeal.reopened", {}),
    (NoticeKind.WARNING, "appeal.deadline_near", {"clock": "first_response"}),
    (NoticeKind.WARNING, "promise.reminded", {"clock": "promise"}),
    (NoticeKind.RETURN, "appeal.moved", {}),
    (NoticeKind.RETURN, "reply.refused", {}),
    (NoticeKind.MENTION, "appeal.note_added", {}),
    (NoticeKind.ESCALATION, "appeal.escalated", {"clock": "final_answer"}),
    (NoticeKind.APPROVAL, "reply.approval_requested", {}),
    (NoticeKind.APPROVAL, "appeal.extension_requested", {}),
    (NoticeKind.REPLY_FAILED, "reply.failed", {}),
    (NoticeKind.REPLY_FAILED, "reply.change_failed", {"change": "edit"}),
)
# A report that makes the letter contain every kind of sentence.
EXAMPLE_SHEET = ReportTopSheet.model_validate(
    {
        "format": 1,
        "week": "2026-W47",
        "first_day": "2026-11-16",
        "last_day": "2026-11-22",
        "totals": [{"channel": "all", "appeals": {"value": 508, "last_week": 558, "change": -50}}],
        "outcomes": {"opened": 508, "answered": 470, "overdue": 12},
        "attention": [
            {"kind": "overdue", "count": 31, "text": "31 ответ просрочен на конец недели"},
            {"kind": "promises_broken", "count": 2, "text": "2 обещания не выполнены"},
            {"kind": "questions_deleted", "count": 1, "text": "1 вопрос удалён сообществом"},
            {
                "kind": "topic_grows",
                "count": 62,
                "text": "Автомобильные дороги: 62 обращения, обычно 31,5 за неделю",
            },
            {"kind": "pages_silent", "count": 3, "text": "3 страницы замолчали"},
        ],
        "promises": {"due": 8, "broken": 2},
        "gaps": ["2 страницы не сверены с сетью за неделю ни разу."],
    }
)
_LETTER_ID = UUID("0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10")
_URL = "https://gospablik.example"


def example_lines() -> list[Line]:
    """Return one line for each event type; the appeals belong to several organisations."""
    now = clock.now()
    return [
        Line(
            notice_id=UUID(int=number),
            kind=kind,
            event_type=event_type,
            appeal_id=UUID(int=number),
            number=1020 + number,
            organisation="Детский сад № 5 «Солнышко»" if number % 2 else "Администрация Кабанского района",
            topic="Уборка снега и наледи" if number % 3 else None,
            urgent=number % 5 == 0,
            due_at=now + timedelta(hours=3 * number) if number % 4 else None,
            details=details,
        )
        for number, (kind, event_type, details) in enumerate(EXAMPLES, start=1)
    ]


def example_messages() -> dict[str, EmailMessage]:
    """Return example letters by name: one for each event type, a digest of all, the weekly report, and letters
    about an address, an account or an endpoint.
    """
    lines = example_lines()
    letters = {line.event_type.replace(".", "-"): [line] for line in lines} | {"digest": lines}
    messages = {name: _message(shown) for name, shown in letters.items()}
    return messages | {
        "report": _report_message(),
        "confirmation": confirmation_message(_addresses(), confirm_url=f"{_URL}/confirmation"),
        "linked": linked_message(_addresses(), settings_url=f"{_URL}/settings/notices"),
        "endpoint-disabled": endpoint_disabled_message(
            _addresses(),
            cause="failing",
            failing_since="ср, 18 ноября, 10:00",
            failed=240,
            endpoint_url=f"{_URL}/webhooks/{_LETTER_ID}",
        ),
        "replaced": replaced_message(_addresses(), settings_url=f"{_URL}/settings/notices"),
    }


def _message(lines: list[Line]) -> EmailMessage:
    letter = compose(lines, front_end_url=_URL, zone=clock.REGION_TIME_ZONE, now=clock.now())
    return notices_message(
        _addresses(), letter, unsubscribe_url=f"{_URL}/unsubscription", settings_url=f"{_URL}/settings/notices"
    )


def _report_message() -> EmailMessage:
    pdf = b"%PDF-1.7\n%%EOF\n"
    return notices_message(
        _addresses(),
        compose_report(EXAMPLE_SHEET, pdf, front_end_url=_URL),
        unsubscribe_url=f"{_URL}/unsubscription",
        settings_url=f"{_URL}/settings/notices",
        pdf=pdf,
    )


def _addresses() -> Envelope:
    return envelope(
        _LETTER_ID,
        "0" * 12,
        sender="noreply@gospablik.example",
        bounce_address=None,
        recipient="sadik5@example.ru",
    )
