"""The page of an incident."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import HTMLResponse

from services.console.choices.organisation_choice import search_organisations
from services.console.site.forms import whole_number
from services.console.site.visit import Visit, together

PATH = "/incidents"
Document = dict[str, Any]
MEMBERS_AT_ONCE = 200
_ENDED = {
    "answered": "уже отвечено",
    "closed": "закрыто",
    "not_required": "ответ не нужен",
    "merged": "объединено",
}


@dataclass(frozen=True)
class Recipients:
    """The appeals that a reply to all reaches now, and those that are skipped, with the reason."""

    waiting: list[Document]
    skipped: list[tuple[Document, str]]


def recipients(members: list[Document]) -> Recipients:
    """Return which appeals get a reply to all: those that await an answer and have a thread in a network."""
    waiting, skipped = [], []
    for member in members:
        if (ended := _ENDED.get(member["status"])) is not None:
            skipped.append((member, ended))
        elif member["channel"]["network"] is None:
            skipped.append((member, "внесено вручную: ответить в соцсети некуда"))
        else:
            waiting.append(member)
    return Recipients(waiting, skipped)


async def appeals_by_number(visit: Visit, numbers: str) -> tuple[list[str], list[str]]:
    """Return the ids of the appeals with these numbers, and the words that are not an appeal's number."""
    named = list(dict.fromkeys(re.findall(r"[^\s,;№]+", numbers)))[:MEMBERS_AT_ONCE]
    known = [word for word in named if whole_number(word)]
    found = await together(*(visit.api.get("/appeals", {"number": word, "limit": 1}) for word in known))
    ids = {word: listed["items"][0]["id"] for word, listed in zip(known, found, strict=True) if listed["items"]}
    return list(ids.values()), [word for word in named if word not in ids]


async def show_incident_page(
    visit: Visit,
    incident_id: str,
    *,
    refusal: str = "",
    status: int = 200,
    cursor: str = "",
    similar: bool = False,
    lead_q: str = "",
    entered: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return the page of an incident; `refusal` is shown beside the form that `entered["form"]` gives."""
    path = f"{PATH}/{incident_id}"
    incident, members, replies = await together(
        visit.api.get(path),
        visit.api.get(f"{path}/members", {"limit": 30, "cursor": cursor}),
        visit.api.get(f"{path}/replies"),
    )
    found, alike = await together(
        search_organisations(visit.api, lead_q, limit=9), _similar(visit, members["items"], wanted=similar)
    )
    return visit.render(
        "incidents/incident.html",
        status=status,
        incident=incident,
        members=members["items"],
        next_cursor=members["next_cursor"],
        cursor=cursor,
        replies=replies["items"],
        similar=alike,
        similar_asked=similar,
        lead_q=lead_q,
        organisations=found,
        refusal=refusal,
        entered={"form": "", "title": incident["title"], "numbers": ""} | dict(entered or {}),
        may_change=visit.may("appeals:work"),
        may_manage=_may_manage(visit, incident),
        may_reply=visit.may("appeals:answer"),
        is_centre=visit.me["organisation"] is None,
    )


def _may_manage(visit: Visit, incident: Document) -> bool:
    """Return whether the person may rename and close the incident: the centre and the leading organisation may."""
    own, lead = visit.me["organisation"], incident["organisation"]
    return visit.may("appeals:work") and (own is None or (lead is not None and lead["id"] == own["id"]))


async def _similar(visit: Visit, members: list[Document], *, wanted: bool) -> list[Document]:
    """Return appeals that belong to no incident and resemble the first shown member; none unless `wanted`."""
    if not wanted or not members:
        return []
    found = await visit.api.get(f"/appeals/{members[0]['appeal_id']}/similar", {"all_organisations": True})
    return [one for one in found["items"] if one["incident_id"] is None]
