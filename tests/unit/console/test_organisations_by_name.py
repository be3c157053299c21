"""The organisation chosen in a form: by its written name, by a pick among several, or the previous choice."""

from typing import Any, cast

import pytest

from services.console.api_calls.client import Api
from services.console.choices.choices_by_name import chosen_organisation
from services.console.pages.organisations.organisation_form import request_body
from services.console.site.rendering import environment

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
    """A fake registry whose search finds the given organisations."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self._found = found

    async def get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        if path == "/organisations/search":
            return {"items": list(self._found)}
        return next(one for one in (SCHOOL, BRANCH, PARENT) if one["id"] == path.rpartition("/")[2])


async def test_unique_organisation_of_the_written_name_overrides_an_earlier_pick() -> None:
    form = {"owner": "школа № 5", "owner_id": BRANCH["id"]}
    chosen = await chosen_organisation(cast(Api, FoundApi(SCHOOL, BRANCH)), form, "owner")
    assert (chosen.id, chosen.written, chosen.error) == (ID[1], "Школа № 5", "")


async def test_pick_decides_among_organisations_of_the_same_name() -> None:
    namesake = BRANCH | {"name": SCHOOL["name"]}
    found = cast(Api, FoundApi(SCHOOL, namesake))
    assert (await chosen_organisation(found, {"owner": "Школа № 5", "owner_id": ID[2]}, "owner")).id == ID[2]
    open_choice = await chosen_organisation(found, {"owner": "Школа № 5", "owner_id": ""}, "owner")
    assert open_choice.id is None
    macros = environment().get_template("components/choice_field.html").module
    html = str(cast(Any, macros).choice_field(open_choice, "Владелец"))
    assert html.index('<option value="">') < html.index('<option value="' + ID[1] + '">')


@pytest.mark.parametrize(
    ("form", "chosen", "error"),
    [
        ({"of": "Министерство"}, ID[3], ""),  # unchanged, although the search does not find it
        ({"of": "Школа № 5"}, ID[1], ""),
        ({"of": "Школа"}, None, "Точно такой организации нет: выберите из похожих."),
        ({"of": "Школа", "of_id": ID[2]}, ID[2], ""),
        ({"of": ""}, None, "Укажите организацию."),
    ],
)
async def test_field_keeps_its_organisation_unless_another_is_named(
    form: dict[str, str], chosen: str | None, error: str
) -> None:
    api = cast(Api, FoundApi(SCHOOL, BRANCH))
    found = await chosen_organisation(api, form, "of", known=PARENT, required=True)
    assert (found.id, found.error) == (chosen, error)


async def test_emptied_field_removes_the_parent() -> None:
    emptied = await chosen_organisation(cast(Api, FoundApi()), {"parent": ""}, "parent", known=PARENT)
    assert request_body({}, emptied, is_new=False)["parent_id"] is None
    kept = await chosen_organisation(cast(Api, FoundApi()), {"parent": "Министерство"}, "parent", known=PARENT)
    assert request_body({}, kept, is_new=False)["parent_id"] == ID[3]
