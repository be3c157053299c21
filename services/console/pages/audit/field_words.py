"""Russian labels of the fields that the audit trail shows, and of their enumerated values."""

from services.console.words.labels import LABELS

FIELDS = {
    "accepted_at": "принято", "action": "действие", "activated_at": "включён", "activated_by": "кто включил",
    "active": "действует", "added_by": "кто добавил", "address": "адрес", "address_state": "состояние адреса",
    "aliases": "другие названия", "answered_at": "ответ дан", "answered_by": "кто ответил",
    "approval": "согласование", "appeal_id": "обращение", "asks_mark": "просит оценку", "assigned_at": "назначено",
    "assignee_id": "исполнитель", "attachment_ids": "фото", "attachments": "фото", "attempts": "попыток",
    "author": "автор", "author_key": "ключ автора", "base_id": "основан на календаре",
    "bounces": "возвратов писем", "calendar_id": "календарь", "ceiling_hours": "не больше календарных часов",
    "channel": "канал", "checked_at": "проверено", "choices": "о чём сообщать", "claimed_until": "взято до",
    "client_id": "клиент API", "clock": "какой срок", "closed_at": "закрыто", "code": "код",
    "comment": "пояснение", "compared": "сверено", "completed_at": "выполнено", "confirmed_by": "кто подтвердил",
    "consent_at": "согласие дано", "consent_by": "кто дал согласие", "contact": "контакт",
    "created_by": "кто создал", "criteria": "критерии", "counts": "сколько удалено", "day": "день",
    "decided_at": "решено", "decided_by": "кто решил", "default_organisation_id": "организация по умолчанию",
    "default_to": "кому по умолчанию", "deleted": "удалено", "deleted_at": "удалено",
    "deactivated_by_organisation_id": "какая организация отозвала доступ",
    "delivered_at": "доставлено", "description": "описание", "document": "документ", "due_at": "срок",
    "edited": "изменено", "edited_at": "изменено", "effective_on": "с какого дня", "email": "электронная почта",
    "ended_at": "закончено", "ended_reason": "почему снят", "endpoint_id": "подписка",
    "ends_on": "последний день", "erased_at": "данные удалены", "error": "ошибка", "escalation": "кому сообщать",
    "event_id": "событие", "event_type": "вид события", "event_types": "виды событий",
    "evidence": "подтверждение", "evidence_kind": "чем подтверждено",
    "exempt_document": "документ об освобождении", "exempt_reason": "основание не вести страницу",
    "expires_at": "действует до", "extended_due_at": "новый срок",
    "extension_seconds": "на сколько продлён, секунд", "extensions": "продления", "external_id": "внешний номер",
    "external_subject": "учётная запись организации", "failure": "почему не удалось",
    "feedback_kind": "отзыв гражданина", "filter": "отбор", "final_answer_at": "итоговый ответ дан",
    "final_answer_due_at": "срок итогового ответа", "finished_at": "закончено",
    "first_response_at": "первый ответ дан", "first_response_due_at": "срок первого ответа",
    "first_response_hours": "часов на первый ответ", "first_response_unit": "часы первого ответа",
    "former_address": "прежний адрес", "former_scores": "прежние баллы", "former_status": "прежний статус",
    "former_text": "прежний текст", "full_name": "имя", "go_live_at": "введена в работу", "graded_at": "оценено",
    "grader": "эксперт", "green_from": "зелёный от", "ground": "основание", "group_id": "группа тем",
    "house": "дом", "in_reply_to": "ответ на сообщение", "incident_id": "инцидент",
    "include_later_members": "и обращениям, которые войдут позже", "include_subordinates": "с подчинёнными",
    "inn": "ИНН", "intervals": "часы", "into_id": "в обращение", "ip_address": "адрес в сети",
    "is_default": "по умолчанию", "is_shared": "виден коллегам", "item_id": "оценённый ответ",
    "items_read": "прочитано", "joined_at": "вошло", "joined_by": "кто добавил", "kind": "вид",
    "language": "язык", "last_error": "последняя ошибка", "last_sign_in_at": "последний вход",
    "left_at": "вышло", "left_by": "кто убрал", "legal_regime": "правовой режим",
    "limited_until": "ограничен до", "location_source": "откуда место", "locked_at": "доступ закрыт",
    "locked_by_organisation_id": "какая организация закрыла доступ", "locked_reason": "почему закрыт доступ",
    "lost_on": "утрачен", "lost_reason": "почему утрачен",
    "made_at": "дано", "mark": "оценка", "matter_number": "номер вопроса", "member_count": "обращений",
    "mentions": "упомянуты", "merged_at": "объединено", "merged_by": "кто объединил", "message_id": "сообщение",
    "message_ids": "сообщения", "messages_added": "новых сообщений", "municipality": "муниципалитет",
    "name": "название", "needs_answer": "нужен ли ответ", "network": "соцсеть",
    "next_attempt_at": "следующая попытка", "next_escalation_at": "когда сообщат следующему",
    "next_response_due_at": "срок ответа на новое сообщение", "note": "пометка", "number": "номер",
    "ogrn": "ОГРН", "oktmo": "ОКТМО", "on_behalf_of": "за кого", "open_appeals": "открывать обращения",
    "opened_at": "открыто", "opened_by": "кто открыл", "organisation_id": "организация",
    "organisation_kind": "вид организации", "origin": "происхождение", "other_spheres": "другие сферы",
    "outcome": "итог", "overdue_recorded_at": "просрочка отмечена", "owner": "чей", "owner_id": "кто отвечает",
    "page_id": "страница", "page_owner_id": "владелец страницы", "page_owner_kind": "вид владельца страницы",
    "page_owner_sphere": "сфера владельца страницы", "parameters": "что изменить",
    "parent_id": "вышестоящая организация", "password_hash": "пароль", "person_id": "сотрудник",
    "person_ids": "сотрудники", "personal_data": "тексты без масок", "phone": "телефон",
    "policy_key": "норматив", "pos_opa_id": "номер в ПОС", "possible_other_matters": "возможно, другие вопросы",
    "predecessor_id": "предшественник", "progress": "доля прочитанного", "promise_hours": "часов на обещание",
    "promise_unit": "часы обещания", "promised_at": "обещано к", "published_at": "опубликовано",
    "reached_on": "пройден", "read_by": "кто прочитал", "reason": "причина", "reference": "номер документа",
    "remarks": "замечания", "reminded_at": "напомнили", "reply_failed": "ответ не опубликован",
    "reply_id": "ответ", "requested_at": "запрошено", "requested_by": "кто запросил",
    "resolution_due_at": "срок итогового ответа", "resolution_hours": "часов на итоговый ответ",
    "resolution_unit": "часы итогового ответа", "response_status": "код ответа", "retired_at": "снят",
    "return_hours": "часов на возврат", "return_unit": "часы возврата", "returns": "возвратов",
    "reviewed_by": "кто проверил", "revoked_at": "отозван", "role": "роль", "route": "маршрут",
    "rubric_id": "критерии оценки", "rule_set_id": "набор правил", "said_at": "сказано", "scopes": "права",
    "scores": "баллы", "screen_name": "короткое имя", "secret": "секрет", "seen_at": "просмотрена",
    "seen_by": "кто просмотрел", "send_to": "кому", "settlement": "населённый пункт",
    "short_name": "краткое название", "since": "начиная с", "site": "сайт", "size": "размер",
    "sla_policy_id": "норматив", "sort": "порядок", "source": "как поступило", "source_kind": "источник",
    "sphere": "сфера", "started_at": "начато", "starts_from": "когда идёт время", "starts_on": "первый день",
    "state": "состояние", "status": "состояние", "step": "шаг", "street": "улица", "submitted_at": "отправлено",
    "substitute_id": "кто замещает", "successor_id": "преемник", "suspended_at": "приостановлена",
    "suspended_reason": "почему приостановлена", "tag": "метка", "text": "текст", "time_zone": "часовой пояс",
    "title": "название", "topic_group_id": "группа тем", "topic_id": "тема", "total": "всего",
    "transfers": "передач", "type": "тип", "undone_at": "отменено", "undone_by": "кто отменил", "unit": "часы",
    "until": "написанное до", "uploaded_by": "кто загрузил", "urgency": "срочность", "url": "адрес",
    "username": "имя для входа", "utility_failure": "неисправность", "valid_from": "действует с",
    "valid_to": "действует по", "valid_until": "действует до", "version": "версия", "visibility": "кому видна",
    "warn_at": "когда предупредить", "week": "неделя", "weekly": "рабочая неделя", "why": "почему",
    "withdrawn_at": "удалено из соцсети", "written_at": "написано", "yellow_from": "жёлтый от",
}  # fmt: skip
_OTHER_FIELD = "служебное поле"
# Fields for which the page that shows their table has a different label.
_OF_TABLES = {("appeals", "status"): "статус"}
# The kind of labels that a field's values have; by table and field where tables differ.
_KINDS = {
    "urgency": "urgency", "outcome": "outcome", "network": "network", "role": "role", "step": "page_step",
    "evidence_kind": "evidence_kind", "language": "language", "clock": "clock", "needs_answer": "needs_answer",
    "type": "message_type", "feedback_kind": "feedback", "source_kind": "source_kind", "send_to": "send_to",
    "default_to": "send_to", "page_owner_kind": "organisation_kind", "organisation_kind": "organisation_kind",
    "page_owner_sphere": "page_owner_sphere", "starts_from": "deadline_start", "channel": "channel",
    "source": "source", "address_state": "address_state", "scopes": "right", "former_status": "appeal_status",
    "first_response_unit": "time_unit", "resolution_unit": "time_unit", "promise_unit": "time_unit",
    "return_unit": "time_unit", "unit": "time_unit",
    ("alerts", "kind"): "alert_kind", ("appeals", "status"): "appeal_status",
    ("backfills", "status"): "backfill_status", ("callback_registrations", "state"): "callback_state",
    ("erasures", "ground"): "erasure_ground", ("erasures", "status"): "erasure_status",
    ("feedback_rounds", "kind"): "feedback", ("incident_replies", "kind"): "reply_kind",
    ("incidents", "origin"): "incident_origin", ("network_tokens", "kind"): "token_kind",
    ("network_tokens", "state"): "token_state", ("organisation_names", "kind"): "name_kind",
    ("organisations", "kind"): "organisation_kind", ("pages", "state"): "page_state",
    ("promises", "status"): "promise_status", ("publications", "kind"): "message_kind",
    ("publications", "status"): "reply_status", ("replies", "channel"): "answer_channel",
    ("replies", "kind"): "reply_kind", ("replies", "status"): "reply_status",
    ("reply_templates", "kind"): "reply_kind", ("rule_sets", "status"): "rule_set_status",
    ("successions", "kind"): "succession_kind", ("webhook_deliveries", "status"): "delivery_status",
}  # fmt: skip
# What the trail stores instead of a text or a secret, and its label.
_HIDDEN = {"digest": "скрыто", "secret": "секрет"}


def changed_fields(entry: dict[str, object]) -> list[tuple[str, str, str]]:
    """Return each changed field with its value before and after, with Russian labels where they exist."""
    before, after = _row(entry["before"]), _row(entry["after"])
    table = str(entry["subject_kind"])
    return [
        (_title(table, name), _value(before.get(name), words), _value(after.get(name), words))
        for name in dict.fromkeys([*before, *after])
        if name != "id"
        for words in [_words(table, name)]
    ]


def _title(table: str, name: str) -> str:
    return _OF_TABLES.get((table, name)) or FIELDS.get(name, _OTHER_FIELD)


def _row(values: object) -> dict[str, object]:
    return values if isinstance(values, dict) else {}


def _words(table: str, name: str) -> dict[str, str]:
    kind = _KINDS.get((table, name)) or _KINDS.get(name)
    return LABELS[kind] if kind else {}


def _value(value: object, words: dict[str, str]) -> str:
    if isinstance(value, bool):
        return "да" if value else "нет"
    if isinstance(value, dict):
        kept = [f"{name}: {_value(held, {})}" for name, held in value.items() if name not in _HIDDEN]
        return ", ".join([*(_HIDDEN[name] for name in _HIDDEN if name in value), *kept])
    if isinstance(value, list):
        return ", ".join(_value(one, words) for one in value) or "—"
    return "—" if value in {None, ""} else words.get(str(value), str(value))
