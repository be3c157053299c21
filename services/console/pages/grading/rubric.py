"""The rubric as a form: a score of 0 to 2 for each of an answer's criteria."""

from typing import Any

from starlette.datastructures import FormData

PATH = "/grading"
_PREFIX = "score-"


def asked_criteria(codes: list[str], version: int, rubrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the criteria with these codes from a version of the rubric, in the rubric's order."""
    rubric = next(rubric for rubric in rubrics if rubric["version"] == version)
    return [criterion for criterion in rubric["criteria"] if criterion["code"] in codes]


def chosen_scores(form: FormData) -> dict[str, int]:
    """Return the scores chosen in a form, by criterion."""
    return {
        name.removeprefix(_PREFIX): int(str(value))
        for name, value in form.items()
        if name.startswith(_PREFIX) and str(value) in {"0", "1", "2"}
    }
