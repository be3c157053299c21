"""Russian sentences about the events of an appeal: one for each kind of timeline entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.console.pages.appeal import appeal_words as words
from services.console.pages.appeal.appeal_locations import Document, location_words
from services.console.words import formats, labels
from shared import russian


@dataclass(frozen=True)
class Names:
    """Names of the objects that entries refer to, by id."""

    organisations: Mapping[str, str]
    topics: Mapping[str, str]
    municipalities: Mapping[str, str]

    def organisation(self, found: str | None) -> str:
        """Return the name of an organisation; without an id, that of the centre."""
        return self.organisations.get(found or "", "другая организация") if found else "модераторы центра"


_Sentence = Callable[[Document, Names], str]


def _said(text: str) -> _Sentence:
    return lambda _data, _names: text


def _status(value: str | None) -> str:
    return labels.label(value, "appeal_status")


def _clock(data: Document) -> str:
    return labels.LABELS["clock"].get(data.get("clock") or "", "ответ")


def _needs_answer(data: Document, otherwise: str) -> str:
    return labels.LABELS["needs_answer"].get(data.get("needs_answer", ""), otherwise)


def _opened(data: Document, _names: Names) -> str:
    if data.get("manual"):
        source = data.get("source")
        return (
            f"Обращение заведено вручную: {labels.label(source, 'source')}"
            if source
            else "Обращение заведено вручную"
        )
    if data.get("split_from"):
        return f"Обращение выделено из обращения № {data.get('number')}"
    return "Обращение открыто по сообщению гражданина"


def _assignee(data: Document, _names: Names) -> str:
    former = (data.get("previous_assignee") or {}).get("name")
    now = (data.get("assignee") or {}).get("name")
    if now is None:
        return f"Исполнитель снят: {former}" if former else "Исполнителя нет"
    return f"Исполнитель: {now}" + (f" (был: {former})" if former else "")


def _answered(data: Document, _names: Names) -> str:
    kind = labels.label(data.get("reply_kind"), "reply_kind")
    where = {"network": f"В соцсети вручную дан {kind}", "recorded": f"Вне соцсети дан {kind}"}
    text = where.get(str(data.get("origin")), f"Опубликован {kind}")
    on_time = {True: ", в срок", False: ", с опозданием"}
    return text + on_time.get(data.get("on_time"), "")  # type: ignore[arg-type]


def _promise(text: str) -> _Sentence:
    return lambda data, _names: f"{text}: {formats.moment(data.get('promised_at'))}"


def _deleted(data: Document, _names: Names) -> str:
    when = "до ответа" if data.get("before_answer") else "после ответа"
    return f"Сообщение удалено {words.DELETED_BY.get(data.get('deleted_by') or 'unknown', '')}, {when}"


def _reply_withdrawn(data: Document, _names: Names) -> str:
    if "ground" in data and data["ground"] is None:
        return "Ответ удалён в самой соцсети"
    return f"Ответ удалён из соцсети: {words.GROUND.get(data.get('ground', ''), 'основание в ответе')}"


def _feedback(before: str) -> _Sentence:
    def sentence(data: Document, _names: Names) -> str:
        kind, mark = data.get("feedback"), data.get("mark")
        said = labels.LABELS["feedback"].get(kind or "", "об ответе ничего не сказал")
        return f"{before}: гражданин {said}" + (f" ({mark} из 5)" if mark else "")

    return sentence


def _failure(before: str) -> _Sentence:
    def sentence(data: Document, _names: Names) -> str:
        message = (data.get("failure") or {}).get("message")
        return f"{before}: {message}" if message else before

    return sentence


def _near(data: Document, _names: Names) -> str:
    share = data.get("share")
    used = f": использовано {formats.percent(float(share))} времени" if share else ""
    return f"Подходит срок ({_clock(data)}){used}"


def _escalated(data: Document, _names: Names) -> str:
    whom = words.ESCALATION.get(data.get("step") or "", "следующему уровню")
    if data.get("skipped"):
        return f"О сроке некому сообщить ({whom}; {_clock(data)})"
    people = ", ".join(person["name"] for person in data.get("notified") or ())
    return f"О сроке сообщено {whom} ({_clock(data)})" + (f": {people}" if people else "")


def _extension(text: str) -> _Sentence:
    def sentence(data: Document, _names: Names) -> str:
        if not (hours := data.get("hours")):
            return f"{text} ({_clock(data)})"
        return f"{text} на {hours_words(hours, data.get('unit'))} ({_clock(data)})"

    return sentence


def hours_words(hours: float, unit: str | None) -> str:
    """Return a duration of a clock in hours as text: «16 рабочих часов», «1,5 часа»."""
    forms = words.UNIT.get(unit or "calendar", words.UNIT["calendar"])
    if hours != int(hours):
        return f"{formats.decimal(hours)} {forms[1]}"
    return f"{int(hours)} {russian.plural(int(hours), forms)}"


def _ended(data: Document, _names: Names) -> str:
    why = words.EXTENSION_ENDED.get(data.get("reason") or "", "")
    return f"Запрос о продлении снят ({_clock(data)})" + (f": {why}" if why else "")


def _tags(data: Document, _names: Names) -> str:
    added, removed = data.get("added") or (), data.get("removed") or ()
    parts = [f"добавлены метки: {', '.join(added)}"] if added else []
    parts += [f"сняты метки: {', '.join(removed)}"] if removed else []
    text = "; ".join(parts) or "изменены метки"
    return text[0].upper() + text[1:]


def _partner_status(data: Document, _names: Names) -> str:
    status = words.PARTNER_STATUS.get(data.get("partner_status") or "", "есть новости")
    return f"Внешняя система сообщила: {status}"


def _incident(text: str) -> _Sentence:
    return lambda data, _names: f"{text}: {data['title']}" if data.get("title") else text


SENTENCES: Mapping[str, _Sentence] = {
    "opened": _opened,
    "routed": lambda data, names: f"По правилам отвечает: {names.organisation(data.get('organisation_id'))}",
    "triage_decided": lambda data, _names: "Модератор решил: " + _needs_answer(data, "сообщение разобрано"),
    "assigned": lambda data, names: f"Назначено: {names.organisation(data.get('organisation_id'))}",
    "assignee_changed": _assignee,
    "moved": lambda data, _names: f"Статус: {_status(data.get('from'))} → {_status(data.get('to'))}",
    "rerouted": lambda data, names: (
        f"Правила назначили заново: {names.organisation(data.get('from_organisation_id'))} → "
        f"{names.organisation(data.get('to_organisation_id'))}"
    ),
    "reopened": lambda data, _names: (
        "Новое сообщение передано модераторам" if data.get("status") == "triage" else "Обращение возобновлено"
    ),
    "overdue": lambda data, _names: f"Срок прошёл ({_clock(data)}): {formats.moment(data.get('due_at'))}",
    "topic_changed": lambda data, names: f"Тема: {names.topics.get(data.get('topic_id') or '', 'изменена')}",
    "location_changed": lambda data, names: (
        f"Место: {location_words(data.get('location'), names.municipalities) or 'изменено'}"
    ),
    "urgency_changed": lambda data, _names: f"Срочность: {labels.label(data.get('urgency'), 'urgency')}",
    "message_added": lambda data, _names: (
        "Гражданин написал ещё раз: " + _needs_answer(data, "сообщение добавлено")
    ),
    "message_edited": _said("Сообщение исправлено автором"),
    "message_deleted": _deleted,
    "reply_queued": lambda data, _names: (
        "Ответ снова отправлен на публикацию" if data.get("again") else "Ответ отправлен на публикацию"
    ),
    "reply_corrected": _said("Текст неопубликованного ответа исправлен"),
    "reply_recognised": lambda data, _names: (
        "Ответ, который считался неопубликованным, найден в ветке"
        + (": в соцсети остался прежний текст, исправленный не опубликован" if data.get("unpublished") else "")
    ),
    "reply_failed": _failure("Ответ не опубликован"),
    "answered": _answered,
    "promise_made": _promise("Обещан ответ"),
    "promise_kept": _promise("Обещание выполнено"),
    "promise_moved": _promise("Обещание перенесено"),
    "promise_broken": _promise("Обещание не выполнено"),
    "promise_reminded": _promise("Напоминание об обещании"),
    "incident_joined": _incident("Обращение вошло в инцидент"),
    "incident_left": _incident("Обращение вышло из инцидента"),
    "incident_reply_skipped": _said("Общий ответ по инциденту сюда не отправлен"),
    "reply_approval_requested": _said("Ответ отправлен на согласование"),
    "reply_approved": _said("Ответ согласован"),
    "reply_refused": _said("Ответ не согласован"),
    "reply_discarded": _said("Черновик ответа удалён"),
    "reply_lease_taken_over": _said("Правка ответа перехвачена у коллеги"),
    "clarified": _said("Новое сообщение уточнило вопрос: отсчёт идёт от него"),
    "other_matter_suggested": _said("Сообщение, возможно, о другом вопросе: решает модератор"),
    "other_matter_kept": _said("Сообщение оставлено в этом обращении"),
    "split_off": lambda data, _names: f"Сообщение выделено в отдельное обращение № {data.get('number')}",
    "clock_paused": _said("Отсчёт срока приостановлен"),
    "clock_resumed": _said("Отсчёт срока продолжен"),
    "deadline_changed": _said("Срок пересчитан"),
    "deadline_near": _near,
    "escalated": _escalated,
    "extension_requested": _extension("Запрошено продление срока"),
    "extension_approved": _extension("Срок продлён"),
    "extension_refused": _extension("В продлении срока отказано"),
    "extension_withdrawn": _extension("Запрос о продлении отозван"),
    "extension_ended": _ended,
    "merged": lambda data, _names: f"Объединено с обращением № {data.get('number')}: работа продолжается в нём",
    "merged_in": lambda data, _names: f"Сюда присоединено обращение № {data.get('number')}",
    "unmerged": lambda data, _names: f"Объединение с обращением № {data.get('number')} отменено",
    "feedback_received": _feedback("Отзыв об ответе"),
    "feedback_corrected": _feedback("Разбор отзыва исправлен"),
    "reply_edited": _said("Опубликованный ответ исправлен"),
    "reply_withdrawn": _reply_withdrawn,
    "reply_change_failed": _failure("Исправить или удалить ответ не удалось"),
    "tags_changed": _tags,
    "partner_status": _partner_status,
    "partner_answer_proposed": _said("Внешняя система предложила ответ: он в черновике"),
}
