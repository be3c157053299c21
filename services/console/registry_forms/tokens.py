"""The state of a page's collection, and its network token."""

from collections.abc import Mapping
from typing import Any

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import wrong_fields
from services.console.site.visit import Visit

_SECRETS = ("application_key", "application_secret_key", "session_secret_key")
_WRONG = {
    "token": "Вставьте ключ целиком.",
    "application_key": "Введите ключ приложения.",
    "application_secret_key": "Введите секретный ключ приложения.",
    "session_secret_key": "Проверьте секрет сессии.",
    "page_id": "Ключ дан другому сообществу.",
}

# Tokens in these states need a person's action; a rate-limited token recovers without one.
NEEDS_PERSON = frozenset({"captcha", "revoked", "blocked"})


async def collection_of(visit: Visit, page_id: str) -> Any:
    """Return the state of a page's collection; None if the person may not see it, or ingest does not have the
    page yet.
    """
    if not visit.may("sources:read"):
        return None
    try:
        return await visit.api.get(f"/sources/{page_id}")
    except ApiProblem as problem:
        if problem.status == 404:
            return None
        raise


async def add_token(visit: Visit, network: str, page_id: str, form: Mapping[str, str]) -> None:
    """Send a page's token to ingest. Raises `ApiProblem` if the API refuses the token."""
    body: dict[str, Any] = {name: value for name in _SECRETS if (value := form.get(name))}
    body |= {"network": network, "kind": "group", "page_id": page_id, "token": form.get("token", "")}
    await visit.api.send("POST", "/sources/tokens", body)


def wrong_token(problem: ApiProblem) -> dict[str, str]:
    """Return the errors of a token form by field."""
    return wrong_fields(problem, _WRONG)
