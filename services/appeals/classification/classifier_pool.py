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

from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.rules import keyword_classifier
from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH, truncate_input
from services.appeals.classification.types import ClassificationResult, MessageContext
from services.appeals.settings import settings
from shared import gc_tuning
from shared.database import outages
from shared.http.problems import Unavailable
from shared.logs import logger
from shared.service import Service

log = logger(__name__)

T = TypeVar("T")

ClassifierInput = tuple[str, MessageContext]
ClassifyPortion = Callable[[Sequence[ClassifierInput], "Path | None"], "list[ClassifiedText]"]
# Judgements kept ahead of their turn: a few batches.
MAX_PREFETCHED = 4_000
_PORTION = 250
# Letters of a portion: whoever waits for the process waits for a fraction of a second.
_LETTERS = 4 * MAX_TEXT_LENGTH
# Seconds of a processor that a portion, or a text alone, may take: several times what the dearest text takes.
CPU_SECONDS_LIMIT = 3.0
# Any ordinary words: a process that cannot read them is not ended by a citizen's text.
_SAMPLE = ("Здравствуйте! Когда починят дорогу в Кабанске?", MessageContext())
UNCLASSIFIABLE = "rule:unread-1"


@dataclass(frozen=True)
class ClassifiedText:
    """A judgement, and what made it: `rule:…` or `model:…`."""

    result: ClassificationResult
    classified_by: str


@dataclass(frozen=True)
class ClassifierInfo:
    """What judges: its name as judgements hold it, and the data cards of its parts; the plain rule has none.

    `taught` is the card of the classifier that an organisation's history taught, `foreign_labels` says in words
    which of its labels name no class.
    """

    name: str
    builtin_card: Mapping[str, Any] | None = None
    custom_card: Mapping[str, Any] | None = None
    unmapped_labels: str = ""


class ClassifierUnavailableError(outages.Unavailable):
    """Nothing can be read for now, whatever it says: the reading process ends again and again, or has no model.

    An outage, as it is when the database is away: no message is to blame, and who reads events waits.
    """


def _exit_with_parent() -> None:
    """In the reading process: end when the service has ended however it did."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


@cache
def _load_model(topics_model: Path | None) -> MessageClassifier:
    # Not in the initializer: what fails there ends the process and says nothing to the service.
    try:
        model = MessageClassifier.load(topics_model)
    except (ValueError, OSError) as error:
        raise ClassifierUnavailableError(
            f"GOSPABLIK_TOPICS_MODEL: {error}" if topics_model else str(error)
        ) from error
    gc_tuning.settle()
    return model


def _classify(items: Sequence[ClassifierInput], topics_model: Path | None) -> list[ClassifiedText]:
    model = _load_model(topics_model)
    return [ClassifiedText(found, model.name) for found in model.classify(items)]


@cache
def _load_info(topics_model: Path | None) -> ClassifierInfo:
    """Load the model and all that reading needs, and say what it is."""
    model = _load_model(topics_model)
    model.classify([_SAMPLE])
    return ClassifierInfo(model.name, model.card, model.custom_card, model.unmapped_labels)


def _with_cpu_limit(
    deadline: float, classify: "ClassifyPortion", items: Sequence[ClassifierInput], topics_model: Path | None
) -> list[ClassifiedText]:
    """Judge in the reading process; past `deadline` seconds of processor time the system ends the process.

    Processor time, so that a busy machine makes no text unreadable; the process, since nothing less surely stops
    a regular expression or a loop and leaves no doubt about what remains.
    """
    _load_info(topics_model)
    signal.setitimer(signal.ITIMER_PROF, deadline)
    try:
        return classify(items, topics_model)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _unread(text: str) -> ClassifiedText:
    why = f"Текст не удалось прочитать ({len(text)} знаков): читает человек"
    return ClassifiedText(ClassificationResult("unsure", "chatter", "normal", None, 0.0, why), UNCLASSIFIABLE)


def split_portions(items: Sequence[ClassifierInput]) -> list[list[ClassifierInput]]:
    """The items in their order, in portions that the process reads at once: not too many, not too long."""
    found: list[list[ClassifierInput]] = []
    letters = 0
    for item in items:
        text, context = truncate_input(*item)
        length = len(text) + len(context.post_text or "")
        if not found or len(found[-1]) == _PORTION or letters + length > _LETTERS:
            found.append([])
            letters = 0
        found[-1].append(item)
        letters += length
    return found


class ClassifierPool:
    """Judges messages; one of its kind in a process."""

    def __init__(self, classify: ClassifyPortion = _classify, deadline: float = CPU_SECONDS_LIMIT) -> None:
        """`judge` is what the process does with a portion; it is found there by its name."""
        self._classify_items = classify
        self._deadline = deadline
        self._pool: ProcessPoolExecutor | None = None
        self._turns = ThreadPoolExecutor(1, "reading")
        self._ahead: OrderedDict[ClassifierInput, ClassifiedText] = OrderedDict()

    async def start(self) -> None:
        """Start the reading process now, so that the first message does not wait for it.

        Raises `ReadingAwayError` with the folder and the reason when the model set there cannot be used.
        """
        if settings().understanding == "rule":
            return
        found = await self.info()
        log.info("texts are read", model=found.name)
        if found.unmapped_labels:
            log.warning(
                "labels of the topics model are left to the built-in model",
                model=found.name,
                labels=found.unmapped_labels,
            )

    async def info(self) -> ClassifierInfo:
        """What judges in this process, as it was loaded. Raises `ReadingAwayError`."""
        if settings().understanding == "rule":
            return ClassifierInfo(keyword_classifier.KEYWORD_CLASSIFIER)
        return await self._in_process(_load_info)

    async def classify(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        """Judgements in the order of the items; what was judged ahead is taken from there."""
        ready = {item: found for item in items if (found := self._ahead.pop(item, None)) is not None}
        missing = list(dict.fromkeys(item for item in items if item not in ready))
        ready.update(zip(missing, await self._read(missing), strict=True))
        return [ready[item] for item in items]

    async def classify_one(self, item: ClassifierInput) -> ClassifiedText:
        """One judgement that a request waits for. Raises `Unavailable` when no text can be read for now."""
        try:
            (found,) = await self.classify([item])
        except ClassifierUnavailableError as error:
            raise Unavailable("No text can be read for now; the service's log says why") from error
        return found

    async def prefetch(self, items: Sequence[ClassifierInput]) -> None:
        """Judge what will be asked for soon; the oldest that nobody asked for gives way."""
        missing = [item for item in dict.fromkeys(items) if item not in self._ahead]
        for item, found in zip(missing, await self._read(missing), strict=True):
            self._ahead[item] = found
        while len(self._ahead) > MAX_PREFETCHED:
            self._ahead.popitem(last=False)

    async def _read(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        if settings().understanding == "rule":
            return [
                ClassifiedText(
                    keyword_classifier.classify_by_keywords(text, context), keyword_classifier.KEYWORD_CLASSIFIER
                )
                for text, context in items
            ]
        found: list[ClassifiedText] = []
        for portion in split_portions(items):
            found += await self._classify_portion(portion)
        return found

    async def _classify_portion(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        """Judge a portion; when the process ends on it, its texts one by one."""
        try:
            return await self._in_turn(_with_cpu_limit, self._deadline, self._classify_items, items)
        except BrokenProcessPool:
            return [await self._classify_alone(item) for item in items]

    async def _classify_alone(self, item: ClassifierInput) -> ClassifiedText:
        """Judge one text; it is left to a person when the process ends on it while it can read other words."""
        await self._in_process(_load_info)
        try:
            (found,) = await self._in_turn(_with_cpu_limit, self._deadline, self._classify_items, [item])
        except BrokenProcessPool:
            await self._in_process(_load_info)
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
        raise ClassifierUnavailableError("the reading process ended twice in a row")

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
                max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=_exit_with_parent
            )
        return self._pool

    def close(self) -> None:
        """End the reading process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


@cache
def classifier_pool() -> ClassifierPool:
    """This process's judge."""
    return ClassifierPool()


async def check_custom_model(_service: Service) -> None:
    """A service whose own model cannot be used must not start; without one, reading begins with the first text."""
    if settings().topics_model is not None:
        await classifier_pool().start()
