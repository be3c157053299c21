"""How a publishing call ends, told to the person who wrote the answer in plain words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.networks.port import PublishOutcomeUnknown, PublishRejected, ReadFailed

_PERMANENT = {ErrorTreatment.DENIED, ErrorTreatment.GONE, ErrorTreatment.REFUSED}


@dataclass(frozen=True)
class UserMessage:
    """What the person who wrote the answer reads, and whether trying again by itself can help."""

    message: str
    permanent: bool
    retry_in: float = 5.0


_NO_RIGHT = UserMessage(
    "У ключа страницы нет права публиковать: сообщите оператору, ответ уйдёт с другим ключом.", False, 15.0
)


def user_message_for(
    code: int, known: Mapping[int, UserMessage], treatment: ErrorTreatment, title: str
) -> UserMessage:
    """The words for an error code; for one without words of its own, the network's `title` and the number."""
    if code in known:
        return known[code]
    if treatment is ErrorTreatment.BUG:
        return UserMessage(f"{title} (ошибка {code}): сообщите оператору.", True)
    return UserMessage(f"{title} (ошибка {code}).", treatment in _PERMANENT)


@contextmanager
def mapping_publish_errors(network: str, words: Callable[[int], UserMessage]) -> Iterator[None]:
    """Turn what a call raises into `Refused` (it certainly does not stand there) or `Unsure`."""
    try:
        yield
    except NoUsableToken as error:
        message = "У страницы нет действующего ключа доступа: ответ уйдёт, когда оператор добавит ключ."
        raise PublishRejected("no_token", message, permanent=False, retry_in=15, sent=False) from error
    except NoValidResponse as error:
        if error.sent:
            raise PublishOutcomeUnknown(str(error)) from error
        message = "Сеть недоступна, отправка повторится."
        raise PublishRejected("unreachable", message, permanent=False, sent=False) from error
    except CallError as error:
        if error.treatment is ErrorTreatment.AGAIN:
            raise PublishOutcomeUnknown(str(error)) from error
        told = _NO_RIGHT if error.treatment is ErrorTreatment.SCOPE else words(error.code)
        raise PublishRejected(
            f"{network}:{error.code}", told.message, permanent=told.permanent, retry_in=told.retry_in
        ) from error


@contextmanager
def mapping_read_errors() -> Iterator[None]:
    """Turn what ends a reading into `NotRead`: what the network refuses to show may stand there all the same."""
    try:
        yield
    except CallError as error:
        raise ReadFailed(str(error), refused=error.treatment in {*_PERMANENT, ErrorTreatment.BUG}) from error
    except (NoValidResponse, NoUsableToken) as error:
        raise ReadFailed(str(error)) from error
