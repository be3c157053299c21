"""Russian labels for values that moderators see: reasons for triage, kinds of messages, alerts."""

TRIAGE_REASON = {
    "need_unclear": "неясно, нужен ли ответ",
    "buryat_text": "текст на бурятском",
    "other_region": "возможно, другой регион",
    "topic_uncertain": "тема определена неуверенно",
    "moderators_by_rule": "по правилу решает модератор",
    "no_rule": "ни одно правило не подошло",
    "page_unknown": "неизвестно, чья это страница",
    "organisation_closed": "организация прекратила работу",
    "no_role_holder": "в реестре нет подходящей организации",
    "several_role_holders": "в реестре несколько подходящих организаций",
    "returned": "организация вернула обращение",
}
NEEDS_ANSWER = {"yes": "нужен ответ", "no": "ответ не нужен", "unsure": "неясно, нужен ли ответ"}
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
    "needs_answer": NEEDS_ANSWER,
    "message_kind": MESSAGE_KIND,
    "message_type": MESSAGE_TYPE,
    "language": LANGUAGE,
    "alert_kind": ALERT_KIND,
    "incident_origin": INCIDENT_ORIGIN,
}
