"""Russian words for values that moderators see: why an appeal waits, kinds of messages, alerts."""

TRIAGE_REASON = {
    "need_unclear": "неясно, нужен ли ответ",
    "buryat_text": "текст на бурятском",
    "other_region": "другой регион",
    "topic_uncertain": "тема под вопросом",
    "moderators_by_rule": "по правилу решает модератор",
    "no_rule": "правила для такого случая нет",
    "page_unknown": "страница не в реестре",
    "organisation_closed": "организация закрыта",
    "no_role_holder": "в реестре некому ответить",
    "several_role_holders": "подходят несколько организаций",
    "returned": "возвращено",
}
MESSAGE_KIND = {"comment": "комментарий", "wall_post": "запись на стене", "message": "личное сообщение"}
MESSAGE_TYPE = {
    "complaint": "жалоба",
    "question": "вопрос",
    "request": "просьба",
    "proposal": "предложение",
    "thanks": "благодарность",
    "spam": "реклама",
    "abuse": "оскорбление",
    "chatter": "разговор",
}
LANGUAGE = {"ru": "русский", "bxr": "бурятский", "mixed": "русский и бурятский"}
ALERT_KIND = {"urgent": "срочное", "spike": "всплеск", "repeated_transfers": "передают по кругу"}
INCIDENT_ORIGIN = {"spike": "открыт по всплеску", "person": "открыт вручную"}

MODERATION_LABELS = {
    "triage_reason": TRIAGE_REASON,
    "message_kind": MESSAGE_KIND,
    "message_type": MESSAGE_TYPE,
    "language": LANGUAGE,
    "alert_kind": ALERT_KIND,
    "incident_origin": INCIDENT_ORIGIN,
}
