"""Granting access: a manager needs access to subordinate organisations to grant access in them."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.integration.registry.conftest import make, pointers, sign_in
from tests.support.service_under_test import ServiceUnderTest

PASSWORD = "correct horse 9"


@dataclass
class Tree:
    """A ministry, a school below it, a club below the school, and an administration beside them."""

    registry: ServiceUnderTest
    ministry: str
    school: str
    club: str
    beside: str
    made: int = 0

    async def grant(
        self, place: str | None, role: str, *, by: tuple[str, str | None, bool], include_subordinates: bool = False
    ) -> httpx.Response:
        """Try to register a person with access to this organisation; return the response."""
        self.made += 1
        body: dict[str, Any] = {
            "username": f"person{self.made}",
            "full_name": "Кто-то",
            "role": role,
            "organisation_id": place,
            "include_subordinates": include_subordinates,
            "password": PASSWORD,
        }
        return await self.registry.client.post("/api/v1/people", json=body, headers=self.headers(by))

    def headers(self, by: tuple[str, str | None, bool], **more: str) -> dict[str, str]:
        """Return request headers of a person with this role and organisation, with or without subordinates."""
        role, place, include_subordinates = by
        token = self.registry.token(role, place, include_subordinates=include_subordinates)
        return {
            "Authorization": f"Bearer {token}",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    async def names(self, by: tuple[str, str | None, bool]) -> set[str]:
        """Return the user names created by `grant` that the caller sees."""
        answer = await self.registry.client.get("/api/v1/people", headers=self.headers(by))
        found = {item["username"] for item in answer.json()["items"]}
        return {name for name in found if name.startswith("person")}


@pytest.fixture
async def tree(registry: ServiceUnderTest) -> Tree:
    """Register the four organisations of the tree."""
    ministry = await make(registry, "/organisations", name="Министерство", kind="regional")
    school = await make(registry, "/organisations", name="Школа", kind="institution", parent_id=ministry["id"])
    club = await make(registry, "/organisations", name="Клуб", kind="institution", parent_id=school["id"])
    beside = await make(registry, "/organisations", name="Администрация", kind="municipality")
    return Tree(registry, ministry["id"], school["id"], club["id"], beside["id"])


OPERATIONS = ("operations", None, False)


async def test_manager_grants_access_within_their_scope(tree: Tree) -> None:
    alone = ("manager", tree.school, False)
    above = ("manager", tree.ministry, True)
    assert (await tree.grant(tree.school, "executor", by=alone)).status_code == 201
    assert (await tree.grant(tree.club, "executor", by=alone)).status_code == 403
    assert (await tree.grant(tree.ministry, "executor", by=alone)).status_code == 403
    assert (await tree.grant(tree.beside, "executor", by=alone)).status_code == 403
    assert (await tree.grant(tree.club, "manager", by=above)).status_code == 201
    assert (await tree.grant(tree.beside, "executor", by=above)).status_code == 403
    assert (await tree.grant(None, "moderator", by=above)).status_code == 403


async def test_access_to_subordinates_is_granted_only_by_callers_who_have_it(tree: Tree) -> None:
    alone = ("manager", tree.school, False)
    above = ("manager", tree.ministry, True)
    assert (await tree.grant(tree.school, "manager", by=alone, include_subordinates=True)).status_code == 403
    made = await tree.grant(tree.school, "manager", by=above, include_subordinates=True)
    assert (made.status_code, made.json()["include_subordinates"]) == (201, True)
    # A manager who could set the password of a person with a wider scope would gain that scope.
    headers = tree.headers(alone, If_Match="*")
    change = {"password": "another horse 10"}
    path = f"/api/v1/people/{made.json()['id']}"
    assert (await tree.registry.client.patch(path, json=change, headers=headers)).status_code == 403
    wrong = await tree.grant(None, "moderator", by=OPERATIONS, include_subordinates=True)
    assert (wrong.status_code, pointers(wrong)) == (422, {"/include_subordinates"})


async def test_manager_cannot_see_or_move_people_of_other_organisations(tree: Tree) -> None:
    placed = {}
    for place in (tree.ministry, tree.school, tree.club, tree.beside):
        placed[place] = (await tree.grant(place, "executor", by=OPERATIONS)).json()
    await tree.grant(None, "head", by=OPERATIONS)
    alone = ("manager", tree.school, False)
    above = ("manager", tree.school, True)
    assert await tree.names(alone) == {placed[tree.school]["username"]}
    assert await tree.names(above) == {placed[tree.school]["username"], placed[tree.club]["username"]}
    assert len(await tree.names(OPERATIONS)) == 5
    client = tree.registry.client
    foreign = f"/api/v1/people/{placed[tree.beside]['id']}"
    assert (await client.get(foreign, headers=tree.headers(above))).status_code == 404
    headers = tree.headers(above, If_Match="*")
    assert (await client.patch(foreign, json={"active": False}, headers=headers)).status_code == 404
    own = f"/api/v1/people/{placed[tree.club]['id']}"
    away = await client.patch(own, json={"organisation_id": tree.beside}, headers=headers)
    assert away.status_code == 403
    closer = await client.patch(own, json={"organisation_id": tree.school}, headers=headers)
    assert (closer.status_code, closer.json()["organisation_id"]) == (200, tree.school)


async def test_token_contains_the_organisation_scope(tree: Tree) -> None:
    made = (await tree.grant(tree.ministry, "manager", by=OPERATIONS, include_subordinates=True)).json()
    token = (await sign_in(tree.registry, username=made["username"], password=PASSWORD)).json()["access_token"]
    own = {"Authorization": f"Bearer {token}", "If-Match": "*"}
    me = (await tree.registry.client.get("/api/v1/me", headers=own)).json()
    assert (me["organisation"]["id"], me["include_subordinates"], me["person"]["role"]) == (
        tree.ministry,
        True,
        "manager",
    )
    shown = (await tree.registry.client.get("/api/v1/people", headers=own)).json()["items"]
    assert [item["username"] for item in shown] == [made["username"]]
    narrower = {"include_subordinates": False}
    answer = await tree.registry.client.patch(f"/api/v1/people/{made['id']}", json=narrower, headers=own)
    assert answer.status_code == 409
    changed = await tree.registry.client.patch(
        f"/api/v1/people/{made['id']}",
        json={"role": "head", "organisation_id": None},
        headers=tree.headers(OPERATIONS, If_Match="*"),
    )
    assert (changed.status_code, changed.json()["include_subordinates"]) == (200, False)
