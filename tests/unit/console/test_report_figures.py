"""Figures of report pages: charts, the map, texts of measures, names of corrections."""

import pytest

from services.console.pages.analytics.appeal_tables import TableView
from services.console.pages.analytics.map_drawing import draw
from services.console.pages.analytics.selection import Selection
from services.console.pages.weekly_report.correction_names import correction_rows
from services.console.pages.weekly_report.measure_texts import changed, measured
from services.console.pages.weekly_report.report_charts import report_charts
from services.console.site.charts import WIDTH, Bar, bar_chart, line_chart, part_of, sparkline
from services.console.words.formats import days_of_week, signed
from tests.support.sample_report import sample_report


def test_longest_bar_fills_the_chart_and_the_others_are_in_proportion() -> None:
    chart = bar_chart("Темы", [Bar("ЖКХ", 50, "50"), Bar("Дороги", 25, "25", before=100)])
    assert [bar.length for bar in chart.bars] == [
        pytest.approx((WIDTH - 1) / 2),
        pytest.approx((WIDTH - 1) / 4, 0.01),
    ]
    assert chart.bars[1].before_length == WIDTH - 1
    assert chart.description == "ЖКХ: 50; Дороги: 25"


def test_small_number_is_visible_and_zero_is_not_drawn() -> None:
    chart = bar_chart("Темы", [Bar("а", 1, "1"), Bar("б", 0, "0"), Bar("в", 100_000, "100 000")])
    assert chart.bars[0].length == 1.5
    assert chart.bars[1].length == 0
    assert part_of(3, 0) == 0


def test_long_label_is_wrapped_above_its_bar() -> None:
    (bar,) = bar_chart("Темы", [Bar("Очень длинное название темы " * 5, 1, "1")]).bars
    assert len(bar.lines) == 2
    assert bar.lines[-1][1].endswith("…")
    assert bar.y > bar.lines[-1][0]


def _table(dimension: str) -> TableView:
    """Return a table with twenty columns, the first of which has the largest figure."""
    columns = [{"key": f"2026-03-{day:02}", "name": None, "opened": 100 - day} for day in range(1, 21)]
    table = {
        "row_dimension": "topic", "column_dimension": dimension, "from": "2026-03-01", "to": "2026-03-20",
        "total": {"opened": 1}, "columns": columns, "rows": [], "cells": [],
    }  # fmt: skip
    return TableView(table, Selection("/analytics", {"figure": "opened"}))


@pytest.mark.parametrize(("dimension", "first", "last"), [("day", 6, 20), ("network", 1, 15)])
def test_columns_left_out_are_the_earliest_times_or_the_smallest_figures(
    dimension: str, first: int, last: int
) -> None:
    table = _table(dimension)
    assert [column["key"] for column in table.columns] == [f"2026-03-{day:02}" for day in range(first, last + 1)]
    assert table.left_out == 5


def _municipality(kind: str, coordinates: object, opened: int) -> dict[str, object]:
    return {"geometry": {"type": kind, "coordinates": coordinates}, "properties": {"opened": opened}}


def test_municipality_in_several_parts_is_drawn_as_a_whole() -> None:
    part = [[[107.0, 51.0], [108.0, 51.0], [108.0, 52.0], [107.0, 51.0]]]
    island = [[[109.0, 53.0], [110.0, 53.0], [110.0, 54.0], [109.0, 53.0]]]
    drawing = draw([_municipality("MultiPolygon", [part, island], 8), _municipality("Polygon", part, 4)], "opened")
    assert drawing is not None
    whole, single = drawing.shapes
    assert whole.path.count("M") == 2
    assert whole.path.startswith(single.path)
    assert (whole.shade, single.shade) == (4, 2)


def test_municipality_without_a_border_is_left_off_the_map() -> None:
    assert draw([_municipality("LineString", [[107.0, 51.0], [108.0, 51.0]], 8)], "opened") is None


def test_line_chart_is_broken_at_unknown_values() -> None:
    chart = line_chart(
        "Балл", [("1", 10, "10"), ("2", None, "мало данных"), ("3", 30, "30"), ("4", 0, "0")], most=100
    )
    assert len(chart.points) == 3
    assert [len(segment.split()) for segment in chart.segments] == [1, 2]
    assert "2: мало данных" in chart.description


def test_line_chart_without_values_is_empty() -> None:
    chart = line_chart("Балл", [])
    assert (chart.points, chart.segments, chart.first) == ([], [], "")


def test_scale_ends_at_a_round_number() -> None:
    assert line_chart("Обращения", [("1", 57, "57")]).ticks[-1][1] == "60"
    assert line_chart("Обращения", [("1", 101, "101")]).ticks[-1][1] == "200"


def test_sparkline_stays_within_its_bounds() -> None:
    points = [tuple(map(float, point.split(","))) for point in sparkline([0, 5, 10]).split()]
    assert points == [(1, 19), (50, 10), (99, 1)]


def test_map_without_borders_is_not_drawn() -> None:
    assert draw([{"geometry": None, "properties": {"opened": 3}}], "opened") is None


def test_map_is_drawn_with_north_at_the_top_and_shaded_by_the_figure() -> None:
    square = [[[100.0, 50.0], [101.0, 50.0], [101.0, 51.0], [100.0, 50.0]]]
    drawing = draw(
        [
            {"geometry": {"type": "Polygon", "coordinates": square}, "properties": {"opened": 10}},
            {"geometry": {"type": "Point", "coordinates": [100.5, 52.0]}, "properties": {"opened": 0}},
            {"geometry": None, "properties": {"opened": 99}},
        ],
        "opened",
    )
    assert drawing is not None
    polygon, point = drawing.shapes
    assert (polygon.path[0], polygon.path[-1]) == ("M", "Z")
    assert (polygon.shade, point.shade) == (4, 0)
    assert point.dot is not None
    assert 0 < point.dot[1] < drawing.height / 2


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(94.1, "percent", "94,1 %"), (12.0, "count", "12"), (3.4, "hours", "3,4 ч"), (4.625, "mark", "4,62"),
     (None, "percent", "нет данных")],
)  # fmt: skip
def test_measure_is_shown_with_its_unit(value: float | None, unit: str, text: str) -> None:
    assert measured(value, unit).replace("\N{NO-BREAK SPACE}", " ") == text


def test_change_of_a_percentage_is_in_points() -> None:
    assert changed(-10.3, "percent").replace("\N{NO-BREAK SPACE}", " ") == "−10,3 п. п."
    assert changed(3.0, "count") == "+3"
    assert (signed(0), signed(None)) == ("0", "—")


def test_days_of_a_week_include_the_year_if_it_is_not_the_current_one() -> None:
    assert days_of_week("2020-W53").replace("\N{NO-BREAK SPACE}", " ") == "28 декабря 2020 г. – 3 января 2021 г."


def test_corrected_figure_is_named_in_russian() -> None:
    topic = {"topic_group_id": "a/b", "label": "Здравоохранение", "appeals": {"value": 3, "last_week": 5}}
    report = {
        "definitions": [{"code": "answered", "name": "Доля вопросов с ответом"}],
        "topics": [topic],
        "axes": [
            {"axis": "objectivity", "title": "Объективность", "measures": [{"code": "answered", "value": 80.0}]}
        ],
    }
    pointers = [
        "/topics/a~1b/appeals/last_week",
        "/axes/objectivity/measures/answered/value",
        "/topics/gone/appeals/value",
    ]
    corrections = [{"pointer": pointer, "published": 5, "now": None} for pointer in pointers]
    rows = correction_rows({"report": report, "corrections": corrections})
    assert [row["name"] for row in rows] == [
        "Темы: Здравоохранение: обращений: прошлая неделя",
        "Показатели: Объективность: Доля вопросов с ответом",
        "Темы: запись, которой больше нет: обращений",
    ]
    assert (rows[0]["published"], rows[0]["now"]) == ("5", "нет данных")


def test_report_without_due_promises_has_no_chart_of_them() -> None:
    report = sample_report().report.model_dump(mode="json")
    assert "promises" in report_charts(report)
    report["promises"]["due"] = 0
    assert "promises" not in report_charts(report)
