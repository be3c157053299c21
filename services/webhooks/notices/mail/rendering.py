"""Letters as e-mail: plain text and HTML from templates, and the headers that mail servers expect."""

from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.webhooks.endpoints.disabling import DisablingCause
from services.webhooks.endpoints.health import MAX_COUNTED
from services.webhooks.notices.mail.letters import Letter
from services.webhooks.notices.reports.report_letter import ReportLetter
from shared import clock

SENDER_NAME = "Госпаблик"
# Base64 for all texts keeps every line within the length that mail servers accept.
_ENCODING = "base64"


class _LetterPolicy(EmailPolicy):
    """Keeps a header with a URL in one line: folded, it would be encoded and unusable for mail programs."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """Return the header as bytes."""
        if name == "List-Unsubscribe":
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


_POLICY = _LetterPolicy(linesep="\r\n")


@dataclass(frozen=True)
class Envelope:
    """Addresses of a letter. Mail servers return an undeliverable letter to `bounce_address`.

    `reference` is the letter's id with the code that proves that a returned letter is ours.
    """

    letter_id: UUID
    reference: str
    sender: str
    recipient: str
    bounce_address: str


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def envelope(letter_id: UUID, code: str, *, sender: str, bounce_address: str | None, recipient: str) -> Envelope:
    """Return the addresses of a letter; its bounce address contains its reference."""
    reference = f"{letter_id.hex}-{code}"
    if bounce_address is None:
        return Envelope(letter_id, reference, sender, recipient, sender)
    local, _, domain = bounce_address.rpartition("@")
    return Envelope(letter_id, reference, sender, recipient, f"{local}+{reference}@{domain}")


def message_id(reference: str, sender: str) -> str:
    """Return the Message-ID of a letter: the same in all attempts."""
    return f"<{reference}@{sender.rpartition('@')[2]}>"


def notices_message(
    addresses: Envelope,
    letter: Letter | ReportLetter,
    *,
    unsubscribe_url: str,
    settings_url: str,
    pdf: bytes | None = None,
) -> EmailMessage:
    """Return the e-mail with the notices, or with a report, to which `pdf` is attached.

    The header for one-click unsubscription (RFC 8058) ends the kinds of notices in the letter.
    """
    message = _message(
        addresses,
        letter.subject,
        "report" if isinstance(letter, ReportLetter) else "notices",
        letter=letter,
        unsubscribe_url=unsubscribe_url,
        settings_url=settings_url,
    )
    message["List-Unsubscribe"] = f"<{unsubscribe_url}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if pdf is not None and isinstance(letter, ReportLetter):
        name = f"weekly-report-{letter.week}.pdf"
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename=name)
    return message


def confirmation_message(addresses: Envelope, *, confirm_url: str) -> EmailMessage:
    """Return the e-mail with the link that confirms an address."""
    return _message(addresses, "Подтвердите адрес для уведомлений", "confirmation", confirm_url=confirm_url)


def replaced_message(addresses: Envelope, *, settings_url: str) -> EmailMessage:
    """Return the e-mail to a former address saying that somebody else replaced or removed it."""
    return _message(addresses, "Адрес для уведомлений изменён", "replaced", settings_url=settings_url)


def linked_message(addresses: Envelope, *, settings_url: str) -> EmailMessage:
    """Return the e-mail saying that an account in a network was linked."""
    return _message(addresses, "Уведомления связаны с перепиской в соцсети", "linked", settings_url=settings_url)


def endpoint_disabled_message(
    addresses: Envelope, *, cause: DisablingCause, failing_since: str | None, failed: int, endpoint_url: str
) -> EmailMessage:
    """Return the e-mail saying that a webhook endpoint was disabled.

    `failing_since` is a local time as text, None unless deliveries failed for days; `failed` is the number of
    failed deliveries.
    """
    return _message(
        addresses,
        "Подписка на события отключена",
        "endpoint_disabled",
        cause=cause,
        failing_since=failing_since,
        failed=f"{failed} или больше" if failed >= MAX_COUNTED else str(failed),
        endpoint_url=endpoint_url,
    )


def page(template: str, **values: Any) -> str:
    """Return the HTML page that a link in a letter opens."""
    return _templates().get_template(f"{template}.html").render(**values)


def _message(addresses: Envelope, subject: str, template: str, **values: Any) -> EmailMessage:
    message = EmailMessage(policy=_POLICY)
    message["Message-ID"] = message_id(addresses.reference, addresses.sender)
    message["Date"] = format_datetime(clock.now())
    local, _, domain = addresses.sender.rpartition("@")
    message["From"] = Address(SENDER_NAME, local, domain)
    local, _, domain = addresses.recipient.rpartition("@")
    message["To"] = Address("", local, domain)
    message["Subject"] = subject
    # Prevents automatic replies (RFC 3834); some servers support only the second header.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    values |= {"subject": subject}
    text, html = (_templates().get_template(f"{template}.{kind}").render(**values) for kind in ("txt", "html"))
    message.set_content(text, cte=_ENCODING)
    message.add_alternative(html, subtype="html", cte=_ENCODING)
    return message
