"""The stored explanation of an ended clock loses what people wrote as reasons of pauses, and nothing else."""

from services.appeals.sla.explanation import without_pause_reasons

TEXT = "9 рабочих часов со среды 04.03 10:00: 04.03 — 1 ч (Сагаалган); {} → среда 04.03 19:00"
PAUSES = "с 04.03 11:00 по 04.03 12:00 — пауза{}; с 04.03 13:00 по 04.03 14:00 — пауза{}"


def test_reasons_of_pauses_are_removed_from_text_and_segments() -> None:
    segments: list[dict[str, str | None]] = [
        {"why_not": None, "note": "Сагаалган"},
        {"why_not": "paused", "note": "Ждём"},
        {"why_not": "paused", "note": "Ждём) — пауза (Марию"},
    ]
    stored = {
        "policy": "9 часов",
        "text": TEXT.format(PAUSES.format(" (Ждём)", " (Ждём) — пауза (Марию)")),
        "segments": segments,
    }
    assert without_pause_reasons(stored) == {
        "policy": "9 часов",
        "text": TEXT.format(PAUSES.format("", "")),
        "segments": [segments[0], *[{"why_not": "paused", "note": None}] * 2],
    }
    assert segments[1]["note"] == "Ждём"


def test_explanation_without_segments_loses_the_given_reasons() -> None:
    stored = {"text": TEXT.format(PAUSES.format(" (Ждём)", ""))}
    assert without_pause_reasons(stored, ["Ждём", None]) == {"text": TEXT.format(PAUSES.format("", ""))}
    assert without_pause_reasons(stored) == stored
