"""Judging in a process of its own: the same answers, kept when made ahead, and again after it was killed."""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from services.appeals.judging import Judging
from services.appeals.understanding.judgement import Context
from services.appeals.understanding.understand import Understanding

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
