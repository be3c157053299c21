"""How a publishing call ends, told to the person who wrote the answer in plain words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from services.ingest.networks.calls import CallError, CallLost, NoToken, Treatment
from services.ingest.networks.port import NotRead, Refused, Unsure

_PERMANENT = {Treatment.DENIED, Treatment.GONE, Treatment.REFUSED}


@dataclass(frozen=True)
class Words:
    """What the person who wrote the answer reads, and whether trying again by itself can help."""

    message: str
    permanent: bool
    retry_in: float = 5.0


_NO_RIGHT = Words(
    "У ключа страницы нет права публиковать: сообщите оператору, ответ уйдёт с другим ключом.", False, 15.0
)


def words_for(code: int, known: Mapping[int, Words], treatment: Treatment, title: str) -> Words:
    """The words for an error code; for one without words of its own, the network's `title` and the number."""
    if code in known:
        return known[code]
    if treatment is Treatment.BUG:
        return Words(f"{title} (ошибка {code}): сообщите оператору.", True)
    return Words(f"{title} (ошибка {code}).", treatment in _PERMANENT)


@contextmanager
def told_plainly(network: str, words: Callable[[int], Words]) -> Iterator[None]:
    """Turn what a call raises into `Refused` (it certainly does not stand there) or `Unsure`."""
    try:
        yield
    except NoToken as error:
        message = "У страницы нет действующего ключа доступа: ответ уйдёт, когда оператор добавит ключ."
        raise Refused("no_token", message, permanent=False, retry_in=15, sent=False) from error
    except CallLost as error:
        if error.sent:
            raise Unsure(str(error)) from error
        message = "Сеть недоступна, отправка повторится."
        raise Refused("unreachable", message, permanent=False, sent=False) from error
    except CallError as error:
        if error.treatment is Treatment.AGAIN:
            raise Unsure(str(error)) from error
        told = _NO_RIGHT if error.treatment is Treatment.SCOPE else words(error.code)
        raise Refused(
            f"{network}:{error.code}", told.message, permanent=told.permanent, retry_in=told.retry_in
        ) from error


@contextmanager
def read_or_not() -> Iterator[None]:
    """Turn what ends a reading into `NotRead`: what the network refuses to show may stand there all the same."""
    try:
        yield
    except CallError as error:
        raise NotRead(str(error), refused=error.treatment in {*_PERMANENT, Treatment.BUG}) from error
    except (CallLost, NoToken) as error:
        raise NotRead(str(error)) from error
