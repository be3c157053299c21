"""A visit of a signed-in person whose API calls give prepared answers."""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, cast

from services.console.api_calls.client import Answer, ApiProblem
from services.console.site.visit import Visit


class FakeApi:
    """Answers calls by `METHOD /path`; an answer that is an `ApiProblem` is raised, and an unknown call is a 404.

    Several answers in a list are given one after the other.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = {
            name: list(found) if isinstance(found, list) else found for name, found in answers.items()
        }
        self.calls: list[tuple[str, str, Any]] = []

    async def get(self, path: str, parameters: Any = None) -> Any:
        """Return the prepared answer of a GET."""
        return self._answer("GET", path, parameters)

    async def get_all(self, path: str, parameters: Any = None) -> Any:
        """Return the prepared items of a list."""
        return self._answer("GET", path, parameters)

    async def send(self, method: str, path: str, body: Any = None, **_: Any) -> Answer:
        """Return the prepared answer of a call."""
        return Answer(200, self._answer(method, path, body))

    def _answer(self, method: str, path: str, given: Any) -> Any:
        self.calls.append((method, path, given))
        found = self._answers.get(f"{method} {path}", ApiProblem(404, {}, {}))
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, ApiProblem):
            raise found
        return found


def fake_visit(
    answers: Mapping[str, Any], rights: Collection[str] = (), *, organisation: Mapping[str, Any] | None = None
) -> Visit:
    """Return the visit of a person with these rights."""
    me = {"person": {"id": "me", "role": "moderator"}, "organisation": organisation, "rights": list(rights)}
    visit = SimpleNamespace(api=FakeApi(answers), me=me, may=lambda right: right in rights)
    return cast(Visit, visit)


def calls_of(visit: Visit) -> list[tuple[str, str, Any]]:
    """Return the method, the path, and the parameters or body of each call."""
    return cast(FakeApi, visit.api).calls
