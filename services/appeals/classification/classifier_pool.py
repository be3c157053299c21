"""Messages are judged in a process of their own: reading texts keeps a processor busy, and requests must not wait.

A text that takes the process too much processor time, or ends it each time, goes to a person unread; the process
is replaced, and the texts beside it are judged.

What was judged ahead of its turn is kept until it is asked for. A judgement depends on the text and what stands
around it alone, so one that was made ahead is the one that would be made now.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from services.appeals.classification.model.message_classifier import Understanding
from services.appeals.classification.rules import keyword_classifier
from services.appeals.classification.text.text_limits import READ, part_read
from services.appeals.classification.types import Context, Judgement
from services.appeals.settings import settings
from shared import gc_tuning
from shared.database import outages
from shared.http.problems import Unavailable
from shared.logs import logger
from shared.service import Service

log = logger(__name__)

T = TypeVar("T")

Item = tuple[str, Context]
Judge = Callable[[Sequence[Item], "Path | None"], "list[Judged]"]
# Judgements kept ahead of their turn: a few batches.
KEPT = 4_000
_PORTION = 250
# Letters of a portion: whoever waits for the process waits for a fraction of a second.
_LETTERS = 4 * READ
# Seconds of a processor that a portion, or a text alone, may take: several times what the dearest text takes.
DEADLINE = 3.0
# Any ordinary words: a process that cannot read them is not ended by a citizen's text.
_SAMPLE = ("Здравствуйте! Когда починят дорогу в Кабанске?", Context())
UNREAD = "rule:unread-1"


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
    gc_tuning.settle()
    return model


def _judge(items: Sequence[Item], topics_model: Path | None) -> list[Judged]:
    model = _model(topics_model)
    return [Judged(found, model.name) for found in model.judge(items)]


@cache
def _load(topics_model: Path | None) -> InForce:
    """Load the model and all that reading needs, and say what it is."""
    model = _model(topics_model)
    model.judge([_SAMPLE])
    return InForce(model.name, model.card, model.taught_card, model.foreign_labels)


def _within(deadline: float, judge: "Judge", items: Sequence[Item], topics_model: Path | None) -> list[Judged]:
    """Judge in the reading process; past `deadline` seconds of processor time the system ends the process.

    Processor time, so that a busy machine makes no text unreadable; the process, since nothing less surely stops
    a regular expression or a loop and leaves no doubt about what remains.
    """
    _load(topics_model)
    signal.setitimer(signal.ITIMER_PROF, deadline)
    try:
        return judge(items, topics_model)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _unread(text: str) -> Judged:
    why = f"Текст не удалось прочитать ({len(text)} знаков): читает человек"
    return Judged(Judgement("unsure", "chatter", "normal", None, 0.0, why), UNREAD)


def portions(items: Sequence[Item]) -> list[list[Item]]:
    """The items in their order, in portions that the process reads at once: not too many, not too long."""
    found: list[list[Item]] = []
    letters = 0
    for item in items:
        text, context = part_read(*item)
        length = len(text) + len(context.post_text or "")
        if not found or len(found[-1]) == _PORTION or letters + length > _LETTERS:
            found.append([])
            letters = 0
        found[-1].append(item)
        letters += length
    return found


class Judging:
    """Judges messages; one of its kind in a process."""

    def __init__(self, judge: Judge = _judge, deadline: float = DEADLINE) -> None:
        """`judge` is what the process does with a portion; it is found there by its name."""
        self._judge = judge
        self._deadline = deadline
        self._pool: ProcessPoolExecutor | None = None
        self._turns = ThreadPoolExecutor(1, "reading")
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
            return InForce(keyword_classifier.RULE)
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
            return [
                Judged(keyword_classifier.judge(text, context), keyword_classifier.RULE) for text, context in items
            ]
        found: list[Judged] = []
        for portion in portions(items):
            found += await self._judge_portion(portion)
        return found

    async def _judge_portion(self, items: Sequence[Item]) -> list[Judged]:
        """Judge a portion; when the process ends on it, its texts one by one."""
        try:
            return await self._in_turn(_within, self._deadline, self._judge, items)
        except BrokenProcessPool:
            return [await self._judge_alone(item) for item in items]

    async def _judge_alone(self, item: Item) -> Judged:
        """Judge one text; it is left to a person when the process ends on it while it can read other words."""
        await self._in_process(_load)
        try:
            (found,) = await self._in_turn(_within, self._deadline, self._judge, [item])
        except BrokenProcessPool:
            await self._in_process(_load)
            log.warning("a text ended the reading process; a person reads it", characters=len(item[0]))
            return _unread(item[0])
        return found

    async def _in_process(self, work: Callable[..., T], *arguments: object) -> T:
        """Do the work in the reading process. Was it ended from outside, for want of memory maybe, another one
        tries; then `ReadingAwayError` is raised.
        """
        for _ in range(2):
            with suppress(BrokenProcessPool):
                return await self._in_turn(work, *arguments)
        raise ReadingAwayError("the reading process ended twice in a row")

    async def _in_turn(self, work: Callable[..., T], *arguments: object) -> T:
        """Do the work in the reading process, its last argument the folder of the taught model.

        Raises `BrokenProcessPool` when the process ends meanwhile. One work at a time is given to it: what it ends
        on is what it was given, never what waits.
        """
        call = partial(work, *arguments, settings().topics_model)
        return await asyncio.get_running_loop().run_in_executor(self._turns, self._do, call)

    def _do(self, call: Callable[[], T]) -> T:
        try:
            return self._process().submit(call).result()
        except BrokenProcessPool:
            log.warning("the reading process ended; another will be started")
            self.close()
            raise

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


async def check_topics_model(_service: Service) -> None:
    """A service whose own model cannot be used must not start; without one, reading begins with the first text."""
    if settings().topics_model is not None:
        await judging().make_ready()
