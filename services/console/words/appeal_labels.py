"""Russian words for values of appeals, their replies and their deadlines."""

APPEAL_STATUS = {
    "triage": "у модератора",
    "assigned": "назначено",
    "in_progress": "в работе",
    "interim": "промежуточный ответ",
    "answered": "отвечено",
    "reopened": "возобновлено",
    "closed": "закрыто",
    "not_required": "ответ не нужен",
    "merged": "объединено",
}
REPLY_STATUS = {
    "draft": "черновик",
    "on_approval": "на согласовании",
    "queued": "в очереди на публикацию",
    "sending": "публикуется",
    "uncertain": "проверяем, опубликован ли",
    "published": "опубликован",
    "failed": "не опубликован",
    "withdrawn": "удалён из соцсети",
}
REPLY_KIND = {"final": "итоговый ответ", "interim": "промежуточный ответ"}
URGENCY = {"normal": "обычное", "high": "срочное"}
NETWORK = {"vk": "ВКонтакте", "ok": "Одноклассники"}
OUTCOME = {"solved": "решено", "explained": "разъяснено", "not_solved": "не решено", "postponed": "отложено"}
# Channels of appeals: a network, or a source outside networks. Other systems are shown by their own names.
CHANNEL = NETWORK | {
    "pos": "Госуслуги",
    "phone": "телефон",
    "reception": "личный приём",
    "letter": "письмо",
    "manual": "внесено вручную",
}
# Sources of appeals outside networks, as answers to «как поступило».
SOURCE = {"phone": "по телефону", "reception": "на личном приёме", "letter": "письмом", "pos": "через ПОС"}
PROMISE_STATUS = {"open": "ждём", "kept": "выполнено", "moved": "перенесено", "broken": "не выполнено"}
CLOCK = {
    "final_answer": "итоговый ответ",
    "first_response": "первый ответ",
    "next_response": "ответ на новое сообщение",
    "promise": "обещанный ответ",
}
ANSWER_CHANNEL = {
    "phone": "по телефону",
    "reception": "на личном приёме",
    "letter": "письмом",
    "email": "по электронной почте",
    "system": "через другую систему",
}
FEEDBACK = {
    "thanks": "благодарит",
    "not_solved": "говорит, что вопрос не решён",
    "mark": "поставил оценку",
    "silence": "не откликнулся",
}

APPEAL_LABELS = {
    "appeal_status": APPEAL_STATUS,
    "reply_status": REPLY_STATUS,
    "reply_kind": REPLY_KIND,
    "urgency": URGENCY,
    "network": NETWORK,
    "export_status": {"queued": "в очереди", "running": "готовится", "ready": "готов", "failed": "не получился"},
    "outcome": OUTCOME,
    "channel": CHANNEL,
    "source": SOURCE,
    "promise_status": PROMISE_STATUS,
    "clock": CLOCK,
    "answer_channel": ANSWER_CHANNEL,
    "feedback": FEEDBACK,
}
