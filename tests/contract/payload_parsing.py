"""Parse payloads of VK and OK; the kind of a payload is recognised by its structure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.ingest.networks.ok import ok_payloads as ok
from services.ingest.networks.port import PageRef, ParsedBatch
from services.ingest.networks.vk import vk_payloads as vk
from services.ingest.networks.vk.push import vk_push as vk_events

# Kinds of events without text; events of all other kinds must be parsed or quarantined.
WORDLESS_EVENTS = {
    "like_add", "like_remove", "group_join", "group_leave", "group_change_settings", "group_change_photo",
    "group_officers_edit", "message_allow", "message_deny", "message_event", "message_typing_state",
    "message_read", "user_block", "user_unblock", "poll_vote_new", "photo_new", "audio_new", "video_new",
    "app_payload", "vkpay_transaction", "confirmation",
}  # fmt: skip
TYPES = {"GROUP_TOPIC", "GROUP_PHOTO", "GROUP_MOVIE"}


@dataclass
class Outcome:
    """The result of parsing a payload: messages, quarantined parts, and kinds of parts without text.

    `calls`: the calls of parsers, with their arguments.
    """

    parsed: ParsedBatch = field(default_factory=ParsedBatch)
    wordless: list[str] = field(default_factory=list)
    calls: list[tuple[Callable[..., Any], Any, tuple[Any, ...]]] = field(default_factory=list)

    def add(self, parse: Callable[..., Any], raw: Any, *args: Any) -> None:
        """Parse one part of the payload and record the call."""
        self.calls.append((parse, raw, args))
        self.parsed.parse(parse, raw, *args)

    def passed(self, kind: str) -> None:
        """Record the kind of a part without text."""
        self.wordless.append(kind)

    @property
    def by_kind(self) -> dict[str, list[str]]:
        """Return the result as texts, which fixtures contain as `expected`."""
        return {
            "messages": [f"{one.change} {one.kind} {one.external_id}" for one in self.parsed.items],
            "quarantined": [one.reason for one in self.parsed.unparsed],
            "wordless": self.wordless,
        }


def page(network: str, external_id: object) -> PageRef:
    """Return a reference to a page of the network."""
    return PageRef(
        id=UUID(int=1),
        organisation_id=UUID(int=2),
        network=network,
        external_id=str(external_id),
        go_live_at=datetime(2020, 1, 1, tzinfo=UTC),
    )


def read_vk(raw: Any) -> Outcome:
    """Parse a payload of VK."""
    outcome = Outcome()
    if isinstance(raw, list):
        for one in raw:
            _vk_event(outcome, one)
    elif "updates" in raw:
        for one in raw["updates"]:
            _vk_event(outcome, one)
    elif "failed" in raw:
        outcome.passed("long poll: failed")
    elif "error" in raw or "execute_errors" in raw:
        outcome.passed("error")
    elif "response" in raw:
        _vk_response(outcome, raw["response"])
    elif "object" in raw or "group_id" in raw:
        _vk_event(outcome, raw)
    else:
        _vk_item(outcome, raw)
    return outcome


def _vk_event(outcome: Outcome, raw: Any) -> None:
    kind = raw.get("type") if isinstance(raw, dict) else None
    group = raw.get("group_id", 1) if isinstance(raw, dict) else 1
    if kind in WORDLESS_EVENTS:
        assert vk_events.parse_event(raw, page("vk", group)) is None
        outcome.passed(f"event: {kind}")
        return
    outcome.add(vk_events.parse_event, raw, page("vk", group))


def _vk_response(outcome: Outcome, response: Any) -> None:
    rows = response.get("items") if isinstance(response, dict) else response
    if not isinstance(rows, list) or not rows:
        outcome.passed("answer without words")
        return
    names = vk.author_names(response) if isinstance(response, dict) else {}
    for row in rows:
        _vk_item(outcome, row, names)


def _vk_item(outcome: Outcome, raw: Any, names: dict[int, str] | None = None) -> None:
    if not isinstance(raw, dict):
        outcome.passed("a bare value")
    elif isinstance(raw.get("last_message"), dict):
        _vk_item(outcome, raw["last_message"], names)
    elif "peer_id" in raw and "date" in raw:
        outcome.add(vk.parse_message, raw, page("vk", 1), names)
    elif "from_id" in raw and ("post_type" in raw or raw.get("inner_type") == "wall_wallpost"):
        owner = int(raw.get("owner_id") or raw.get("to_id") or raw["from_id"])
        outcome.add(vk.parse_post, raw, page("vk", -owner if owner < 0 else 1), names, "observed")
    elif "date" in raw and ("from_id" in raw or raw.get("deleted")):
        owner = raw.get("owner_id", -1)
        outcome.add(vk.parse_comment, raw, page("vk", abs(int(owner))), 1, names, "observed")
        thread = raw.get("thread")
        for one in thread.get("items", ()) if isinstance(thread, dict) else ():
            _vk_item(outcome, one, names)
    else:
        outcome.passed("a row without words")


def read_ok(raw: Any) -> Outcome:
    """Parse a payload of OK."""
    outcome = Outcome()
    group = page("ok", 50000000000001)
    if not isinstance(raw, dict):
        outcome.passed("a bare answer")
    elif "error_code" in raw:
        outcome.passed("error")
    elif raw.keys() & {"messages", "comments", "media_topics"}:
        _ok_rows(outcome, raw, group)
    elif raw.keys() & {"discussions", "discussion"}:
        for one in raw.get("discussions") or [raw["discussion"]]:
            shown = ok.parse_discussion_row(one, TYPES)
            outcome.passed("a discussion of something else" if shown is None else f"discussion {shown.key}")
    elif raw.keys() & {"webhookType", "sender", "recipient"}:
        outcome.add(ok.parse_webhook, raw, group)
        if not outcome.parsed.items and not outcome.parsed.unparsed:
            outcome.passed(f"event: {raw.get('webhookType', 'of 2017')}")
    elif raw.keys() & {"chats", "chat_id", "group_id", "success", "subscriptions"}:
        outcome.passed("answer without words")
    else:
        outcome.parsed.parse(_unknown, raw)
    return outcome


def _ok_rows(outcome: Outcome, raw: dict[str, Any], group: PageRef) -> None:
    for one in raw.get("messages", ()):
        outcome.add(ok.parse_message, one, group)
    for one in raw.get("comments", ()):
        place = ok.discussion_key(str(raw["discussionType"]), raw["discussionId"])
        outcome.add(ok.parse_comment, one, group, place, ok.author_names(raw))
    for one in raw.get("media_topics", ()):
        outcome.add(ok.parse_topic, one, group, ok.author_names(raw))


def _unknown(raw: dict[str, Any]) -> None:
    raise ValueError(f"unknown kind of payload: {sorted(raw)[:5]}")
