"""A message understood, as one row of a file: yes or no, names instead of codes, nothing left to a person."""

from services.appeals.classification.model.message_classifier import Understanding, Understood
from services.appeals.classification.rules.keyword_classifier import wordless
from services.appeals.classification.types import Context
from shared.topic_taxonomy import classes

COLUMNS = (
    "needs_answer", "type", "group", "topic", "top3", "confidence", "urgency", "municipality", "settlement",
    "street", "house", "language", "why",
)  # fmt: skip

_NAMES = {item.code: item.name for item in classes()}
_EMPTY = dict.fromkeys(COLUMNS, "")


def flat_rows(model: Understanding, items: list[tuple[str, Context]]) -> list[dict[str, str]]:
    """One row per message, in their order, with the columns `COLUMNS`.

    Where the service would ask a person, the likelier answer stands: Buryat that is not plainly thanks needs one,
    trouble of another region does not. The group of a Buryat text is left empty, its guesses stand in `top3`.
    """
    understood = model.understand(items)
    return [_row(model, text, context, found) for (text, context), found in zip(items, understood, strict=True)]


def _row(model: Understanding, text: str, context: Context, found: Understood) -> dict[str, str]:
    if not found.reading.words:
        nothing = wordless(text, found.reading, context)
        return _EMPTY | {
            "needs_answer": "no", "type": "chatter", "confidence": str(nothing.confidence), "urgency": "normal",
            "language": "ru", "why": nothing.why,
        }  # fmt: skip
    if not model.wants_answer(found):
        return _EMPTY | {
            "needs_answer": "no", "type": model.kind(found, yes=False), "confidence": f"{1 - found.need:.4f}",
            "urgency": "normal", "language": found.language, "why": found.why,
        }  # fmt: skip
    group, chance = found.groups[0]
    readable = found.language != "bxr"
    place = found.place
    return {
        "needs_answer": "yes",
        "type": model.kind(found, yes=True),
        "group": _NAMES[group] if readable else "",
        "topic": _NAMES[found.topics[0][0]] if readable and found.topics else "",
        "top3": "|".join(_NAMES[code] for code, _ in found.groups),
        "confidence": f"{chance:.4f}",
        "urgency": "high" if model.is_urgent(found) else "normal",
        "municipality": place.municipality or "",
        "settlement": place.settlement or "",
        "street": place.street or "",
        "house": place.house or "",
        "language": found.language,
        "why": found.why,
    }
