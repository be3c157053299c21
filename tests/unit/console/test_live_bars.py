"""Live bars request only existing event types: the event stream refuses an unknown one."""

import re
from pathlib import Path

from services.console.pages.appeal.appeal_page import LIVE
from services.console.pages.inbox import live_matching
from shared.contracts.catalogue import EVENT_MODELS

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
