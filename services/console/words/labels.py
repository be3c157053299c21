"""Russian words for closed lists of values of the API: one dict for each list. The glossary has the terms."""

from collections.abc import Mapping

from services.console.words.appeal_labels import APPEAL_LABELS
from services.console.words.moderation_labels import MODERATION_LABELS
from services.console.words.registry_labels import REGISTRY_LABELS
from services.console.words.system_labels import SYSTEM_LABELS

Labels = Mapping[str, dict[str, str]]


def joined(*parts: Labels) -> dict[str, dict[str, str]]:
    """Return the dicts of all parts by their kind; a kind that two have is an error."""
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        if repeated := found.keys() & part.keys():
            raise ValueError(f"labels are defined twice: {', '.join(sorted(repeated))}")
        found.update(part)
    return found


LABELS = joined(APPEAL_LABELS, MODERATION_LABELS, REGISTRY_LABELS, SYSTEM_LABELS)


def label(value: str | None, kind: str) -> str:
    """Return the Russian word of a value, or the value itself where no word is known yet; a dash for None."""
    return "—" if value is None else LABELS[kind].get(value, value)


def options(kind: str) -> list[tuple[str, str]]:
    """Return the values of a list with their words, as options of a form."""
    return list(LABELS[kind].items())
