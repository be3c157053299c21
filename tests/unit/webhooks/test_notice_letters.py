"""Letters: their texts and numbers, and escaping of hostile names."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.webhooks.endpoints.disabling import DisablingCause
from services.webhooks.notices.mail.letters import KIND_TITLES, MAX_SHOWN, Letter, compose, safe_name
from services.webhooks.notices.mail.rendering import (
    Envelope,
    confirmation_message,
    endpoint_disabled_message,
    envelope,
    notices_message,
)
from services.webhooks.notices.relevance import Line
from services.webhooks.schemas.notices import NoticeKind
from shared.clock import REGION_TIME_ZONE

NOW = datetime(2026, 3, 3, 2, tzinfo=UTC)  # 10:00 in Irkutsk
DUE = NOW + timedelta(hours=7, minutes=40)
CODE = "0123456789ab"
LETTER = UUID("0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10")
UNSUBSCRIBE = f"https://api.example.ru/api/v1/notices/unsubscription?token={'aB3_-' * 30}"
HOSTILE = '<script>alert(1)</script>\r\nBcc: victim@example.ru\n\u202eевил\u2066 "Школа" & <b>'

# The event types of each kind of notice about an appeal, with the details that their texts need.
EVENTS: list[tuple[NoticeKind, str, dict[str, Any], str]] = [
    (NoticeKind.ASSIGNMENT, "appeal.assigned", {}, "Назначено вашей организации"),
    (NoticeKind.ASSIGNMENT, "appeal.assignee_changed", {"personal": True}, "Назначено вам"),
    (NoticeKind.ASSIGNMENT, "appeal.reopened", {}, "Снова ждёт ответа"),
    (NoticeKind.WARNING, "appeal.deadline_near", {"clock": "first_response"}, "Подходит срок первого ответа"),
    (NoticeKind.WARNING, "promise.reminded", {"clock": "promise"}, "Подходит срок обещанного ответа"),
    (NoticeKind.RETURN, "appeal.moved", {}, "Организация вернула обращение в центр"),
    (NoticeKind.RETURN, "reply.refused", {}, "Ответ возвращён на доработку"),
    (NoticeKind.MENTION, "appeal.note_added", {}, "Вас упомянули в заметке"),
    (NoticeKind.ESCALATION, "appeal.escalated", {"clock": "final_answer"}, "Подходит срок окончательного ответа"),
    (NoticeKind.APPROVAL, "reply.approval_requested", {}, "Ответ ждёт согласования"),
    (NoticeKind.APPROVAL, "appeal.extension_requested", {}, "Организация просит продлить срок"),
    (NoticeKind.REPLY_FAILED, "reply.failed", {}, "Ответ не опубликован: исправьте его и отправьте снова"),
    (
        NoticeKind.REPLY_FAILED,
        "reply.change_failed",
        {"change": "edit"},
        "Исправить опубликованный ответ не удалось",
    ),
]


def line(kind: NoticeKind, event_type: str, number: int = 1024, **changes: Any) -> Line:
    values: dict[str, Any] = {
        "organisation": "Детский сад № 5",
        "topic": "Уборка снега",
        "urgent": False,
        "due_at": DUE,
        "details": {},
    }
    return Line(uuid4(), kind, event_type, UUID(int=number), number, **values | changes)


def composed(*lines: Line) -> Letter:
    return compose(lines, front_end_url="https://front.example.ru/", zone=REGION_TIME_ZONE, now=NOW)


def addresses(recipient: str = "sadik5@example.ru") -> Envelope:
    return envelope(LETTER, CODE, sender="noreply@example.ru", bounce_address=None, recipient=recipient)


def rendered(*lines: Line) -> EmailMessage:
    message = notices_message(
        addresses(),
        composed(*lines),
        unsubscribe_url=UNSUBSCRIBE,
        settings_url="https://front.example.ru/settings/notices",
    )
    parsed = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def bodies(message: EmailMessage) -> tuple[str, str]:
    found = []
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None
        found.append(part.get_content())
    return found[0], found[1]


@pytest.mark.parametrize(
    ("kind", "event_type", "details", "words"), EVENTS, ids=[event for _, event, _, _ in EVENTS]
)
def test_letter_with_one_notice_says_what_happened_and_until_when(
    kind: NoticeKind, event_type: str, details: dict[str, Any], words: str
) -> None:
    message = rendered(line(kind, event_type, details=details))
    assert message["Subject"] == f"№ 1024: {words[:1].lower()}{words[1:]}"
    for text in bodies(message):
        for part in (words, "Детский сад № 5", "Уборка снега", "вт, 3 марта, 17:40"):
            assert part in text
        assert f"https://front.example.ru/appeals/{UUID(int=1024)}" in text


def test_every_kind_of_notice_has_a_title_and_an_event_in_the_table() -> None:
    assert {kind for kind, _, _, _ in EVENTS} == set(NoticeKind) - {NoticeKind.REPORT}
    assert set(KIND_TITLES) == set(NoticeKind)


def test_passed_deadline_is_described_as_passed() -> None:
    late = line(NoticeKind.ESCALATION, "appeal.escalated", due_at=NOW, details={"clock": "first_response"})
    assert composed(late).groups[0].items[0].what == "Прошёл срок первого ответа"


@pytest.mark.parametrize(
    ("count", "subject"),
    [
        (2, "Госпаблик: 2 назначения"),
        (5, "Госпаблик: 5 назначений"),
        (11, "Госпаблик: 11 назначений"),
        (21, "Госпаблик: 21 назначение"),
        (112, "Госпаблик: 112 назначений"),
    ],
)
def test_subject_counts_notices_of_one_kind(count: int, subject: str) -> None:
    lines = [line(NoticeKind.ASSIGNMENT, "appeal.assigned", number) for number in range(1, count + 1)]
    assert composed(*lines).subject == subject


def test_subject_counts_notices_of_several_kinds() -> None:
    letter = composed(
        *(line(NoticeKind.ASSIGNMENT, "appeal.assigned", number) for number in range(3)),
        *(
            line(NoticeKind.WARNING, "appeal.deadline_near", n, details={"clock": "final_answer"})
            for n in range(2)
        ),
    )
    assert letter.subject == "5 уведомлений: 3 назначения, 2 предупреждения о сроке"


def test_long_digest_shows_the_most_urgent_and_counts_the_rest() -> None:
    lines = [
        line(NoticeKind.ASSIGNMENT, "appeal.assigned", number, due_at=DUE + timedelta(hours=number))
        for number in range(MAX_SHOWN + 3)
    ]
    lines.append(line(NoticeKind.ASSIGNMENT, "appeal.assigned", 999, urgent=True, due_at=None))
    lines.append(line(NoticeKind.MENTION, "appeal.note_added", 7))
    letter = composed(*lines)
    assert sum(len(group.items) for group in letter.groups) == MAX_SHOWN
    assert sum(group.count for group in letter.groups) == letter.count == len(lines)
    assert letter.groups[0].items[0].number == 999
    text, html = bodies(rendered(*lines))
    for shown in (text, html):
        assert "…и ещё 4 уведомления" in shown
        assert "…и ещё 1 уведомление" in shown


def test_hostile_names_are_escaped() -> None:
    message = rendered(line(NoticeKind.ASSIGNMENT, "appeal.assigned", organisation=HOSTILE, topic=HOSTILE))
    assert message["Bcc"] is None
    text, html = bodies(message)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
    assert "\nBcc" not in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", text + html)


def test_address_with_a_line_break_is_refused() -> None:
    # The subject of a letter contains no name; the address is checked before it is stored.
    with pytest.raises((ValueError, IndexError)):
        confirmation_message(addresses("a@example.ru\r\nBcc: b@example.ru"), confirm_url="https://example.ru")


def test_long_name_is_shortened() -> None:
    assert len(safe_name("Муниципальное " * 40)) <= 160
    assert safe_name("  Школа\u00a0№ 1 \t\n «Радуга»\x00 ") == "Школа № 1 «Радуга»"


def test_letter_has_the_headers_of_automatic_mail() -> None:
    message = rendered(line(NoticeKind.ASSIGNMENT, "appeal.assigned"))
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert message["Message-ID"] == f"<{LETTER.hex}-{CODE}@example.ru>"
    assert str(message["From"]) == "Госпаблик <noreply@example.ru>"


def test_link_to_unsubscribe_is_sent_in_one_line() -> None:
    message = notices_message(
        addresses(),
        composed(line(NoticeKind.ASSIGNMENT, "appeal.assigned")),
        unsubscribe_url=UNSUBSCRIBE,
        settings_url="https://front.example.ru/settings/notices",
    )
    assert f"\r\nList-Unsubscribe: <{UNSUBSCRIBE}>\r\n".encode() in message.as_bytes()


def test_html_loads_nothing_and_fits_a_phone() -> None:
    _, html = bodies(rendered(line(NoticeKind.ASSIGNMENT, "appeal.assigned")))
    assert not re.search(r"<(img|link|script|iframe|object)\b|url\(", html)
    assert "width=device-width" in html
    assert "max-width:600px" in html
    assert 'content="light dark"' in html


@pytest.mark.parametrize(
    ("cause", "failing_since", "said"),
    [
        ("gone", None, "больше не принимает события (410)"),
        ("unverified", None, "не вернул проверочное значение"),
        ("failing", "ср, 18 ноября, 10:00", "с ср, 18 ноября, 10:00 получатель не принял ни одного события"),
        ("failing", None, "отключена: получатель не принял ни одного события"),
    ],
)
def test_letter_about_a_disabled_endpoint_says_why(
    cause: DisablingCause, failing_since: str | None, said: str
) -> None:
    message = endpoint_disabled_message(
        addresses(),
        cause=cause,
        failing_since=failing_since,
        failed=3,
        endpoint_url="https://front.example.ru/w/1",
    )
    for body in bodies(message):
        assert said in " ".join(body.split())


def test_bounce_address_names_the_letter() -> None:
    with_own = envelope(LETTER, CODE, sender="noreply@a.ru", bounce_address="returned@a.ru", recipient="x@b.ru")
    assert with_own.bounce_address == f"returned+{LETTER.hex}-{CODE}@a.ru"
    assert addresses().bounce_address == "noreply@example.ru"
