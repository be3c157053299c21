"""Change many appeals at once: the preview, the form of the action, and its submission."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.choices.appeal_list_query import ListQuery
from services.console.pages.bulk.bulk_request import ACTIONS, LIST_CHANGED, WrongFields, body_of, reason_words
from services.console.pages.bulk.bulk_tags import change_tags
from services.console.site.forms import is_id
from services.console.site.visit import Visit, VisitDep, together

router = APIRouter()
NEW = "/bulk/new"
# The largest number of appeals that the API changes in one operation.
MAX_APPEALS = 5_000
_NOTHING = "Сначала отметьте обращения в списке."
_TAGS_BY_PAGE = "Метки меняются только у отмеченных обращений: отметьте их на странице."
# Possible assignees are read for at most this many organisations.
_MAX_ORGANISATIONS = 4


@dataclass
class BulkForm:
    """The chosen appeals, the action, and the values entered for it. `list_version` is the version of the list
    that the person saw, if the whole list is chosen.
    """

    action: str
    ids: list[str]
    query: ListQuery
    is_whole: bool
    key: str = ""
    list_version: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Any]]) -> Self:
        """Return the form that the parameters of an address or a form submission describe."""
        given = [(name, str(value)) for name, value in pairs]
        single = dict(given)
        return cls(
            single.pop("action", ""),
            list(dict.fromkeys(value for name, value in given if name == "appeal" and is_id(value))),
            ListQuery.parsed(single.pop("list", "")),
            single.pop("whole", "") == "yes",
            single.pop("key", ""),
            single.pop("list_version", ""),
            {name: value.strip() for name, value in single.items() if name != "appeal"},
        )

    @property
    def selection(self) -> dict[str, Any]:
        """Return the chosen appeals as the API expects them."""
        if not self.is_whole:
            return {"appeal_ids": self.ids}
        return {"filter": self.query.filter_object(), "list_version": self.list_version}


@router.get(NEW)
async def show_form(visit: VisitDep) -> Response:
    """Show how many appeals will change, and the form of the action."""
    form = BulkForm.of(visit.request.query_params.multi_items())
    return _unusable(visit, form) or await _shown(visit, form)


@router.post(NEW)
async def start(visit: VisitDep) -> Response:
    """Start the operation and redirect to its progress; tags are changed immediately."""
    form = BulkForm.of((await visit.request.form()).multi_items())
    if (unusable := _unusable(visit, form)) is not None:
        return unusable
    try:
        if form.action == "tags":
            note, kind = await change_tags(visit.api, form.ids, form.fields)
            return visit.redirect(form.query.address, note=note, kind=kind)
        body = form.selection | {"action": form.action} | await body_of(visit.api, form.action, form.fields)
        answer = await visit.api.send("POST", "/appeals/bulk", body, key=form.key)
    except WrongFields as wrong:
        return await _shown(visit, form, wrong, status=422)
    except ApiProblem as problem:
        if problem.status not in {403, 409, 412, 422, 429}:
            raise
        return await _shown(visit, form, reason_words(problem), status=problem.status)
    return visit.redirect(f"/bulk/{answer.data['id']}")


def _unusable(visit: Visit, form: BulkForm) -> Response | None:
    """Return a redirect to the list with a note if the action cannot be applied to the chosen appeals; otherwise
    None.
    """
    if form.action not in ACTIONS or not (form.ids or form.is_whole):
        return visit.redirect(form.query.address, note=_NOTHING, kind="failed")
    if form.action == "tags" and form.is_whole:
        return visit.redirect(form.query.address, note=_TAGS_BY_PAGE, kind="failed")
    return None


async def _shown(
    visit: Visit, form: BulkForm, wrong: WrongFields | None = None, *, status: int = 200
) -> HTMLResponse:
    rows, total, statuses, list_version = await _chosen(visit, form)
    wrong = wrong or WrongFields()
    # The form keeps the version that the person saw first, until a refusal says that the list has changed.
    if form.list_version and wrong.text != LIST_CHANGED:
        list_version = form.list_version
    return visit.render(
        "bulk/form.html",
        status=status,
        form=form, title=ACTIONS[form.action], rows=rows, total=total, statuses=statuses,
        too_many=total > MAX_APPEALS, wrong=wrong, list_version=list_version,
        assignees=await _assignees(visit, form, rows) if form.action == "assign" else [],
        topics=await _topics(visit) if form.action == "triage" else [],
    )  # fmt: skip


async def _chosen(visit: Visit, form: BulkForm) -> tuple[list[dict[str, Any]], int, list[tuple[str, int]], str]:
    """Return the first chosen appeals as rows of the list, the number of all, how many have each status, and the
    version of the list, if all of it is chosen.
    """
    listed = visit.api.get("/appeals", form.query.parameters())
    if form.is_whole:
        query = {**form.query.filter_parameters(), "with_list_version": "true"}
        found, counts = await together(listed, visit.api.get("/appeals/counts", query))
        return found["items"], counts["total"], list(counts["by_status"].items()), counts["list_version"] or ""
    rows = [row for row in (await listed)["items"] if row["id"] in form.ids]
    return rows, len(form.ids), Counter(row["status"] for row in rows).most_common(), ""


async def _assignees(visit: Visit, form: BulkForm, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the possible assignees of the appeals, from one sample appeal per organisation, the person first."""
    samples = {(row["organisation"] or {}).get("id"): row["id"] for row in rows} or dict.fromkeys(form.ids[:1])
    chosen = list(samples.values() if rows else samples)[:_MAX_ORGANISATIONS]
    answers = await together(
        *(visit.api.get(f"/appeals/{one}/possible-assignees", {"limit": 200}) for one in chosen)
    )
    people = {person["id"]: person for answer in answers for person in answer["items"]}
    me = visit.me["person"]["id"]
    return sorted(people.values(), key=lambda person: (person["id"] != me, person["name"]))


async def _topics(visit: Visit) -> list[tuple[str, str]]:
    found = await visit.api.get_all("/topics", {"level": "topic"})
    return [(one["id"], f"{one['group']['name']}: {one['name']}") for one in found]
