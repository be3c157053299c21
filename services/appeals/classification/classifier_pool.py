"""Classification in a separate process: it occupies a CPU, which must not delay requests.

A text that exceeds the CPU limit, or crashes the process every time, is left to a moderator unclassified; the
process is replaced, and the other texts of the portion are classified. Prefetched results are kept until they are
requested. A result depends only on the text and its context, so a prefetched result cannot be stale.
"""

import asyncio
import multiprocessing
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache, partial
from typing import TypeVar

from services.appeals.classification.classifier_process import (
    ClassifiedText,
    ClassifierInfo,
    ClassifierInput,
    ClassifyPortion,
    ModelLoadError,
    classify_portion,
    exit_with_parent,
    load_info,
    with_cpu_limit,
)
from services.appeals.classification.rules import keyword_classifier
from services.appeals.classification.text.text_limits import MAX_TEXT_LENGTH, truncate_input
from services.appeals.classification.types import ClassificationResult
from services.appeals.settings import settings
from shared.database import outages
from shared.http.problems import Unavailable
from shared.logs import get_logger
from shared.service import Service

log = get_logger(__name__)

T = TypeVar("T")

# Maximum number of prefetched results: a few batches.
MAX_PREFETCHED = 4_000
_PORTION = 250
# Maximum number of characters in a portion: a caller waits for up to `_QUEUED` portions of each other caller.
_LETTERS = 4 * MAX_TEXT_LENGTH
# How many portions of one call are queued at once: the process begins the second one without waiting for the event
# loop, which may be busy. Other callers take turns with these.
_QUEUED = 2
# Limit of CPU seconds for a portion or a single text: several times the time of the most expensive text.
CPU_SECONDS_LIMIT = 3.0
UNCLASSIFIABLE = "rule:unread-1"


class ClassifierUnavailableError(outages.DependencyUnavailable):
    """The classifier is not available for any text: its process crashes repeatedly or has no model. Treated as an
    outage, like a lost database connection: the messages are not the cause, and event consumers wait.
    """


def _unread(text: str) -> ClassifiedText:
    why = f"Текст не удалось прочитать ({len(text)} знаков): решает модератор"
    return ClassifiedText(ClassificationResult("unsure", "chatter", "normal", None, 0.0, why), UNCLASSIFIABLE)


def split_portions(items: Sequence[ClassifierInput]) -> list[list[ClassifierInput]]:
    """Split the items, in their order, into portions with a limited number of items and characters."""
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
    """Classifies messages; one instance per process."""

    def __init__(self, classify: ClassifyPortion = classify_portion, deadline: float = CPU_SECONDS_LIMIT) -> None:
        """`classify` (pickled by name) runs in the classifier process, on one portion at a time.

        A run may take `deadline` CPU seconds.
        """
        self._classify_items = classify
        self._deadline = deadline
        self._pool: ProcessPoolExecutor | None = None
        self._turns = ThreadPoolExecutor(1, "reading")
        # Set when prefetched results were used, so that more can be prefetched.
        self.used = asyncio.Event()
        self._prefetched: OrderedDict[ClassifierInput, ClassifiedText] = OrderedDict()
        # The items that are being classified, with the future that ends when they are, however that ends.
        self._in_work: dict[ClassifierInput, asyncio.Future[None]] = {}

    async def start(self) -> None:
        """Start the classifier process now, so that the first message does not wait for it.

        Raises `ClassifierUnavailableError` with the folder and the reason when the custom model cannot be used.
        """
        if settings().classifier == "rule":
            return
        found = await self.info()
        log.info("classifier loaded", model=found.name)
        if found.unmapped_labels:
            log.warning(
                "labels of the custom model name no topic; the built-in model decides in their place",
                model=found.name,
                labels=found.unmapped_labels,
            )

    async def info(self) -> ClassifierInfo:
        """Return the classifier that this process loaded.

        Raises `ClassifierUnavailableError` if it cannot load one.
        """
        if settings().classifier == "rule":
            return ClassifierInfo(keyword_classifier.KEYWORD_CLASSIFIER)
        return await self._in_process(load_info)

    async def classify(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        """Return results in the order of the items. Prefetched ones are used, and waited for if necessary."""
        while in_work := {self._in_work[item] for item in items if item in self._in_work}:
            await asyncio.wait(in_work)
        ready = {item: found for item in items if (found := self._prefetched.pop(item, None)) is not None}
        if ready:
            self.used.set()
        missing = list(dict.fromkeys(item for item in items if item not in ready))
        ready.update(zip(missing, await self._classify_new(missing), strict=True))
        return [ready[item] for item in items]

    async def classify_one(self, item: ClassifierInput) -> ClassifiedText:
        """Return the result of one item that a request waits for. Raises `Unavailable` when the classifier is not
        available.
        """
        try:
            (found,) = await self.classify([item])
        except ClassifierUnavailableError as error:
            raise Unavailable("The classifier is not available; the service's log says why") from error
        return found

    async def prefetch(self, items: Sequence[ClassifierInput]) -> None:
        """Classify items that will be requested soon; the oldest unused results are dropped."""
        known = self._prefetched.keys() | self._in_work.keys()
        missing = [item for item in dict.fromkeys(items) if item not in known]
        self._prefetched.update(zip(missing, await self._classify_new(missing), strict=True))
        while len(self._prefetched) > MAX_PREFETCHED:
            self._prefetched.popitem(last=False)

    async def _classify_new(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        """Classify items, which are in `_in_work` meanwhile: nobody else begins to classify them."""
        finished = asyncio.get_running_loop().create_future()
        self._in_work.update(dict.fromkeys(items, finished))
        try:
            return await self._read(items)
        finally:
            for item in items:
                del self._in_work[item]
            finished.set_result(None)

    async def _read(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        if settings().classifier == "rule":
            return [
                ClassifiedText(
                    keyword_classifier.classify_by_keywords(text, context), keyword_classifier.KEYWORD_CLASSIFIER
                )
                for text, context in items
            ]
        found: list[ClassifiedText] = []
        portions = split_portions(items)
        for start in range(0, len(portions), _QUEUED):
            queued = map(self._classify_portion, portions[start : start + _QUEUED])
            # After an error the other portion is waited for too: a repetition must not run beside it.
            for results in await asyncio.gather(*queued, return_exceptions=True):
                if isinstance(results, BaseException):
                    raise results
                found += results
        for (text, _), one in zip(items, found, strict=True):
            if one.result.location_error is not None:
                log.error("location detection failed", error=one.result.location_error, characters=len(text))
        return found

    async def _classify_portion(self, items: Sequence[ClassifierInput]) -> list[ClassifiedText]:
        """Classify a portion; if the process crashes on it, classify its texts one by one."""
        try:
            return await self._in_turn(with_cpu_limit, self._deadline, self._classify_items, items)
        except BrokenProcessPool:
            return [await self._classify_alone(item) for item in items]

    async def _classify_alone(self, item: ClassifierInput) -> ClassifiedText:
        """Classify one text; leave the text to a moderator if the process crashes on it but loads its model."""
        await self._in_process(load_info)
        try:
            (found,) = await self._in_turn(with_cpu_limit, self._deadline, self._classify_items, [item])
        except BrokenProcessPool:
            await self._in_process(load_info)
            log.warning("text crashed the classifier process; left to a moderator", characters=len(item[0]))
            return _unread(item[0])
        return found

    async def _in_process(self, work: Callable[..., T], *arguments: object) -> T:
        """Run the work in the classifier process.

        When the process ends unexpectedly, for example because the system runs out of memory, a second process
        repeats the work; raises `ClassifierUnavailableError` if the second ends too.
        """
        for _ in range(2):
            with suppress(BrokenProcessPool):
                return await self._in_turn(work, *arguments)
        raise ClassifierUnavailableError("the classifier process ended twice in a row")

    async def _in_turn(self, work: Callable[..., T], *arguments: object) -> T:
        """Run the work in the classifier process; the work's last argument is the folder of the custom model.

        Raises `BrokenProcessPool` if the process ends meanwhile. Only one call runs at a time, so a crash is
        caused by that call and not by a waiting one.
        """
        call = partial(work, *arguments, settings().topics_model)
        return await asyncio.get_running_loop().run_in_executor(self._turns, self._do, call)

    def _do(self, call: Callable[[], T]) -> T:
        try:
            return self._process().submit(call).result()
        except ModelLoadError as error:
            raise ClassifierUnavailableError(str(error)) from error
        except BrokenProcessPool:
            log.warning("classifier process ended; restarting")
            self.close()
            raise

    def _process(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=exit_with_parent,
            )
        return self._pool

    def close(self) -> None:
        """End the classifier process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


@cache
def classifier_pool() -> ClassifierPool:
    """Return this process's classifier pool."""
    return ClassifierPool()


async def check_custom_model(_service: Service) -> None:
    """Refuse to start a service whose custom model cannot be used.

    Without a custom model nothing is checked here.
    """
    if settings().topics_model is not None:
        await classifier_pool().start()
