"""What OK refuses to show: said in words, left alone for a long while, then asked for again."""

import asyncio

from services.ingest.networks.calls import CallError, ErrorTreatment

# Of one group, discussion or chat alone: the others go on.
OBJECT_TREATMENTS = {
    ErrorTreatment.DENIED,
    ErrorTreatment.NOT_FOUND,
    ErrorTreatment.CONTENT_REJECTED,
    ErrorTreatment.CLIENT_ERROR,
}

_WORDS = {
    10: "У ключа нет права читать это в группе",
    50: "Владелец ключа не администратор этой группы",
    106: "Обсуждение не найдено: удалено или закрыто",
    160: "Группа не найдена или закрыта для владельца ключа",
    300: "Не найдено: удалено или закрыто",
    455: "Автор ограничил доступ к обсуждению",
    456: "Группа закрыта для владельца ключа или комментарии в ней выключены",
    458: "Настройки приватности не дают это читать, или профиль автора отключён",
    700: "Комментарий не найден: удалён или закрыт",
    702: "Комментарий удалён",
    705: "Переписка не найдена: удалена или закрыта",
}


def is_object_error(error: BaseException) -> bool:
    """Whether the network refuses this object, and not us or this moment."""
    return isinstance(error, CallError) and error.treatment in OBJECT_TREATMENTS


def describe_closed(error: CallError, what: str) -> str:
    """What an operator reads at the source; `what` names the object."""
    told = _WORDS.get(error.code, f"Одноклассники не показывают это: {error.text}")
    return f"{told} ({what}, ошибка {error.code})"


class Cooldowns:
    """Until when something is left alone, by name. Kept in memory: after a restart all is asked for again."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def is_active(self, name: str) -> bool:
        """Whether it is to be left alone now."""
        return self._until.get(name, 0.0) > asyncio.get_running_loop().time()

    def start(self, name: str, seconds: float) -> None:
        """Leave it alone for so long."""
        self._until[name] = asyncio.get_running_loop().time() + seconds

    def record_failure(self, name: str, first: float, most: float) -> None:
        """Leave it alone after a failure, twice as long after each further one."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        self.start(name, min(first * 2.0 ** min(failures - 1, 20), most))

    def clear(self, name: str) -> None:
        """It can be read again."""
        self._until.pop(name, None)
        self._failures.pop(name, None)

    def cancel(self, name: str) -> None:
        """Ask again now; how often it failed is not forgotten."""
        self._until.pop(name, None)
