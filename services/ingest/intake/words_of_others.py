"""What other people's messages contain of a person: forwarded and reposted words, links, and payloads.

The author of a message keeps their own words. The same rules serve the erasure of stored messages and the intake:
a message that is read again has the text that is stored.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.ingest.intake.edits import OWN_WORDS, only_edit_times
from services.ingest.networks.sanitize import encode_exact_json, replace_lone_surrogates
from services.ingest.pseudonymisation.people_in_payloads import people_in
from shared.contracts.erasures import ERASED_LINK, ERASED_TEXT
from shared.text.person_links import without_links

# Payload fields with lists of items that the author of a message forwarded or reposted, and kinds of attachments
# that contain such an item in the field of the same name.
_SHARED, _SENT = ("fwd_messages", "copy_history"), ("wall", "wall_reply")
# Fields that may name the author of a shared item, the first of which counts.
_AUTHORS = ("from_id", "user_id", "owner_id", "to_id")
# What is kept of a shared item with its author: whose words they are, in case that person is erased too.
_KEPT = ("date", *OWN_WORDS)
# Texts have at most as many shared items; deeper ones are not kept.
_DEEPEST = 100


@dataclass(frozen=True)
class Content:
    """Text, attachments and payload of a message."""

    text: str
    attachments: Sequence[Any]
    raw: Mapping[str, Any]

    @property
    def named(self) -> list[Any]:
        """Return what may name people, as `people_in` takes it. Attachments are parts of the payload."""
        return [self.text, self.raw]

    def without_people(self, erased: Mapping[str, datetime], unlinked: Collection[str]) -> "Content":
        """Return the content without these people. Idempotent.

        `erased`: until when each is erased, by number; what they wrote later and somebody shared stays in the
        text. `unlinked`: those to whom links are removed from the text (see `people_to_unlink`).
        """
        gone = [item for item in _shared_items(self.raw) if _is_erased(item, erased)]
        text, own = replace_lone_surrogates(self.text), _words(self.raw)
        # The author's own words, which come first, may look like shared ones.
        own, shared = (own, text.removeprefix(own)) if text.startswith(own) else ("", text)
        for words in sorted({_words(item) for item in gone} - {""}, key=len, reverse=True):
            shared = _replaced(shared, words)
        text = without_links(own + shared, unlinked, ERASED_LINK)
        theirs = [one for item in gone for one in _attached(item)]
        theirs += json.loads(encode_exact_json(theirs))  # as they are stored
        return Content(
            text=text,
            attachments=[
                one for one in self.attachments if one not in theirs and people_in(one).isdisjoint(erased)
            ],
            raw=only_edit_times(self.raw) | _shared_by_others(self.raw, erased, unlinked),
        )


def people_to_unlink(erased: Mapping[str, datetime], *, from_community: bool, written_at: datetime) -> set[str]:
    """Return the erased people to whom links are removed from a message.

    What the page wrote after a person's erasure keeps its links: it may answer what the person has written since.
    """
    return {number for number, until in erased.items() if not from_community or written_at <= until}


def _shared_items(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    left: list[Mapping[str, Any]] = [raw]
    while left:
        inner = [item for _, items in _shared_in(left.pop()) for item in items]
        yield from inner
        left += inner


def _shared_in(raw: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield the items that an item shares, by the field or the kind of attachment."""
    for name in _SHARED:
        yield name, [one for one in _listed(raw, name) if isinstance(one, dict)]
    attachments = [one for one in _listed(raw, "attachments") if isinstance(one, dict)]
    for kind in _SENT:
        yield (
            kind,
            [one[kind] for one in attachments if one.get("type") == kind and isinstance(one.get(kind), dict)],
        )


def _listed(raw: Mapping[str, Any], name: str) -> list[Any]:
    found = raw.get(name)
    return found if isinstance(found, list) else []


def _attached(item: Mapping[str, Any]) -> list[Any]:
    """Return the attachments of a shared item, and its location as an attachment, as messages have it."""
    return [*_listed(item, "attachments"), *([{"type": "geo", "geo": item["geo"]}] if "geo" in item else [])]


def _words(item: Mapping[str, Any]) -> str:
    found = next((item[name] for name in OWN_WORDS if item.get(name) is not None), "")
    return replace_lone_surrogates(str(found))


def _author_field(item: Mapping[str, Any]) -> str | None:
    return next((name for name in _AUTHORS if item.get(name) is not None), None)


def _is_erased(item: Mapping[str, Any], erased: Mapping[str, datetime]) -> bool:
    """Return whether an erased person wrote a shared item, before the erasure or at an unknown time."""
    field = _author_field(item)
    until = None if field is None else erased.get(str(item[field]))
    if until is None:
        return False
    date = item.get("date")
    return not isinstance(date, int) or date <= until.timestamp()


def _replaced(text: str, words: str) -> str:
    """Return the text with shared words replaced, where a line that says what is shared introduces only them."""
    part = re.compile(rf"(\A|\n\n)([^\n]{{1,60}}:\n){re.escape(words)}(?=\n\n|\Z)")
    return part.sub(rf"\1\2{ERASED_TEXT}", text)


def _shared_by_others(
    raw: Mapping[str, Any], erased: Mapping[str, datetime], unlinked: Collection[str], depth: int = 0
) -> dict[str, Any]:
    """Return the shared items that erased people did not write, each with only author, time and words."""
    kept: dict[str, Any] = {}
    if depth == _DEEPEST:
        return kept
    for name, items in _shared_in(raw):
        inner = [found for item in items if (found := _of_others(item, erased, unlinked, depth + 1))]
        if inner and name in _SENT:
            kept.setdefault("attachments", []).extend({"type": name, name: one} for one in inner)
        elif inner:
            kept[name] = inner
    return kept


def _of_others(
    item: Mapping[str, Any], erased: Mapping[str, datetime], unlinked: Collection[str], depth: int
) -> dict[str, Any]:
    deeper = _shared_by_others(item, erased, unlinked, depth)
    if _is_erased(item, erased):
        return deeper
    own = {name: item[name] for name in _KEPT if item.get(name) is not None}
    # The author too: an erased person may have written these words since, and the next erasure must find them.
    field = _author_field(item)
    if field is not None and isinstance(item[field], int | str):
        own[field] = item[field]
    for name in OWN_WORDS:
        if name in own:
            own[name] = without_links(str(own[name]), unlinked, ERASED_LINK)
    return own | deeper
