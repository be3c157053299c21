"""Approvals on a later page of the list: links and decisions stay on that page."""

from types import SimpleNamespace
from typing import Any, cast

from fastapi import Request

from services.console.pages.approvals.view import decide, show_approvals
from services.console.site.visit import Visit

ONE, TWO, APPEAL = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 7))
PERSON = {"id": "me", "name": "Согласующий"}


class LaterPage:
    """A fake API whose list of waiting replies has none after the cursor `last` and two on every other page."""

    async def get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        if path == "/reply-approvals":
            found = [] if parameters == {"cursor": "last"} else [_waiting(ONE), _waiting(TWO)]
            return {"items": found, "next_cursor": None}
        return {"replies": [], "messages": [], "items": []}

    async def send(self, *_: Any, **__: Any) -> None:
        return None


def _waiting(reply_id: str) -> dict[str, Any]:
    reply = {"id": reply_id, "in_reply_to": None, "author": PERSON, "approval": None, "outcome": None}
    return {"appeal_id": APPEAL, "reply": reply}


def _visit(api: LaterPage | None = None, rights: tuple[str, ...] = ()) -> Visit:
    def render(_: str, **values: Any) -> dict[str, Any]:
        return values

    def redirect(path: str, **_: Any) -> str:
        return path

    me = {"person": PERSON}
    return cast(
        Visit,
        SimpleNamespace(
            api=api or LaterPage(), me=me, may=lambda right: right in rights, render=render, redirect=redirect
        ),
    )


async def _decided(**form: str) -> str:
    async def sent() -> dict[str, str]:
        return {"reply_id": ONE, "appeal_id": APPEAL, "do": "approve", **form}

    return cast(str, await decide(cast(Request, SimpleNamespace(form=sent)), _visit()))


async def test_links_keep_the_page_of_the_list() -> None:
    values = cast(dict[str, Any], await show_approvals(_visit(), TWO, cursor="later"))
    assert values["address"](ONE) == f"/approvals?reply={ONE}&cursor=later"
    assert (values["cursor"], values["first"], values["gone"]) == ("later", "/approvals", "")


async def test_decision_leads_to_the_next_reply_of_the_page() -> None:
    assert await _decided(next=TWO, cursor="later") == f"/approvals?reply={TWO}&cursor=later"
    assert await _decided(next="", cursor="later") == "/approvals"


async def test_page_without_waiting_replies_shows_the_first_page() -> None:
    values = cast(dict[str, Any], await show_approvals(_visit(), cursor="last"))
    assert [one["reply"]["id"] for one in values["waiting"]] == [ONE, TWO]
    assert values["first"] is None


class WithVersion(LaterPage):
    """A list whose replies have a stored version with two hints, one of them about the whole text."""

    async def get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        if path.endswith("/versions"):
            return {"items": [{"text": "Звоните 8 914", "kind": "final", "promised_at": None}]}
        return await super().get(path, parameters)

    async def send(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(data={"hints": [{"start": 8, "end": 13}, {"start": None, "end": None}]})


async def test_hints_for_a_reply_on_approval_name_their_words_to_those_who_may_answer() -> None:
    seen = cast(dict[str, Any], await show_approvals(_visit(WithVersion(), ("appeals:answer",)), ONE))
    assert [hint["words"] for hint in seen["current"]["hints"]] == ["8 914", ""]
    hidden = cast(dict[str, Any], await show_approvals(_visit(WithVersion()), ONE))
    assert hidden["current"]["hints"] == []
