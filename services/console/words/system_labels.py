"""Russian labels for values on the pages about rules, sources and the system itself."""

SEND_TO = {
    "organisation": "названной организации",
    "page_owner": "владельцу страницы",
    "municipality_administration": "администрации места",
    "sphere_body": "республиканскому органу сферы",
    "page_owner_founder": "вышестоящей организации владельца страницы",
    "moderators": "модераторам",
}
PAGE_OWNER_SPHERE = {"same": "тема в его сфере", "other": "тема не его сферы или страницы нет"}
ORGANISATION_KIND = {
    "regional": "республиканский орган",
    "municipality": "орган местного самоуправления",
    "institution": "учреждение",
    "court": "суд",
    "other": "другая организация",
}
RULE_SET_STATUS = {"draft": "черновик", "active": "действует", "retired": "снят"}
TIME_UNIT = {"working": "рабочих", "calendar": "календарных"}
DEADLINE_START = {
    "received": "с получения сообщения",
    "written": "с написания в соцсети",
    "assigned": "с назначения первой организации",
}
COLLECTION_STATE = {
    "healthy": "читается",
    "not_read_yet": "ещё не читали",
    "failing": "не читается",
    "no_token": "нет ключа доступа",
}
TOKEN_STATE = {
    "healthy": "работает",
    "limited": "ограничен соцсетью",
    "captcha": "соцсеть просит подтверждение",
    "revoked": "отозван",
    "blocked": "заблокирован",
    "none": "нет ключа",
}
TOKEN_KIND = {"group": "ключ страницы", "service": "сервисный ключ", "user": "ключ пользователя"}
CALLBACK_STATE = {"pending": "ждёт подтверждения", "active": "работает", "failed": "не работает"}
SOURCE_KIND = {
    "long_poll": "поток событий",
    "callback": "уведомления соцсети",
    "wall_poll": "опрос стены",
    "board_poll": "опрос обсуждений",
    "conversations_poll": "опрос переписки",
    "suggested_posts_poll": "опрос предложенных записей",
    "discussions_poll": "опрос комментариев",
    "topics_poll": "опрос тем",
    "chats_poll": "опрос переписки",
    "reconciliation": "сверка",
    "backfill": "догрузка",
    "read_back": "проверка публикации",
}
BACKFILL_STATUS = {
    "queued": "в очереди",
    "running": "идёт",
    "done": "закончена",
    "failed": "не удалась",
    "cancelled": "отменена",
}
DELIVERY_STATUS = {"pending": "ждёт отправки", "delivered": "доставлено", "failed": "не доставлено"}
ERASURE_STATUS = {"queued": "в очереди", "running": "идёт", "done": "выполнено", "failed": "не выполнено"}
ERASURE_GROUND = {
    "request_of_the_person": "требование гражданина",
    "consent_withdrawn": "согласие отозвано",
    "court_or_regulator": "решение суда или регулятора",
    "other": "другое",
    "retention_ended": "истёк срок хранения",
}
READ_SUBJECT = {"appeal": "обращение", "message": "сообщение", "payload": "данные из карантина"}

SYSTEM_LABELS = {
    "send_to": SEND_TO,
    "page_owner_sphere": PAGE_OWNER_SPHERE,
    "organisation_kind": ORGANISATION_KIND,
    "rule_set_status": RULE_SET_STATUS,
    "time_unit": TIME_UNIT,
    "deadline_start": DEADLINE_START,
    "collection_state": COLLECTION_STATE,
    "token_state": TOKEN_STATE,
    "token_kind": TOKEN_KIND,
    "callback_state": CALLBACK_STATE,
    "source_kind": SOURCE_KIND,
    "backfill_status": BACKFILL_STATUS,
    "delivery_status": DELIVERY_STATUS,
    "erasure_status": ERASURE_STATUS,
    "erasure_ground": ERASURE_GROUND,
    "read_subject": READ_SUBJECT,
}
