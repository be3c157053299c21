"""Notices as the plain text of one message in a network, without texts written by citizens or staff."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from services.webhooks.notices.mail.letters import Item, compose
from services.webhooks.notices.relevance import Line
from services.webhooks.notices.reports.published_reports import ReportLine
from shared.russian import plural

# Maximum number of characters in a message: within the limit of every network, and readable on a phone.
MAX_LENGTH = 3_000
_NOTICES = ("уведомление", "уведомления", "уведомлений")


def message_text(lines: Sequence[Line | ReportLine], *, front_end_url: str, zone: ZoneInfo, now: datetime) -> str:
    """Return the text of a message with these notices, at least one. Times are shown in `zone`."""
    root = front_end_url.rstrip("/")
    blocks = [
        f"Опубликован еженедельный отчёт {line.sheet.week}\n{root}/reports/weekly/{line.sheet.week}"
        for line in lines
        if isinstance(line, ReportLine)
    ]
    if of_appeals := [line for line in lines if isinstance(line, Line)]:
        letter = compose(of_appeals, front_end_url=front_end_url, zone=zone, now=now)
        blocks += [_block(item) for group in letter.groups for item in group.items]
    # The last line says how many notices are left out, and links to all of them.
    text, shown = "", 0
    for block in blocks:
        longer = f"{text}\n\n{block}" if text else block
        if text and len(longer) > MAX_LENGTH:
            break
        text, shown = longer, shown + 1
    left = len(lines) - shown
    if left:
        text = f"{text}\n\n…и ещё {left} {plural(left, _NOTICES)}: {root}/account/notices"
    return text


def _block(item: Item) -> str:
    facts = [item.organisation, *([item.topic] if item.topic else []), *([f"срок {item.due}"] if item.due else [])]
    urgent = "Срочно. " if item.urgent else ""
    return f"{urgent}№ {item.number}: {item.what}\n{' · '.join(facts)}\n{item.url}"
