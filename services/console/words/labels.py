"""Russian labels for enumerated values of the API: one dict for each list of values. The terms are in the
glossary.
"""

from collections.abc import Mapping

from services.console.words.appeal_labels import APPEAL_LABELS
from services.console.words.moderation_labels import MODERATION_LABELS
from services.console.words.registry_labels import REGISTRY_LABELS
from services.console.words.system_labels import SYSTEM_LABELS

Labels = Mapping[str, dict[str, str]]


def joined(*parts: Labels) -> dict[str, dict[str, str]]:
    """Return the dicts of all parts by their kind. Raises ValueError if two parts define the same kind."""
    found: dict[str, dict[str, str]] = {}
    for part in parts:
        if repeated := found.keys() & part.keys():
            raise ValueError(f"labels are defined twice: {', '.join(sorted(repeated))}")
        found.update(part)
    return found


LABELS = joined(APPEAL_LABELS, MODERATION_LABELS, REGISTRY_LABELS, SYSTEM_LABELS)


def label(value: str | None, kind: str) -> str:
    """Return the Russian label of a value; the value itself if it has no label; a dash for None."""
    return "—" if value is None else LABELS[kind].get(value, value)


def options(kind: str) -> list[tuple[str, str]]:
    """Return the values of a list with their labels, as options of a form."""
    return list(LABELS[kind].items())
