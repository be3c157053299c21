"""Reasons that the system stores in English are shown in Russian."""

import re

import pytest

from services.console.words.technical_reasons import unreadable_words, unsent_words
from services.ingest.networks.port import describe_parse_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("id"), "Не хватает поля, которое нужно системе"),
        (ValueError("events of type 'NEW' are unknown"), "Событие нового вида, которого система не знает"),
        (ValueError("the event belongs to community 7"), "Запись относится к другой странице"),
        (TypeError("the event has no object"), "Поле записано не так, как ожидает система"),
        (ValueError("something else"), "Данные записаны не так, как ожидает система"),
    ],
)
def test_parse_error_is_explained_in_russian(error: Exception, words: str) -> None:
    assert unreadable_words(describe_parse_error(error)) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "the endpoint was paused or not verified for 30 days",
            "Подписка 30 дн. была на паузе или не подтверждена: событие можно отправить ещё раз",
        ),
        ("the response does not repeat the challenge: hello", "Система не повторила в ответе присланный код"),
        ("no answer within 10 s", "Система не ответила за 10 с"),
        ("HTTP 503: maintenance\nat night", "Система ответила отказом: код 503"),
        ("The host one.example was not found", "Адрес не найден: проверьте имя сервера"),
        (
            "its address is inside a network that webhooks must not reach",
            "Адрес ведёт во внутреннюю сеть: туда события не отправляются",
        ),
        ("Cannot connect to host one.example:443 ssl:default", "Система не принимает соединения"),
        ("Server disconnected", "Система прервала соединение"),
    ],
)
def test_delivery_error_is_explained_in_russian(error: str, words: str) -> None:
    assert unsent_words(error) == words


def test_unknown_error_is_not_shown_in_english() -> None:
    assert not re.search("[a-z]", unsent_words("a new kind of error {0}"))
