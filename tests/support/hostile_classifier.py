"""A classifier that hangs or crashes on certain texts; it imports no more than the real classifier."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from services.appeals.classification.classifier_process import ClassifiedText, ClassifierInput, classify_portion

ENDLESS, DEADLY = "без конца", "убей"


def classify_hostile(items: Sequence[ClassifierInput], topics_model: Path | None) -> list[ClassifiedText]:
    """Return the classification; hang on one certain text, end the process on another."""
    for text, _ in items:
        while text.startswith(ENDLESS):
            pass
        if text.startswith(DEADLY):
            os.kill(os.getpid(), signal.SIGKILL)
    return classify_portion(items, topics_model)
