"""Which content of the reply form counts as already stored."""

from dataclasses import replace
from typing import Any

import pytest

from services.console.pages.reply.entered_reply import EnteredReply

STORED: dict[str, Any] = {
    "id": "0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10", "version": 4, "text": "Включим", "kind": "final",
    "promised_at": None, "outcome": "solved", "asks_mark": False, "in_reply_to": "first", "attachments": [],
}  # fmt: skip


@pytest.mark.parametrize(("message_id", "same"), [("first", True), ("", True), ("second", False)])
def test_reply_to_another_message_is_other_content(message_id: str, *, same: bool) -> None:
    entered = replace(EnteredReply.of(STORED), message_id=message_id, version="3")
    assert entered.same_content(STORED) is same


@pytest.mark.parametrize("changed", [{"text": "Не включим"}, {"kind": "interim"}, {"outcome": "explained"}])
def test_reply_with_another_text_kind_or_outcome_is_other_content(changed: dict[str, Any]) -> None:
    assert not EnteredReply.of(STORED).same_content(STORED | changed)
