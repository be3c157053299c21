"""The values of a row of the weekly report in words: what a reader learns about one appeal or page."""

from typing import Any

import pytest

from services.console.pages.weekly_report.correction_names import correction_rows
from services.console.pages.weekly_report.row_lists import described
from services.console.words.formats import moment

FLAGS = dict.fromkeys(("canned", "without_substance", "without_contact", "beside_the_point", "with_proof"), False)
NOT_GIVEN = {"kind": "first_response", "on_time": False, "closed_before_due": False, "stopped_at": None}
STOPPED = "2026-03-05T02:00:00Z"


@pytest.mark.parametrize(
    ("population", "values", "words"),
    [
        (
            "opened",
            {"state": "answered", "final_answered": True, "solved": True},
            "отвечено, итоговый ответ, решено",
        ),
        ("opened", {"state": "overdue", "final_answered": False, "solved": False}, "просрочено"),
        ("responses", NOT_GIVEN | {"on_time": True}, "первый ответ, в срок"),
        ("responses", NOT_GIVEN, "первый ответ, не дан в срок"),
        (
            "responses",
            NOT_GIVEN | {"closed_before_due": True},
            "первый ответ, обращение закрыто без ответа до срока",
        ),
        (
            "responses",
            NOT_GIVEN | {"stopped_at": STOPPED, "decided": True},
            f"первый ответ, дан {moment(STOPPED)}, позже срока",
        ),
        (
            "responses",
            NOT_GIVEN | {"stopped_at": STOPPED, "decided": False},
            f"первый ответ, дан {moment(STOPPED)}, срок истёк до этой недели",
        ),
        ("overdue", {"kind": "final_answer"}, "итоговый ответ"),
        (
            "answers",
            FLAGS | {"kind": "final", "outcome": "solved", "canned": True, "with_proof": True},
            "итоговый ответ, решено, повтор текста, с фотографией",
        ),
        ("answers", FLAGS | {"kind": "interim", "outcome": None}, "промежуточный ответ"),
        ("promises", {"status": "broken"}, "не выполнено"),
        ("deleted", {"page": "Школа № 5"}, "Школа № 5"),
        ("deleted", {"page": None}, ""),
        ("feedback", {"kind": "mark", "mark": 4}, "поставил оценку, оценка 4"),
        ("feedback", {"kind": "thanks", "mark": None}, "благодарит"),
        (
            "pages",
            {"light": "red", "score": 12.5, "light_last_week": "unknown", "score_last_week": None},
            "красный, 12,5, неделей раньше мало данных",
        ),
        ("pages", {"light": "green", "score": 90.0, "light_last_week": None}, "зелёный, 90,0"),
        ("closed_unanswered", {}, ""),
    ],
)
def test_row_names_what_its_figure_counts(population: str, values: dict[str, Any], words: str) -> None:
    assert described(population, values) == words


def test_corrected_element_without_a_key_is_found_by_its_place_in_the_list() -> None:
    report = {
        "definitions": [],
        "attention": [{"text": "Прорыв трубы"}, "Гололёд"],
        "topics": [{"topic_group_id": None, "label": "Без темы", "opened": 3}],
    }
    corrections = [
        {"pointer": "/attention/0", "published": "Прорыв", "now": None},
        {"pointer": "/attention/1", "published": None, "now": 2.5},
        {"pointer": "/topics/none/opened", "published": 1234, "now": 3},
    ]
    rows = correction_rows({"report": report, "corrections": corrections})
    assert [row["name"] for row in rows] == [
        "Требует внимания: Прорыв трубы",
        "Требует внимания: запись, которой больше нет",
        "Темы: Без темы: открыто",
    ]
    assert [row["published"] for row in rows] == ["Прорыв", "нет данных", "1\N{NO-BREAK SPACE}234"]
    assert [row["now"] for row in rows] == ["нет данных", "2,5", "3"]
