"""Cooldowns of OK objects that cannot be read, and error texts that name the reason."""

import asyncio

from services.ingest.networks.calls import CallError, ErrorTreatment
from services.ingest.networks.ok.ok_errors import REQUEST_ERRORS
from shared.supervision import Backoff

# Treatments of errors that mean that the network does not show or accept the object.
_CLOSED = {ErrorTreatment.DENIED, ErrorTreatment.NOT_FOUND, ErrorTreatment.CONTENT_REJECTED}

_WORDS = {
    10: "У ключа нет права читать это в группе",
    50: "Владелец ключа не администратор этой группы",
    106: "Обсуждение не найдено: удалено или закрыто",
    160: "Группа не найдена или закрыта для владельца ключа",
    300: "Не найдено: удалено или закрыто",
    455: "Автор ограничил доступ к обсуждению",
    456: "Группа закрыта для владельца ключа или комментарии в ней выключены",
    458: "Настройки приватности не позволяют это прочитать, или профиль автора отключён",
    700: "Комментарий не найден: удалён или закрыт",
    702: "Комментарий удалён",
    705: "Переписка не найдена: удалена или закрыта",
}


def is_object_error(error: BaseException) -> bool:
    """Return whether the error concerns one of many objects, not the token, our requests or a temporary condition.

    An invalid parameter counts, because it may be the id of the object.
    """
    return is_closed_error(error) or (
        isinstance(error, CallError)
        and error.treatment is ErrorTreatment.CLIENT_ERROR
        and error.code not in REQUEST_ERRORS
    )


def is_closed_error(error: BaseException) -> bool:
    """Return whether the network does not show the object; after other errors it may be readable."""
    return isinstance(error, CallError) and error.treatment in _CLOSED


def describe_closed(error: CallError, what: str) -> str:
    """Return the error text shown for the source; `what` is the object's name in Russian."""
    what_happened = "не показывают это" if is_closed_error(error) else "не приняли запрос"
    text = _WORDS.get(error.code, f"Одноклассники {what_happened}: {error.text}")
    return f"{text} ({what}, ошибка {error.code})"


class Cooldowns:
    """Cooldowns by object name, in memory only: after a restart every object is tried again."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def is_active(self, name: str) -> bool:
        """Return whether a cooldown is active."""
        return self._until.get(name, 0.0) > asyncio.get_running_loop().time()

    def start(self, name: str, seconds: float) -> None:
        """Start a cooldown."""
        self._until[name] = asyncio.get_running_loop().time() + seconds

    def record_failure(self, name: str, backoff: Backoff) -> None:
        """Start a cooldown after a failure, longer after each further failure."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        self.start(name, backoff.delay(failures))

    def clear(self, name: str) -> None:
        """Remove the cooldown and its failure count."""
        self._until.pop(name, None)
        self._failures.pop(name, None)

    def cancel(self, name: str) -> None:
        """End the cooldown now but keep its failure count."""
        self._until.pop(name, None)
