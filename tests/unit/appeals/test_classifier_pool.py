"""The classifier pool: its results equal the model's, prefetched or not, even after its process is killed."""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.appeals.classification import classifier_pool as classifier_pool_module
from services.appeals.classification import types
from services.appeals.classification.classifier_pool import (
    ClassifierPool,
    ClassifierUnavailableError,
    split_portions,
)
from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput, classify_portion
from services.appeals.classification.model import message_classifier
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH
from services.appeals.classification.types import MessageContext
from services.appeals.settings import AppealsSettings
from shared.http.problems import Unavailable
from tests.support.eventually import HANG_SECONDS, eventually_true
from tests.support.forked_program import fork_classifiers
from tests.support.hostile_classifier import DEADLY, ENDLESS, classify_hostile

ITEMS = [
    ("Когда починят свет на улице Ленина в Кабанске?", MessageContext()),
    ("Спасибо за праздник!", MessageContext()),
    ("а у нас когда?", MessageContext(post_text="Завтра отключат воду в Заречном")),
    ("Спасибо за праздник!", MessageContext()),
    ("\x00\ud83d [id1|", MessageContext(kind="message")),
]


def _children() -> set[int | None]:
    return {child.pid for child in multiprocessing.active_children()}


@pytest.fixture
def pool() -> Iterator[ClassifierPool]:
    made = ClassifierPool()
    yield made
    made.close()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    fork_classifiers(monkeypatch)


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let pools classify in a thread of this process. Return the list of the texts that `_remember` classifies."""
    monkeypatch.setattr(classifier_pool_module, "ProcessPoolExecutor", lambda **_: ThreadPoolExecutor(1))
    return []


def _remember(
    texts: list[str], items: Sequence[ClassifierInput], topics_model: Path | None
) -> list[ClassifiedText]:
    texts += [text for text, _ in items]
    return classify_portion(items, topics_model)


def _fails_to_locate(items: Sequence[ClassifierInput], _topics_model: Path | None) -> list[ClassifiedText]:
    def fails(text: str, **_: object) -> None:
        raise IndexError(text)

    vars(message_classifier)["find_location"] = fails
    return classify_portion(items, None)


async def test_failed_location_detection_is_logged_by_the_service_without_the_text(
    forked: None, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = ClassifierPool(_fails_to_locate)
    try:
        with capture_logs() as logs:
            (found,) = await pool.classify(ITEMS[:1])
    finally:
        pool.close()
    assert "место: не прочитано" in found.result.why
    (entry,) = [one for one in logs if one["event"] == "location detection failed"]
    assert (entry["error"], entry["characters"]) == ("IndexError", len(ITEMS[0][0]))
    assert "кабанск" not in "".join([*capfd.readouterr(), repr(logs)]).lower()


async def test_pool_returns_the_models_results_and_replaces_a_killed_process(pool: ClassifierPool) -> None:
    direct = MessageClassifier.load().classify(ITEMS)
    others = _children()
    results = await pool.classify(ITEMS)
    assert [found.result for found in results] == direct
    assert {found.classified_by for found in results} == {MessageClassifier.load().name}
    (process,) = _children() - others
    assert process is not None
    os.kill(process, signal.SIGKILL)
    again = await pool.classify([("Где получить справку о составе семьи?", MessageContext())])
    assert again[0].result.needs_answer == "yes"


async def test_prefetched_result_is_used_once(
    forked: None, pool: ClassifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.prefetch(ITEMS[:2])
    assert not pool.used.is_set()
    pool.close()
    monkeypatch.setattr(classifier_pool_module, "ProcessPoolExecutor", lambda **_: Ending())
    first = await pool.classify(ITEMS[:2])
    assert pool.used.is_set()
    assert [found.result.needs_answer for found in first] == ["yes", "no"]
    with pytest.raises(ClassifierUnavailableError):
        await pool.classify(ITEMS[:1])


async def test_texts_being_prefetched_are_awaited_and_not_classified_again(in_thread: list[str]) -> None:
    pool = ClassifierPool(partial(_remember, in_thread))
    prefetches = [asyncio.create_task(pool.prefetch(items)) for items in (ITEMS[:3], ITEMS[1:])]
    await asyncio.sleep(0)  # both begin
    found = await pool.classify(ITEMS)
    await asyncio.gather(*prefetches)
    assert [one.result for one in found] == MessageClassifier.load().classify(ITEMS)
    assert sorted(in_thread) == sorted({text for text, _ in ITEMS})


async def test_several_requests_for_one_text_at_once_get_its_result(in_thread: list[str]) -> None:
    pool = ClassifierPool(partial(_remember, in_thread))
    found = await asyncio.gather(*(pool.classify(ITEMS[:1]) for _ in range(3)))
    assert [one.result for (one,) in found] == 3 * MessageClassifier.load().classify(ITEMS[:1])


async def test_text_whose_prefetch_failed_is_classified(
    pool: ClassifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A prefetch fails after three crashes: one of the portion, and two while the model is loaded again.
    executors = iter([Ending(), Ending(), Ending(), ThreadPoolExecutor(1)])
    monkeypatch.setattr(classifier_pool_module, "ProcessPoolExecutor", lambda **_: next(executors))
    prefetching = asyncio.create_task(pool.prefetch(ITEMS[:1]))
    await asyncio.sleep(0)  # it begins
    (found,) = await pool.classify(ITEMS[:1])
    assert found.result.needs_answer == "yes"
    with pytest.raises(ClassifierUnavailableError):
        await prefetching


async def test_next_portion_begins_while_the_event_loop_is_busy(
    in_thread: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = {text: threading.Event() for text, _ in ITEMS[:2]}

    def classify(items: Sequence[ClassifierInput], topics_model: Path | None) -> list[ClassifiedText]:
        begun[items[0][0]].set()
        return classify_portion(items, topics_model)

    monkeypatch.setattr(classifier_pool_module, "_PORTION", 1)
    classifying = asyncio.create_task(ClassifierPool(classify).classify(ITEMS[:2]))
    first, second = begun.values()
    await eventually_true(first.is_set, "the first portion begins")
    assert second.wait(HANG_SECONDS)  # the event loop waits here
    assert len(await classifying) == 2


async def test_unusable_model_is_reported_with_its_reason(
    forked: None, pool: ClassifierPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = AppealsSettings(topics_model=tmp_path / "none")
    monkeypatch.setattr(classifier_pool_module, "settings", lambda: chosen)
    with pytest.raises(
        ClassifierUnavailableError, match=rf"GOSPABLIK_TOPICS_MODEL: {chosen.topics_model} holds no model"
    ):
        await pool.start()
    with pytest.raises(ClassifierUnavailableError, match="holds no model"):
        await pool.classify(ITEMS[:1])
    with pytest.raises(Unavailable, match="The classifier is not available"):
        await pool.classify_one(ITEMS[0])
    # A repaired model is used without a restart.
    chosen.topics_model = None
    assert (await pool.classify(ITEMS[:1]))[0].result.needs_answer == "yes"


async def test_calls_to_a_crashed_process_are_repeated_in_the_next(
    pool: ClassifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ThreadPoolExecutor] = []

    def executor(**_: object) -> ThreadPoolExecutor:
        made.append(Ending() if not made else ThreadPoolExecutor(1))
        return made[-1]

    monkeypatch.setattr(classifier_pool_module, "ProcessPoolExecutor", executor)
    answers = await asyncio.gather(*(pool.classify([item]) for item in ITEMS[:3]))
    assert [found[0].result.needs_answer for found in answers] == ["yes", "no", "yes"]
    assert len(made) == 2


class Ending(ThreadPoolExecutor):
    """An executor whose process has crashed: every call fails, one at a time."""

    def submit(self, *_: object, **__: object) -> Any:
        return super().submit(self._end)

    @staticmethod
    def _end() -> None:
        time.sleep(0.01)
        raise BrokenProcessPool("a child process terminated abruptly")


QUESTION = ("Когда починят дорогу в Кабанске?", MessageContext())


@pytest.fixture
def hostile(forked: None) -> Iterator[ClassifierPool]:
    made = ClassifierPool(classify_hostile, deadline=0.5)
    yield made
    made.close()


@pytest.mark.parametrize("text", [ENDLESS, DEADLY])
async def test_text_that_stops_the_classifier_is_left_to_a_person_and_the_next_classified(
    hostile: ClassifierPool, text: str
) -> None:
    before, unread, after = await hostile.classify(
        [QUESTION, (text, MessageContext()), ("Спасибо за праздник!", MessageContext())]
    )
    assert (before.result.needs_answer, after.result.needs_answer) == ("yes", "no")
    assert before.classified_by == after.classified_by == MessageClassifier.load().name
    assert (unread.result.needs_answer, unread.classified_by) == ("unsure", classifier_pool_module.UNCLASSIFIABLE)
    assert unread.result.why == f"Текст не удалось прочитать ({len(text)} знаков): решает модератор"
    assert types.is_automatic(unread.classified_by)


async def test_texts_next_to_a_crashing_text_are_classified(hostile: ClassifierPool) -> None:
    asked = [
        QUESTION,
        (DEADLY, MessageContext()),
        *((f"{QUESTION[0]} Дом {house}", MessageContext()) for house in range(3)),
    ]
    found = await asyncio.gather(*(hostile.classify([item]) for item in asked))
    assert [one[0].result.needs_answer for one in found] == ["yes", "unsure", "yes", "yes", "yes"]


async def test_two_process_crashes_in_a_row_make_the_classifier_unavailable(
    pool: ClassifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_pool_module, "ProcessPoolExecutor", lambda **_: Ending())
    with pytest.raises(ClassifierUnavailableError, match="twice in a row"):
        await pool.classify(ITEMS[:2])


def test_portions_are_limited_and_keep_the_order() -> None:
    short = [(f"текст {at}", MessageContext()) for at in range(600)]
    assert [len(portion) for portion in split_portions(short)] == [250, 250, 100]
    long = [("я" * 64_000, MessageContext(post_text="п" * 64_000)) for _ in range(5)]
    parted = split_portions([*long, *short[:3]])
    assert [len(portion) for portion in parted] == [2, 2, 4]
    assert [item for portion in parted for item in portion] == [*long, *short[:3]]
    assert len(parted[0][0][0]) > MAX_TEXT_LENGTH
