"""Judging in a process of its own: the same answers, kept when made ahead, and again after it was killed."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.appeals import judging as judging_module
from services.appeals.judging import Judging, ReadingAwayError
from services.appeals.settings import AppealsSettings
from services.appeals.understanding.judgement import Context
from services.appeals.understanding.understand import Understanding
from shared.problems import Unavailable

ITEMS = [
    ("Когда починят свет на улице Ленина в Кабанске?", Context()),
    ("Спасибо за праздник!", Context()),
    ("а у нас когда?", Context(post_text="Завтра отключат воду в Заречном")),
    ("Спасибо за праздник!", Context()),
    ("\x00\ud83d [id1|", Context(kind="message")),
]


def _reading() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def judging() -> Iterator[Judging]:
    made = Judging()
    yield made
    made.close()


async def test_the_process_judges_as_the_model_does_and_a_killed_one_is_replaced(judging: Judging) -> None:
    direct = Understanding.load().judge(ITEMS)
    others = {child.pid for child in _reading()}
    judged = await judging.judge(ITEMS)
    assert [found.judgement for found in judged] == direct
    assert {found.by for found in judged} == {Understanding.load().name}
    (process,) = (child for child in _reading() if child.pid not in others)
    os.kill(process.pid, signal.SIGKILL)
    again = await judging.judge([("Где получить справку о составе семьи?", Context())])
    assert again[0].judgement.needs_answer == "yes"


async def test_what_was_judged_ahead_is_taken_once(judging: Judging) -> None:
    await judging.judge_ahead(ITEMS[:2])
    before = {child.pid for child in _reading()}
    judging.close()
    first = await judging.judge(ITEMS[:2])
    assert [found.judgement.needs_answer for found in first] == ["yes", "no"]
    assert {child.pid for child in _reading()} <= before


async def test_a_model_that_cannot_be_used_is_named_with_its_reason(
    judging: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = AppealsSettings(topics_model=tmp_path / "none")
    monkeypatch.setattr(judging_module, "settings", lambda: chosen)
    with pytest.raises(ReadingAwayError, match=rf"GOSPABLIK_TOPICS_MODEL: {chosen.topics_model} holds no model"):
        await judging.make_ready()
    with pytest.raises(ReadingAwayError, match="holds no model"):
        await judging.judge(ITEMS[:1])
    with pytest.raises(Unavailable, match="No text can be read"):
        await judging.judge_now(ITEMS[0])
    # Mended, and nothing needs to be started anew.
    chosen.topics_model = None
    assert (await judging.judge(ITEMS[:1]))[0].judgement.needs_answer == "yes"


async def test_all_who_wait_for_a_process_that_ends_are_served_by_the_next(
    judging: Judging, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ThreadPoolExecutor] = []

    def pool(**_: object) -> ThreadPoolExecutor:
        made.append(Ending() if not made else ThreadPoolExecutor(1))
        return made[-1]

    monkeypatch.setattr(judging_module, "ProcessPoolExecutor", pool)
    answers = await asyncio.gather(*(judging.judge([item]) for item in ITEMS[:3]))
    assert [found[0].judgement.needs_answer for found in answers] == ["yes", "no", "yes"]
    assert len(made) == 2


class Ending(ThreadPoolExecutor):
    """A process that ends under all who wait for it, one after the other."""

    def submit(self, *_: object, **__: object) -> Any:
        return super().submit(self._end)

    @staticmethod
    def _end() -> None:
        time.sleep(0.01)
        raise BrokenProcessPool("a child process terminated abruptly")
