"""The predefined lists for each role, in the order in which people work through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.choices.appeal_list_query import ListQuery
from services.console.site.visit import Visit, together


@dataclass(frozen=True)
class WorkList:
    """A predefined list. Its number of appeals is the field `counted_by` of `GET /appeals/counts` for
    `count_query`.
    """

    title: str
    query: ListQuery
    count_query: ListQuery | None = None
    counted_by: str = "total"
    empty: str = "В этом списке сейчас нет обращений."
    then: "WorkList | None" = None  # the list to continue with when this one is empty


def _list(query: str) -> ListQuery:
    return ListQuery.parsed(query)


_EVERYTHING = _list("")
DUE = WorkList("Скоро срок", _list("sort=due"), empty="Сейчас никто не ждёт ответа.")
OVERDUE = WorkList(
    "Просрочены", _list("overdue=true&sort=due"), _EVERYTHING, "overdue", empty="Просроченных обращений нет."
)
NOBODY = WorkList(
    "Без исполнителя",
    _list("assignee=none"),
    _list("assignee=none"),
    empty="Исполнитель есть у каждого обращения.",
)
MINE = WorkList(
    "Мои", _list("assignee=me&sort=due"), _list("assignee=me&sort=due"),
    empty="Вам сейчас ничего не назначено. Возьмите обращение из списка «Без исполнителя».", then=NOBODY,
)  # fmt: skip
TRIAGE = WorkList(
    "У модератора", _list("status=triage&sort=opened_at"), _EVERYTHING, "triage",
    empty="Ни одно обращение не ждёт решения модератора.",
)  # fmt: skip
RETURNED = WorkList(
    "Возвращены", _list("triage_reason=returned&sort=opened_at"), _list("triage_reason=returned"),
    empty="Организации ничего не вернули.",
)  # fmt: skip
APPROVAL = WorkList(
    "На согласовании", _list("on_approval=true"), _list("on_approval=true"), empty="Согласовывать нечего."
)  # fmt: skip
REMARKS = WorkList(
    "С замечаниями", _list("reply_refused=true"), _list("reply_refused=true"), empty="Ответов с замечаниями нет."
)
UNREAD = WorkList("Не прочитаны", _list("unread=true"), _list("unread=true"), empty="Вы прочитали всё новое.")
FAILED = WorkList("Ответ не опубликован", _list("reply_failed=true"), empty="Ответов с ошибкой публикации нет.")
UNANSWERED = WorkList("Без ответа", _list("unanswered=true&sort=due"), empty="Каждый гражданин получил ответ.")
NOT_SOLVED = WorkList("Граждане не согласны", _list("feedback=not_solved"), empty="Недовольных ответом нет.")
TWO_MATTERS = WorkList("Возможно, два вопроса", _list("possible_other_matter=true"), empty="Разделять нечего.")
WATCHED = WorkList("Наблюдаю", _list("watched=true"), empty="Вы не наблюдаете ни за одним обращением.")
URGENT = WorkList("Срочные", _list("urgency=high&sort=due"), empty="Срочных обращений без ответа нет.")
ALL = WorkList("Все", _EVERYTHING, empty="Обращений ещё нет: они появятся, когда граждане напишут на страницы.")

# First the tabs, then the lists under «Ещё списки».
_MODERATOR = (
    (TRIAGE, RETURNED, OVERDUE, DUE, NOBODY, MINE, UNREAD, ALL),
    (URGENT, APPROVAL, FAILED, NOT_SOLVED, TWO_MATTERS, UNANSWERED, WATCHED),
)  # fmt: skip
_MANAGER = (
    (NOBODY, OVERDUE, DUE, APPROVAL, MINE, UNREAD, ALL),
    (URGENT, REMARKS, FAILED, NOT_SOLVED, UNANSWERED, WATCHED),
)  # fmt: skip
_APPROVER = (
    (APPROVAL, MINE, OVERDUE, DUE, UNREAD, ALL),
    (NOBODY, URGENT, REMARKS, FAILED, NOT_SOLVED, WATCHED),
)  # fmt: skip
_EXECUTOR = (
    (MINE, NOBODY, OVERDUE, DUE, REMARKS, UNREAD, ALL),
    (URGENT, APPROVAL, FAILED, NOT_SOLVED, UNANSWERED, WATCHED),
)  # fmt: skip
_READER = ((OVERDUE, DUE, UNANSWERED, TRIAGE, NOT_SOLVED, ALL), (URGENT, FAILED))

Lists = tuple[Sequence[WorkList], Sequence[WorkList]]


def lists_of(visit: Visit) -> Lists:
    """Return the person's lists: the tabs, of which the first is the default list, and the other lists."""
    if visit.may("appeals:triage"):
        return _MODERATOR
    if visit.may("assignees:manage"):
        return _MANAGER
    if visit.may("replies:approve"):
        return _APPROVER
    return _EXECUTOR if visit.may("appeals:work") else _READER


def find_list(visit: Visit, query: ListQuery) -> WorkList | None:
    """Return the person's predefined list that has this query; None if there is none."""
    return next((one for part in lists_of(visit) for one in part if one.query.has_same_list(query)), None)


async def count_lists(visit: Visit) -> dict[str, int]:
    """Return the number of appeals by tab title, for the tabs that the API can count cheaply."""
    counted = [one for one in lists_of(visit)[0] if one.count_query is not None]
    queries = list(dict.fromkeys(one.count_query for one in counted if one.count_query is not None))
    answers = await together(*(visit.api.get("/appeals/counts", query.filter_parameters()) for query in queries))
    by_query = dict(zip(queries, answers, strict=True))
    return {one.title: _number(by_query[one.count_query], one.counted_by) for one in counted if one.count_query}


def _number(counts: Mapping[str, Any], name: str) -> int:
    number: int = counts[name] if name in {"total", "overdue"} else counts["by_status"].get(name, 0)
    return number
