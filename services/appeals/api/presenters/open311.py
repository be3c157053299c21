"""Presenters of Open311: topics as services, appeals as service requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from services.appeals.exports.columns import OUTCOMES, STATUSES
from services.appeals.open311.service_requests import service_request_status
from services.appeals.schemas.partners.open311 import MAX_DESCRIPTION, Open311Request, Open311Service
from shared.contracts.erasures import ERASED_TEXT
from shared.masking import mask
from shared.tables.appeals_classification import Topic

# Longer than a phone number, an e-mail address or a name with the words beside it by which it is recognised.
_MARGIN = 200


def service_out(topic: Topic, group: str | None) -> Open311Service:
    """Return a topic as a service."""
    return Open311Service(
        service_code=str(topic.id),
        service_name=topic.name,
        description=topic.includes or "",
        metadata=False,
        type="realtime",
        keywords=", ".join(topic.aliases),
        group=group or "",
    )


def requests_out(
    rows: Sequence[SimpleNamespace], locations: Mapping[UUID, Mapping[str, Any]]
) -> list[Open311Request]:
    """Return rows of the list of appeals as service requests, with personal data masked as in the list. Masking
    takes about a millisecond for each new text: call it in a thread.
    """
    return [_request(row, locations.get(row.id, {}) if row.erased_at is None else {}) for row in rows]


def _request(row: SimpleNamespace, location: Mapping[str, Any]) -> Open311Request:
    status = service_request_status(row.status)
    expected = row.promised_at or row.resolution_due_at
    words = (STATUSES[row.status], OUTCOMES.get(row.outcome or ""))
    return Open311Request(
        service_request_id=str(row.id),
        status=status,
        status_notes=": ".join(word for word in words if word),
        service_name=row.topic,
        service_code=str(row.topic_id) if row.topic_id is not None else None,
        description=_description(row.text) if row.erased_at is None else ERASED_TEXT,
        agency_responsible=row.organisation,
        service_notice=None,
        requested_datetime=_whole_second(row.opened_at),
        updated_datetime=_whole_second((row.closed_at if status == "closed" else None) or row.updated_at),
        expected_datetime=_whole_second(expected) if expected is not None else None,
        address=_address(row) or _text(location, "address_string"),
        address_id=_text(location, "address_id"),
        zipcode=None,
        lat=_degrees(location, "lat", 90),
        long=_degrees(location, "long", 180),
        media_url=row.url if location else None,
    )


def _description(text: str) -> str:
    """Return the beginning of the text, masked; only this part is masked, because masking is slow."""
    masked = mask(text[: MAX_DESCRIPTION + _MARGIN])
    if len(text) > MAX_DESCRIPTION + _MARGIN:
        # The cut may divide a number, and no pattern recognises its first half.
        masked = masked[:-_MARGIN]
    return masked[:MAX_DESCRIPTION]


def _address(row: SimpleNamespace) -> str | None:
    """Return the location from the most specific to the most general part, as the specification requires."""
    street = ", ".join(part for part in (row.street, row.house) if part)
    return ", ".join(part for part in (street, row.settlement, row.municipality_name) if part) or None


def _text(location: Mapping[str, Any], name: str) -> str | None:
    value = location.get(name)
    return mask(value) if isinstance(value, str) else None


def _degrees(location: Mapping[str, Any], name: str, most: int) -> float | None:
    # The value may be anything: `POST /appeals` accepts any `metadata` for the source `open311` too.
    value = location.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if abs(value) <= most else None


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
