"""Signed links of letters, reports of undeliverable letters, and notice addresses."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError

from services.webhooks.notices import links
from services.webhooks.notices.mail.bounces import Bounce, parse_bounce
from services.webhooks.schemas.notices import NoticeAddressUpdate, NoticeKind
from shared import clock

PERSON, NONCE, LETTER = uuid4(), uuid4(), UUID("0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10")
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
KEYS = SecretStr(OLD)
REFERENCE = f"{LETTER.hex}-{links.letter_code(KEYS, LETTER)}"
WANTED = links.Unsubscription(PERSON, (NoticeKind.ASSIGNMENT, NoticeKind.WARNING))

REPORT = """\
From: MAILER-DAEMON@mx.example.ru
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=utf-8

sadik5@example.ru: no such user

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.ru

Final-Recipient: rfc822; sadik5@example.ru
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 No such user

--b
Content-Type: {returned}

Message-ID: <{letter}@example.ru>
Subject: letter

--b--
"""


def report(**changes: str) -> bytes:
    values = {
        "to": f"returned+{REFERENCE}@example.ru",
        "action": "failed",
        "status": "5.1.1",
        "returned": "text/rfc822-headers",
        "letter": uuid4().hex,
    }
    return REPORT.format(**values | changes).encode()


def test_links_are_read_with_any_key_in_use() -> None:
    token = links.unsubscribe_token(SecretStr(OLD), WANTED)
    assert links.read_unsubscribe_token(SecretStr(f"{NEW},{OLD}"), token) == WANTED
    assert links.read_unsubscribe_token(SecretStr(NEW), token) is None
    token = links.confirmation_token(SecretStr(NEW), PERSON, NONCE)
    assert links.read_confirmation_token(SecretStr(f"{NEW},{OLD}"), token) == (PERSON, NONCE)


def test_link_for_one_purpose_is_refused_for_another() -> None:
    keys = SecretStr(NEW)
    assert links.read_unsubscribe_token(keys, links.confirmation_token(keys, PERSON, NONCE)) is None


@pytest.mark.parametrize("token", ["", "a", "???", "привет", "A" * 80])
def test_damaged_link_is_refused(token: str) -> None:
    assert links.read_unsubscribe_token(SecretStr(NEW), token) is None
    made = links.unsubscribe_token(SecretStr(NEW), WANTED)
    changed = ("A" if made[0] != "A" else "B") + made[1:]
    assert links.read_unsubscribe_token(SecretStr(NEW), changed) is None


def test_bounce_is_matched_with_its_letter_by_the_recipient() -> None:
    assert parse_bounce(report(), SecretStr(f"{NEW},{OLD}")) == Bounce(LETTER, "5.1.1")


@pytest.mark.parametrize("returned", ["text/rfc822-headers", "message/rfc822"])
def test_bounce_is_matched_with_its_letter_by_the_returned_message(returned: str) -> None:
    found = parse_bounce(report(to="noreply@example.ru", letter=REFERENCE, returned=returned), KEYS)
    assert found == Bounce(LETTER, "5.1.1")


@pytest.mark.parametrize("code", ["", "-", f"-{'0' * 12}"])
def test_report_without_the_code_of_the_letter_is_ignored(code: str) -> None:
    forged = f"{LETTER.hex}{code}"
    assert parse_bounce(report(to=f"returned+{forged}@example.ru", letter=forged), KEYS) is None


def test_expired_link_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unsubscription = links.unsubscribe_token(KEYS, WANTED)
    confirmation = links.confirmation_token(KEYS, PERSON, NONCE)
    made = clock.now()
    monkeypatch.setattr(clock, "now", lambda: made + links.CONFIRM_AGE + timedelta(seconds=1))
    assert links.read_confirmation_token(KEYS, confirmation) is None
    assert links.read_unsubscribe_token(KEYS, unsubscription) == WANTED
    monkeypatch.setattr(clock, "now", lambda: made + links.UNSUBSCRIBE_AGE + timedelta(seconds=1))
    assert links.read_unsubscribe_token(KEYS, unsubscription) is None


@pytest.mark.parametrize(
    "changes",
    [{"action": "delayed", "status": "4.4.1"}, {"action": "delivered", "status": "2.0.0"}, {"status": "4.2.2"}],
)
def test_delay_is_not_a_bounce(changes: dict[str, str]) -> None:
    assert parse_bounce(report(**changes), KEYS) is None


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"Subject: out of office\n\nBack on Monday", b"Action: failed\n\n"]
)
def test_other_mail_is_not_a_bounce(raw: bytes) -> None:
    assert parse_bounce(raw, KEYS) is None


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" sadik5@example.ru ", "sadik5@example.ru"),
        ("a.b+c@Mail.Example.RU", "a.b+c@mail.example.ru"),
        ("info@детсад.рф", "info@xn--80ahbc4df.xn--p1ai"),
    ],
)
def test_address_is_stored_in_the_form_used_by_mail_servers(given: str, stored: str) -> None:
    assert NoticeAddressUpdate(address=given).address == stored


@pytest.mark.parametrize(
    "given",
    [
        "sadik5",
        "@example.ru",
        "a@localhost",
        "a@example.ru\r\nBcc: b@example.ru",
        "a b@example.ru",
        "почта@example.ru",
        "a@b@example.ru",
        "<a@example.ru>",
        "a@example.ru, b@example.ru",
        "a@exam ple.ru",
        "a@.ru",
    ],
)
def test_text_other_than_one_address_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        NoticeAddressUpdate(address=given)
