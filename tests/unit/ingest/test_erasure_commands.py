"""Commands of an erasure to other services are small enough for the timeout of a call."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from services.ingest.erasure.copies import QUOTATIONS_AT_A_TIME, erase_quotations
from shared.service import Service


class _Appeals:
    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.replies: list[dict[str, list[str]]] = []

    async def post(self, _callee: str, _path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.asked += [body["message_ids"]] if body["message_ids"] else []
        self.replies += [body["replies"]] if body["replies"] else []
        return {"appeal_ids": body["message_ids"][:1]}


async def test_texts_of_many_messages_are_taken_over_in_several_commands() -> None:
    appeals = _Appeals()
    ids = [uuid4() for _ in range(2 * QUOTATIONS_AT_A_TIME + 1)]
    people = {one: {"2", "1"} for one in ids[: QUOTATIONS_AT_A_TIME + 1]}
    found = await erase_quotations(cast(Service, SimpleNamespace(client=lambda: appeals)), ids, people)
    assert [len(asked) for asked in appeals.asked] == [QUOTATIONS_AT_A_TIME, QUOTATIONS_AT_A_TIME, 1]
    assert [one for asked in appeals.asked for one in asked] == [str(one) for one in ids]
    assert [len(asked) for asked in appeals.replies] == [QUOTATIONS_AT_A_TIME, 1]
    assert {tuple(numbers) for asked in appeals.replies for numbers in asked.values()} == {("1", "2")}
    assert found == [ids[0], ids[QUOTATIONS_AT_A_TIME], ids[-1]]
