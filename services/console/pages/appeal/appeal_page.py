"""The page of an appeal: its API calls, and its content after a form was refused."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.appeal.appeal_clocks import clocks_of, extendable
from services.console.pages.appeal.appeal_conflict import Conflict, conflict_of, seen
from services.console.pages.appeal.appeal_locations import Document, location_words, organisation_names
from services.console.pages.appeal.appeal_move_forms import Choice, move_forms, proposed_organisations
from services.console.pages.appeal.appeal_sentences import hours_words
from services.console.pages.appeal.appeal_thread import thread_of
from services.console.pages.appeal.appeal_timeline import shown_timeline
from services.console.pages.appeal.appeal_words import WORDS
from services.console.site.visit import Visit, together
from services.console.words.refusals import explained

# Statuses of refusals that are shown on the page, with the entered values; others get an error page.
_SHOWN_AGAIN = frozenset({403, 409, 412, 422})
_ENDED = frozenset({"closed", "not_required", "merged"})
LIVE = (
    "appeal.message_added,appeal.moved,appeal.assigned,appeal.assignee_changed,appeal.answered,appeal.reopened,"
    "appeal.closed,appeal.merged,appeal.unmerged,appeal.reclassified,appeal.deadline_changed,appeal.note_added,"
    "appeal.tags_changed,appeal.partner_status_changed,appeal.clock_paused,appeal.clock_resumed,"
    "appeal.extension_requested,"
    "appeal.extension_approved,appeal.extension_refused,appeal.message_split_off,appeal.feedback_received,"
    "reply.queued,reply.failed,reply.approval_requested,reply.approved,reply.refused,reply.edited,reply.withdrawn"
)


@dataclass(frozen=True)
class Entered:
    """The values of a form that was sent, and why it was refused; `fields` has the error of each wrong field.

    `organisations` are the results of a search.
    """

    form: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    organisations: Sequence[Choice] = ()
    conflict: Conflict | None = None

    def value(self, form: str, name: str, default: str = "") -> str:
        """Return the value that was entered into a field of a form."""
        return self.values.get(name, default) if form == self.form else default

    def wrong(self, form: str, name: str) -> str:
        """Return the error of a form's field; empty if there is none."""
        return self.fields.get(name, "") if form == self.form else ""


@dataclass(frozen=True)
class Refusals:
    """A form's texts for refusals of the API: `conflict` for status 409, `fields` for wrong fields."""

    conflict: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


async def show(visit: Visit, appeal_id: str, entered: Entered | None = None, status: int = 200) -> HTMLResponse:
    """Return the page, with the entered values if a form was refused."""
    path = f"/appeals/{appeal_id}"
    appeal, deadlines, notes, present, people = await together(
        visit.api.get(path),
        visit.api.get(f"{path}/deadlines"),
        visit.api.get(f"{path}/notes", {"limit": 100}),
        visit.api.get(f"{path}/presence"),
        visit.api.get(f"{path}/possible-assignees", {"limit": 200}) if visit.may("appeals:work") else _nothing(),
    )
    incident = await _incident(visit, appeal)
    entered = entered or Entered()
    if status == 412:
        entered = replace(entered, conflict=conflict_of(entered.values.get("seen", ""), appeal))
    response = visit.render(
        "appeal/appeal.html",
        status=status,
        appeal=appeal,
        path=path,
        deadlines=deadlines,
        hours_words=hours_words,
        notes=notes["items"],
        present=present["others"],
        people=sorted(people["items"], key=lambda person: str(person["name"])),
        incident=incident,
        entered=entered,
        **_read(appeal, deadlines),
        **_offered(visit, appeal, deadlines, entered),
    )
    if entered.form:
        # Keep the page's address in the browser: the form's address cannot be opened with GET.
        response.headers["HX-Push-Url"] = path
    return response


def _read(appeal: Document, deadlines: Document) -> dict[str, Any]:
    """Return the template's values that are the same for all readers."""
    return {
        "clocks": clocks_of(deadlines),
        "thread": thread_of(appeal),
        "timeline": shown_timeline(appeal)[::-1],
        "names": organisation_names(appeal),
        "location": location_words(appeal["location"]),
        "seen": seen(appeal),
        "words": WORDS,
        "live": LIVE,
    }


def _offered(visit: Visit, appeal: Document, deadlines: Document, entered: Entered) -> dict[str, Any]:
    """Return the template's values that depend on what the person may do."""
    works = visit.may("appeals:work")
    takes_reply = appeal["status"] not in _ENDED and not appeal["erased_at"]
    may_ask = works and appeal["organisation"] is not None
    return {
        "moves": move_forms(appeal, of_centre=visit.me["organisation"] is None) if works else [],
        "organisations": proposed_organisations(appeal, entered.organisations),
        "extendable": extendable(clocks_of(deadlines)) if may_ask else [],
        "can_answer": visit.may("appeals:answer") and takes_reply,
        "may_decide": visit.may("replies:approve") and takes_reply,
        "watches": any(watcher["id"] == visit.me["person"]["id"] for watcher in appeal["watchers"]),
    }


async def _nothing() -> dict[str, list[Any]]:
    return {"items": []}


async def _incident(visit: Visit, appeal: Document) -> Document | None:
    return await _found(visit, f"/incidents/{appeal['incident_id']}") if appeal["incident_id"] else None


async def _found(visit: Visit, path: str) -> Document | None:
    """Return an object that the page only mentions; None if the person may not see it or it does not exist."""
    try:
        found: Document = await visit.api.get(path)
    except ApiProblem as problem:
        if problem.status in {403, 404}:
            return None
        raise
    return found


async def changed(
    visit: Visit,
    appeal_id: str,
    entered: Entered,
    call: Awaitable[Any],
    *,
    note: str,
    refusals: Refusals | None = None,
) -> Response:
    """Make a change and redirect to the page with a note; after a refusal, show the page with the entered
    values.
    """
    try:
        await call
    except ApiProblem as problem:
        if problem.status not in _SHOWN_AGAIN:
            raise
        return await show(visit, appeal_id, refused(entered, problem, refusals or Refusals()), problem.status)
    return visit.redirect(f"/appeals/{appeal_id}", note=note)


def refused(entered: Entered, problem: ApiProblem, refusals: Refusals) -> Entered:
    """Return the entered values with the Russian texts of the refusal."""
    wrong = {
        name: refusals.fields.get(name, "Проверьте это поле.")
        for pointer in problem.fields
        if (name := pointer.strip("/").split("/")[0]) in entered.values
    }
    error = explained(problem)
    if problem.slug == "conflict" and refusals.conflict:
        error = refusals.conflict
    return replace(entered, error=error, fields=wrong)
