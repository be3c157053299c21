"""Helpers for tests of colleagues: register people with access and send requests as one of them."""

from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.integration.appeals.conftest import AppealsScenario


class Colleague:
    """A registered person, who can send requests."""

    def __init__(self, scenario: AppealsScenario, person_id: UUID, role: str, organisation: UUID | None) -> None:
        self.id, self.role, self.organisation = person_id, role, organisation
        self._scenario = scenario

    @property
    def ref(self) -> str:
        """Return the id as a string, as JSON has it."""
        return str(self.id)

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request; header names are given with underscores."""
        token = self._scenario.appeals.token(self.role, self.organisation, subject=str(self.id))
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._scenario.appeals.client.request(
            method, f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"} | more
        )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET request."""
        return await self.request("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a POST request."""
        return await self.request("POST", path, body, **headers)

    async def move(self, appeal: dict[str, Any], **body: Any) -> httpx.Response:
        """Move or assign an appeal in any version (`If-Match: *`)."""
        return await self.post(f"/appeals/{appeal['id']}/moves", body, If_Match="*")


async def register(
    scenario: AppealsScenario, name: str, role: str = "executor", organisation: UUID | None = None
) -> Colleague:
    """Insert a person as the registry does, with access to `organisation`, by default the scenario's, or to none
    if the role belongs to the centre.
    """
    person_id = uuid4()
    bound_to = None if role in {"moderator", "head", "auditor"} else organisation or scenario.organisation
    connection = await scenario.database.connect("registry")
    try:
        await connection.execute(
            """INSERT INTO people (id, username, full_name, password_hash, role, organisation_id,
               include_subordinates, active, version, created_at, updated_at)
               VALUES ($1::uuid, 'user-' || $1::uuid, $2, 'none', $3, $4, false, true, 1, now(), now())""",
            person_id, name, role, bound_to,
        )  # fmt: skip
    finally:
        await connection.close()
    return Colleague(scenario, person_id, role, bound_to)


async def change_access(scenario: AppealsScenario, colleague: Colleague, statement: str) -> None:
    """Change a person's row as the registry does, emit the event, and let the service handle it."""
    connection = await scenario.database.connect("registry")
    try:
        await connection.execute(f"UPDATE people SET {statement} WHERE id = $1", colleague.id)
    finally:
        await connection.close()
    await scenario.emit("person.changed", colleague.id, colleague.organisation, changed=["locked_at"], version=2)
    await scenario.process_events()
