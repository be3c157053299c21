"""Messages are judged in a process of their own: reading texts keeps a processor busy, and requests must not wait.

What was judged ahead of its turn is kept until it is asked for. A judgement depends on the text and what stands
around it alone, so one that was made ahead is the one that would be made now.
"""

import asyncio
import multiprocessing
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from services.appeals.settings import settings
from services.appeals.understanding import rule
from services.appeals.understanding.judgement import Context, Judgement
from services.appeals.understanding.understand import Understanding
from shared import memory, outages
from shared.logs import logger
from shared.problems import Unavailable

log = logger(__name__)

T = TypeVar("T")

Item = tuple[str, Context]
# Judgements kept ahead of their turn: a few batches.
KEPT = 4_000
_PORTION = 250
# How what judges by itself is named; a person is known by an id.
MACHINES = ("rule:", "model:")


@dataclass(frozen=True)
class Judged:
    """A judgement, and what made it: `rule:…` or `model:…`."""

    judgement: Judgement
    by: str


@dataclass(frozen=True)
class InForce:
    """What judges: its name as judgements hold it, and the data cards of its parts; the plain rule has none.

    `taught` is the card of the classifier that an organisation's history taught, `foreign_labels` says in words
    which of its labels name no class.
    """

    name: str
    built_in: Mapping[str, Any] | None = None
    taught: Mapping[str, Any] | None = None
    foreign_labels: str = ""


def is_machine(judged_by: str) -> bool:
    """Whether a rule or a model judged, not a person."""
    return judged_by.startswith(MACHINES)


class ReadingAwayError(outages.Unavailable):
    """Nothing can be read for now, whatever it says: the reading process ends again and again, or has no model.

    An outage, as it is when the database is away: no message is to blame, and who reads events waits.
    """


def _start() -> None:
    """In the reading process: end when the service has ended however it did."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


@cache
def _model(topics_model: Path | None) -> Understanding:
    # Not in the initializer: what fails there ends the process and says nothing to the service.
    try:
        model = Understanding.load(topics_model)
    except (ValueError, OSError) as error:
        raise ReadingAwayError(f"GOSPABLIK_TOPICS_MODEL: {error}" if topics_model else str(error)) from error
    memory.settle()
    return model


def _judge(items: Sequence[Item], topics_model: Path | None) -> list[Judged]:
    model = _model(topics_model)
    return [Judged(found, model.name) for found in model.judge(items)]


def _load(topics_model: Path | None) -> InForce:
    """Load the model and say what it is."""
    model = _model(topics_model)
    return InForce(model.name, model.card, model.taught_card, model.foreign_labels)


class Judging:
    """Judges messages; one of its kind in a process."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._ahead: OrderedDict[Item, Judged] = OrderedDict()

    async def make_ready(self) -> None:
        """Start the reading process now, so that the first message does not wait for it.

        Raises `ReadingAwayError` with the folder and the reason when the model set there cannot be used.
        """
        if settings().understanding == "rule":
            return
        found = await self.in_force()
        log.info("texts are read", model=found.name)
        if found.foreign_labels:
            log.warning(
                "labels of the topics model are left to the built-in model",
                model=found.name,
                labels=found.foreign_labels,
            )

    async def in_force(self) -> InForce:
        """What judges in this process, as it was loaded. Raises `ReadingAwayError`."""
        if settings().understanding == "rule":
            return InForce(rule.RULE)
        return await self._in_process(_load)

    async def judge(self, items: Sequence[Item]) -> list[Judged]:
        """Judgements in the order of the items; what was judged ahead is taken from there."""
        ready = {item: found for item in items if (found := self._ahead.pop(item, None)) is not None}
        missing = list(dict.fromkeys(item for item in items if item not in ready))
        ready.update(zip(missing, await self._read(missing), strict=True))
        return [ready[item] for item in items]

    async def judge_now(self, item: Item) -> Judged:
        """One judgement that a request waits for. Raises `Unavailable` when no text can be read for now."""
        try:
            (found,) = await self.judge([item])
        except ReadingAwayError as error:
            raise Unavailable("No text can be read for now; the service's log says why") from error
        return found

    async def judge_ahead(self, items: Sequence[Item]) -> None:
        """Judge what will be asked for soon; the oldest that nobody asked for gives way."""
        missing = [item for item in dict.fromkeys(items) if item not in self._ahead]
        for item, found in zip(missing, await self._read(missing), strict=True):
            self._ahead[item] = found
        while len(self._ahead) > KEPT:
            self._ahead.popitem(last=False)

    async def _read(self, items: Sequence[Item]) -> list[Judged]:
        if settings().understanding == "rule":
            return [Judged(rule.judge(text, context), rule.RULE) for text, context in items]
        found: list[Judged] = []
        for start in range(0, len(items), _PORTION):
            found += await self._in_process(_judge, items[start : start + _PORTION])
        return found

    async def _in_process(self, work: Callable[..., T], *arguments: object) -> T:
        """Do the work in the reading process, its last argument the folder of the taught model.

        Was it ended from outside, for want of memory maybe, another one tries; then `ReadingAwayError` is raised.
        """
        loop = asyncio.get_running_loop()
        for _ in range(2):
            pool = self._process()
            try:
                return await loop.run_in_executor(pool, partial(work, *arguments, settings().topics_model))
            except BrokenProcessPool:
                log.warning("the reading process ended; starting another")
                # Who else waited for it may have another one by now.
                if self._pool is pool:
                    self.close()
        raise ReadingAwayError("the reading process ended twice in a row")

    def _process(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=_start
            )
        return self._pool

    def close(self) -> None:
        """End the reading process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


@cache
def judging() -> Judging:
    """This process's judge."""
    return Judging()
