"""Map errors of network calls to outcomes of publishing and reading, with messages for the reply's author."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from services.ingest.networks.calls import CallError, ErrorTreatment, NoUsableToken, NoValidResponse
from services.ingest.networks.port import PublishOutcomeUnknown, PublishRejected, ReadFailed

_PERMANENT = {ErrorTreatment.DENIED, ErrorTreatment.NOT_FOUND, ErrorTreatment.CONTENT_REJECTED}


@dataclass(frozen=True)
class UserMessage:
    """Message for the reply's author; unless `permanent`, the call is retried after `retry_after` seconds."""

    text: str
    permanent: bool
    retry_after: float = 5.0


_NO_RIGHT = UserMessage(
    "У ключа страницы нет права публиковать: сообщите оператору, ответ уйдёт с другим ключом.", False, 15.0
)


def user_message_for(
    code: int, known: Mapping[int, UserMessage], treatment: ErrorTreatment, title: str
) -> UserMessage:
    """Return the message for an error code; for an unknown code it consists of `title` and the code."""
    if code in known:
        return known[code]
    if treatment is ErrorTreatment.CLIENT_ERROR:
        return UserMessage(f"{title} (ошибка {code}): сообщите оператору.", True)
    return UserMessage(f"{title} (ошибка {code}).", treatment in _PERMANENT)


@contextmanager
def mapping_publish_errors(
    network: str, words: Callable[[int], UserMessage], gone: Collection[int] = ()
) -> Iterator[None]:
    """Map call errors to `PublishRejected` (certainly not published) or `PublishOutcomeUnknown`.

    `gone`: the codes that mean that the object of the call does not exist.
    """
    try:
        yield
    except NoUsableToken as error:
        message = "У страницы нет действующего ключа доступа: ответ уйдёт, когда оператор добавит ключ."
        raise PublishRejected(
            "no_usable_token", message, permanent=False, retry_after=15, was_sent=False
        ) from error
    except NoValidResponse as error:
        if error.was_sent:
            raise PublishOutcomeUnknown(str(error)) from error
        message = "Сеть недоступна, отправка повторится."
        raise PublishRejected(
            "network_unreachable", message, permanent=False, was_sent=False, is_outage=error.is_outage
        ) from error
    except CallError as error:
        if error.treatment is ErrorTreatment.TRANSIENT:
            raise PublishOutcomeUnknown(str(error)) from error
        explanation = _NO_RIGHT if error.treatment is ErrorTreatment.MISSING_SCOPE else words(error.code)
        raise PublishRejected(
            f"{network}:{error.code}",
            explanation.text,
            permanent=explanation.permanent,
            retry_after=explanation.retry_after,
            is_gone=error.code in gone,
        ) from error


@contextmanager
def mapping_read_errors() -> Iterator[None]:
    """Map call errors to `ReadFailed`: after an error, content must not count as missing."""
    try:
        yield
    except CallError as error:
        raise ReadFailed(
            str(error), permanent=error.treatment in {*_PERMANENT, ErrorTreatment.CLIENT_ERROR}
        ) from error
    except NoValidResponse as error:
        raise ReadFailed(str(error), is_outage=error.is_outage) from error
    except NoUsableToken as error:
        raise ReadFailed(str(error)) from error
