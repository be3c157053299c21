"""Live bars request only existing event types: the event stream refuses an unknown one."""

import json
import re
from pathlib import Path

import pytest

from services.console.choices.appeal_list_query import ListQuery
from services.console.pages.appeal.appeal_page import LIVE
from services.console.pages.inbox import live_matching
from shared.contracts.catalogue import EVENT_MODELS
from tests.unit.console.fake_api import fake_visit

PAGES = Path("services/console")
# Types given by the code of a page instead of its template.
IN_CODE = {
    "{{ live }}": LIVE,
    "{{ live.types }}": ",".join(
        [live_matching.NEW, live_matching.MOVED, live_matching.ASSIGNED, *live_matching.TYPES.values()]
    ),
}


def test_every_type_of_a_live_bar_exists() -> None:
    asked = {
        (path.name, value)
        for path in PAGES.rglob("*.html")
        for value in re.findall(r'data-live="([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert {value for _, value in asked} >= set(IN_CODE)
    unknown = {
        (name, kind)
        for name, value in asked
        for kind in IN_CODE.get(value, value).split(",")
        if kind not in EVENT_MODELS
    }
    assert not unknown


def test_only_readers_of_events_get_a_live_bar() -> None:
    for path in PAGES.rglob("*.html"):
        template = path.read_text(encoding="utf-8")
        if 'data-live="' in template and path.parent.name != "inbox":  # its code checks the right
            assert 'visit.may("events:read")' in template, path


@pytest.mark.parametrize(
    ("filters", "types", "where"),
    [
        ((("overdue", "true"),), live_matching.TYPES["overdue"], {}),
        ((("assignee", "me"),), live_matching.ASSIGNED, {"assignee_id": ["me"]}),
        ((("triage_reason", "no_rule"),), live_matching.MOVED, {"status": ["triage"]}),
        ((("status", "closed"),), f"{live_matching.NEW},appeal.moved", {"status": ["closed"]}),
        ((("topic_id", "g"),), live_matching.NEW, {"topic_id": ["g", "t"]}),
    ],
)
async def test_live_bar_counts_the_events_that_can_change_the_list(
    filters: tuple[tuple[str, str], ...], types: str, where: dict[str, list[str]]
) -> None:
    visit = fake_visit({"GET /topics": {"items": [{"id": "t"}]}}, ("events:read",))
    bar = await live_matching.live_bar(visit, ListQuery(filters))
    assert bar is not None
    assert (bar["types"], json.loads(bar["where"])) == (types, where)


async def test_list_that_events_cannot_express_has_no_live_bar() -> None:
    visit = fake_visit({}, ("events:read",))
    assert await live_matching.live_bar(visit, ListQuery((("tag", "двор"),))) is None
    assert await live_matching.live_bar(fake_visit({}), ListQuery(())) is None
