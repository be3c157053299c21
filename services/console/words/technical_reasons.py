"""Russian texts for reasons that services record in English: why a payload was not parsed or not sent."""

import re

_UNREADABLE = (
    (r"the field '?\"?[\w.]+'?\"? is missing", "Не хватает поля, которое нужно системе"),
    (r"events? of type .* (is|are) unknown", "Событие нового вида, которого система не знает"),
    (r".*belongs to (another page|community).*|the topic belongs to .*", "Запись относится к другой странице"),
    (r".*is not a time.*", "Время записано не так, как ожидает система"),
    (
        r".*(is not an object|has no object|is not a string|is not an id).*",
        "Поле записано не так, как ожидает система",
    ),
)
_UNREADABLE_OTHERWISE = "Данные записаны не так, как ожидает система"
_UNSENT = (
    (
        r"the endpoint was paused or not verified for (\d+) days",
        "Подписка {0} дн. была на паузе или не подтверждена: событие можно отправить ещё раз",
    ),
    (r"the response does not repeat the challenge.*", "Система не повторила в ответе присланный код"),
    (r"another verification was requested", "Вместо этой проверки адреса отправлена новая"),
    (r"no answer within (\d+).*", "Система не ответила за {0} с"),
    (r"HTTP (\d+).*", "Система ответила отказом: код {0}"),
    (r"The host .* was not found.*", "Адрес не найден: проверьте имя сервера"),
    (
        r"(The host .*|its address) is inside a network.*",
        "Адрес ведёт во внутреннюю сеть: туда события не отправляются",
    ),
    (r"The URL .*", "Адрес записан неверно"),
    (r"(?i).*(certificate|sslerror|ssl:.*verify).*", "Не удалось проверить сертификат системы"),
    (r"(?i).*(cannot connect|connection refused|connect call failed).*", "Система не принимает соединения"),
    (r"(?i).*(disconnected|connection reset|closed).*", "Система прервала соединение"),
)
_UNSENT_OTHERWISE = "Отправить не удалось: соединение с системой не состоялось"


def unreadable_words(reason: str) -> str:
    """Return why a payload from a network could not be parsed."""
    return _first(_UNREADABLE, reason) or _UNREADABLE_OTHERWISE


def unsent_words(error: str) -> str:
    """Return why a delivery to another system failed."""
    return _first(_UNSENT, error) or _UNSENT_OTHERWISE


def _first(known: tuple[tuple[str, str], ...], text: str) -> str | None:
    for pattern, words in known:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return words.format(*found.groups())
    return None
