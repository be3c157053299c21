"""What the classifier process runs: it loads the model and classifies texts in portions.

Besides the classifier's own modules, the process imports only this module of the service: neither the database nor
the web framework, which would take as much memory as the model.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.appeals.classification.types import ClassificationResult, MessageContext
from shared import gc_tuning

if TYPE_CHECKING:
    from services.appeals.classification.model.message_classifier import MessageClassifier

ClassifierInput = tuple[str, MessageContext]
ClassifyPortion = Callable[[Sequence[ClassifierInput], "Path | None"], "list[ClassifiedText]"]
# A harmless text: if the process crashes on it too, the citizen's text is not the cause.
_SAMPLE = ("Здравствуйте! Когда починят дорогу в Кабанске?", MessageContext())


@dataclass(frozen=True)
class ClassifiedText:
    """A classification result and its origin: `rule:…` or `model:…`."""

    result: ClassificationResult
    classified_by: str


@dataclass(frozen=True)
class ClassifierInfo:
    """The loaded classifier: the name stored with its results, and the model cards of its parts. Keyword rules
    have no model card. `custom_card` is the card of the custom model; `unmapped_labels` describes its labels that
    name no topic.
    """

    name: str
    builtin_card: Mapping[str, Any] | None = None
    custom_card: Mapping[str, Any] | None = None
    unmapped_labels: str = ""


class ModelLoadError(Exception):
    """The model cannot be loaded; the message says why."""


def exit_with_parent() -> None:
    """Exit the classifier process when the service process has ended for any reason."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


@cache
def _load_model(topics_model: Path | None) -> "MessageClassifier":
    # Not in the initializer: an error there would end the process without reaching the service. Imported here,
    # because the service imports this module too, and never loads the model.
    from services.appeals.classification.model.message_classifier import MessageClassifier  # noqa: PLC0415

    try:
        model = MessageClassifier.load(topics_model)
    except (ValueError, OSError) as error:
        raise ModelLoadError(f"GOSPABLIK_TOPICS_MODEL: {error}" if topics_model else str(error)) from error
    gc_tuning.freeze_startup_objects()
    return model


def classify_portion(items: Sequence[ClassifierInput], topics_model: Path | None) -> list[ClassifiedText]:
    """Return the results of a portion, in its order."""
    model = _load_model(topics_model)
    return [ClassifiedText(found, model.name) for found in model.classify(items)]


@cache
def load_info(topics_model: Path | None) -> ClassifierInfo:
    """Load the model and all its data, and return the model's description."""
    model = _load_model(topics_model)
    model.classify([_SAMPLE])
    return ClassifierInfo(model.name, model.card, model.custom_card, model.unmapped_labels)


def with_cpu_limit(
    deadline: float, classify: ClassifyPortion, items: Sequence[ClassifierInput], topics_model: Path | None
) -> list[ClassifiedText]:
    """Run `classify` in the classifier process, which the operating system kills after `deadline` seconds of CPU
    time.

    The limit is CPU time, so that no text stays unclassified because the machine is busy. The whole process is
    killed, because nothing else reliably stops a regular expression or a loop.
    """
    load_info(topics_model)
    signal.setitimer(signal.ITIMER_PROF, deadline)
    try:
        return classify(items, topics_model)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
