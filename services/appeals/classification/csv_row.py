"""A classified message as one row of a CSV file: names instead of codes, and a definite yes or no."""

from services.appeals.classification.model.message_classifier import MessageClassifier, Prediction
from services.appeals.classification.rules.keyword_classifier import classify_without_words
from services.appeals.classification.types import MessageContext
from shared.topic_taxonomy import entries

CLASSIFICATION_COLUMNS = (
    "needs_answer", "type", "group", "topic", "top3", "confidence", "urgency", "municipality", "settlement",
    "street", "house", "language", "why",
)  # fmt: skip

_NAMES = {item.code: item.name for item in entries()}
_EMPTY = dict.fromkeys(CLASSIFICATION_COLUMNS, "")


def csv_rows(model: MessageClassifier, items: list[tuple[str, MessageContext]]) -> list[dict[str, str]]:
    """Return one row per message, in their order, with the columns `CLASSIFICATION_COLUMNS`.

    Where the service would leave the decision to a moderator, the row has the more likely value: a Buryat text
    that is not clearly thanks needs an answer, a problem in another region does not. The group of a Buryat text is
    left empty; its candidates are in `top3`.
    """
    predictions = model.predict(items)
    return [_row(model, text, context, found) for (text, context), found in zip(items, predictions, strict=True)]


def _row(model: MessageClassifier, text: str, context: MessageContext, found: Prediction) -> dict[str, str]:
    if not found.keywords.words:
        nothing = classify_without_words(text, found.keywords, context)
        return _EMPTY | {
            "needs_answer": "no", "type": "chatter", "confidence": str(nothing.needs_answer_confidence),
            "urgency": "normal", "language": "ru", "why": nothing.why,
        }  # fmt: skip
    if not model.wants_answer(found):
        return _EMPTY | {
            "needs_answer": "no", "type": model.message_type(found, yes=False),
            "confidence": f"{1 - found.needs_answer:.4f}", "urgency": "normal", "language": found.language,
            "why": found.why,
        }  # fmt: skip
    group, probability = found.groups[0]
    readable = found.language != "bxr"
    location = found.location
    return {
        "needs_answer": "yes",
        "type": model.message_type(found, yes=True),
        "group": _NAMES[group] if readable else "",
        "topic": _NAMES[found.topics[0][0]] if readable and found.topics else "",
        "top3": "|".join(_NAMES[code] for code, _ in found.groups),
        "confidence": f"{probability:.4f}",
        "urgency": "high" if model.is_urgent(found) else "normal",
        "municipality": location.municipality or "",
        "settlement": location.settlement or "",
        "street": location.street or "",
        "house": location.house or "",
        "language": found.language,
        "why": found.why,
    }
