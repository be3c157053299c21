"""Tags of the chosen appeals. The API has no bulk operation for tags, so each appeal is changed separately."""

import asyncio
import re

from services.console.api_calls.client import Api, ApiProblem
from services.console.pages.bulk.bulk_request import WrongFields
from services.console.words.formats import counted
from services.console.words.refusals import explained

# More than a page of the list has; further ids are ignored.
_MAX_APPEALS = 50
_TAG_RULES = "Метка — до 40 знаков, и у обращения не больше 20 меток."
_APPEALS = ("обращения", "обращений", "обращений")


async def change_tags(api: Api, ids: list[str], fields: dict[str, str]) -> tuple[str, str]:
    """Add and remove the tags; return a note about the result, and `done` or `failed`.

    Raises `WrongFields` if no tag is given, or no appeal could be changed.
    """
    add, remove = _tags(fields.get("add", "")), _tags(fields.get("tag", ""))
    if not add and not remove:
        raise WrongFields({"add": "Введите метку, которую нужно добавить или снять."})
    if len(ids) > _MAX_APPEALS:
        raise WrongFields(text=f"Метки меняются не больше чем у {counted(_MAX_APPEALS, *_APPEALS)} сразу.")
    outcomes = await asyncio.gather(*(_change(api, one, add, remove) for one in ids))
    problems = [problem for problem in outcomes if problem is not None]
    done = len(outcomes) - len(problems)
    if not done:
        raise WrongFields(text=f"Метки не изменены. {_reasons(problems)}")
    note = f"Метки изменены у {counted(done, *_APPEALS)}"
    if problems:
        return f"{note}, у {counted(len(problems), *_APPEALS)} не изменены. {_reasons(problems)}", "failed"
    return note, "done"


async def _change(api: Api, appeal_id: str, add: list[str], remove: list[str]) -> ApiProblem | None:
    try:
        await api.send("PATCH", f"/appeals/{appeal_id}/tags", {"add": add, "remove": remove})
    except ApiProblem as problem:
        return problem
    return None


def _reasons(problems: list[ApiProblem]) -> str:
    texts = (_TAG_RULES if problem.status == 422 else explained(problem) for problem in problems)
    return " ".join(dict.fromkeys(texts))


def _tags(text: str) -> list[str]:
    return list(dict.fromkeys(tag.strip() for tag in re.split(r"[,;\n]", text) if tag.strip()))
