"""Which organisation a form names: what is written or ticked now wins over what stood in it before."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.console.api_calls.client import Api
from services.console.choices.choices_by_name import chosen_organisation
from services.console.pages.organisations.organisation_form import request_body
from services.console.registry_forms.choosing import Choice, choose
from services.console.site.rendering import environment
from services.console.site.visit import Visit

ID = {number: f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3)}
SCHOOL = {"id": ID[1], "name": "Школа № 5", "matched_name": "Школа № 5", "kind": "institution", "score": 1.0}
BRANCH = {
    "id": ID[2],
    "name": "Школа № 5, филиал",
    "matched_name": "Школа № 5, филиал",
    "kind": "other",
    "score": 0.7,
}
PARENT = {"id": ID[3], "name": "Министерство", "matched_name": "Министерство", "kind": "ministry", "score": 0.1}


class FoundApi:
    """The registry: the search finds the school and its branch."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self._found = found

    async def get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        if path == "/organisations/search":
            return {"items": list(self._found)}
        return next(one for one in (SCHOOL, BRANCH, PARENT) if one["id"] == path.rpartition("/")[2])


def visit(*found: dict[str, Any]) -> Visit:
    return cast(Visit, SimpleNamespace(api=FoundApi(*found)))


async def test_only_organisation_of_the_written_name_wins_over_an_earlier_pick() -> None:
    form = {"owner": "школа № 5", "owner_id": BRANCH["id"]}
    chosen = await chosen_organisation(visit(SCHOOL, BRANCH), form, "owner")
    assert (chosen.id, chosen.written, chosen.error) == (ID[1], "Школа № 5", "")


async def test_pick_decides_among_several_of_one_name() -> None:
    namesake = BRANCH | {"name": SCHOOL["name"]}
    found = visit(SCHOOL, namesake)
    assert (await chosen_organisation(found, {"owner": "Школа № 5", "owner_id": ID[2]}, "owner")).id == ID[2]
    open_choice = await chosen_organisation(found, {"owner": "Школа № 5", "owner_id": ""}, "owner")
    assert open_choice.id is None
    macros = environment().get_template("components/choice_field.html").module
    html = str(cast(Any, macros).choice_field(open_choice, "Владелец"))
    assert html.index('<option value="">') < html.index('<option value="' + ID[1] + '">')


@pytest.mark.parametrize(
    ("form", "chosen", "error"),
    [
        ({"of_id": ID[3], "of_was": ID[3]}, ID[3], False),  # left as it was
        ({"of_id": ID[2], "of_was": ID[3], "of_words": "школа"}, ID[2], False),  # ticked now
        ({"of_id": ID[3], "of_was": ID[3], "of_words": "Школа № 5"}, ID[1], False),  # written now
        ({"of_id": ID[3], "of_was": ID[3], "of_words": "Школа", "find": "of"}, ID[3], False),  # searched for
        ({}, None, True),
    ],
)
async def test_what_was_done_last_is_meant(form: dict[str, str], chosen: str | None, *, error: bool) -> None:
    found = await choose(cast(Api, FoundApi(SCHOOL, BRANCH)), form, "of")
    assert (found.organisation_id, bool(found.error)) == (chosen, error)


async def test_words_that_name_none_are_asked_about_and_the_former_stays_offered() -> None:
    form = {"of_id": ID[3], "of_was": ID[3], "of_words": "Школа"}
    found = await choose(cast(Api, FoundApi(BRANCH)), form, "of", required=False)
    assert found.chosen == PARENT
    assert "Чтобы оставить прежнюю, очистите поле." in found.error


@pytest.mark.parametrize(
    ("form", "parent", "sent"),
    [
        ({}, Choice(), {}),  # nothing chosen: the parent stays
        ({}, Choice(chosen=PARENT), {"parent_id": ID[3]}),
        ({"no_parent": "yes"}, Choice(chosen=PARENT), {"parent_id": None}),
    ],
)
def test_parent_is_removed_only_by_its_box(form: dict[str, str], parent: Choice, sent: dict[str, str]) -> None:
    body = request_body(form, parent, is_new=False)
    assert {name: value for name, value in body.items() if name == "parent_id"} == sent
