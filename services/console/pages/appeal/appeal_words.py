"""Russian labels on the page of an appeal for enumerated values of the API."""

CLOCK_STATE = {
    "waiting": "ждёт решения модератора",
    "running": "идёт",
    "paused": "на паузе",
    "stopped": "ответ дан",
    "cancelled": "снят без ответа",
}
CLOCK_EVENT = {
    "started": "Отсчёт начат",
    "restarted": "Отсчёт начат заново: новый вопрос",
    "reopened": "Отсчёт продолжен: вопрос не решён",
    "moved": "Отсчёт перешёл к другой организации или на другой календарь",
    "paused": "Пауза",
    "resumed": "Пауза окончена",
    "policy_changed": "Действует другой норматив",
    "merged": "Начало отсчёта взято у присоединённого обращения",
    "extended": "Срок продлён",
    "stopped": "Ответ дан",
    "cancelled": "Отсчёт снят",
    "answer_withdrawn": "Ответ удалён из соцсети: отсчёт продолжен",
}
NOT_COUNTED = {
    "paused": "пауза",
    "day_off": "выходной",
    "holiday": "праздник",
    "outside_hours": "нерабочее время",
}
ESCALATION = {
    "executor": "исполнителю",
    "manager": "руководителю организации",
    "centre": "модераторам центра",
    "deputy_head": "заместителю главы",
}
EXTENSION_STATUS = {
    "open": "ждёт решения центра",
    "approved": "срок продлён",
    "refused": "отказано",
    "withdrawn": "отозван",
    "ended": "потерял смысл",
}
EXTENSION_ENDED = {
    "answered": "ответ дан",
    "closed": "обращение закрыто",
    "merged": "обращение объединено",
    "transferred": "обращение передано",
    "returned": "обращение возвращено модераторам",
    "deadline_passed": "срок прошёл",
    "question_withdrawn": "ответ на вопрос больше не нужен",
}
UNIT = {
    "working": ("рабочий час", "рабочих часа", "рабочих часов"),
    "calendar": ("час", "часа", "часов"),
}
PARTNER_STATUS = {
    "accepted": "принято в работу",
    "in_progress": "выполняется",
    "done": "выполнено",
    "rejected": "отклонено",
}
LOCATION_SOURCE = {"text": "из текста", "page": "по странице", "person": "указал сотрудник"}
UNREAD = {
    "message": "гражданин написал или исправил сообщение",
    "assigned": "обращение назначено вам",
    "remarks": "ваш ответ не согласован, есть замечания",
    "mention": "вас упомянули в заметке",
}
DELETED_BY = {"author": "автором", "community": "сообществом", "unknown": "неизвестно кем"}
NOTE_VISIBILITY = {
    "organisation": "видит автор, его организация и центр",
    "everyone_on_appeal": "видят все, кто видит обращение",
}
GROUND = {
    "personal_data": "раскрыты персональные данные",
    "unlawful": "нарушает закон",
    "insult": "оскорбление",
    "factual_error": "фактическая ошибка",
    "wrong_thread": "не та ветка",
}
REPLY_CHANGE = {"edit": "Исправление", "withdrawal": "Удаление из соцсети"}
REPLY_CHANGE_STATUS = {"queued": "выполняется", "applied": "выполнено", "failed": "не выполнено"}
ASSIGNMENT = {
    "routed": "по правилам",
    "assigned": "назначил модератор",
    "returned": "возвращено модераторам",
    "transferred": "передано организацией",
    "rerouted": "правила назначили заново",
}
FAILURE = {"power": "нет света", "heat": "нет тепла", "water": "нет воды", "gas": "нет газа",
           "sewage": "канализация", "connection": "нет связи", "road": "нет проезда"}  # fmt: skip

WORDS = {
    name.lower(): value
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, dict) and name != "WORDS"
}
