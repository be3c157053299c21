"""What the form that connects a page says when the API refuses its address."""

import pytest

from services.console.api_calls.client import ApiProblem
from services.console.choices.choices_by_name import Choice
from services.console.registry_forms import connecting


@pytest.mark.parametrize(("slug", "words"), [("unavailable", "Соцсеть"), ("upstream-failed", "администратору")])
def test_missing_response_of_a_network_is_distinguished_from_an_internal_refusal(slug: str, words: str) -> None:
    problem = ApiProblem(503, {"type": f"/problems/{slug}"}, {})
    form = connecting.refused({}, Choice("organisation"), problem)
    assert [words in form.refusal, "Соцсеть" in form.refusal] == [True, slug == "unavailable"]
