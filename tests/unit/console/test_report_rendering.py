"""Rendering of whole reports: with corrections, with hostile texts, empty, without measurements."""

import html
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.responses import HTMLResponse

from services.console.pages.pulse.view import show_pulse
from services.console.pages.weekly_report.view import show_report
from services.console.site.rendering import render
from services.console.site.visit import Visit
from services.metrics.schemas.weekly_report import ReportOut
from tests.support.sample_report import (
    empty_report,
    report_with_many_topics,
    report_without_measurements,
    sample_report,
)


class _PageVisit:
    """A visit whose API calls return the given values and which renders a page without its frame."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.api = self
        self.request = SimpleNamespace(url=SimpleNamespace(path="/", query=""), query_params={})

    async def get(self, path: str, parameters: object = None) -> Any:
        return self._answers[path]

    def may(self, right: str) -> bool:
        return True

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        page = render(template, layout="bare_swap.html", visit=self, new_key=lambda: "key", **values)
        return HTMLResponse(page, status_code=status)


async def _report(report: ReportOut) -> str:
    week = report.report.week
    visit = _PageVisit({f"/reports/weekly/{week}": report.model_dump(mode="json")})
    return bytes((await show_report(cast(Visit, visit), week)).body).decode()


def _words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_report_page_shows_totals_attention_and_peer_groups() -> None:
    report = sample_report()
    words = _words(await _report(report))
    assert "Обращений 508 (−50) неделей раньше 558" in words
    assert "Данные неполны: Страницы пяти организаций" in words
    for item in report.report.attention:
        assert item.text in words
    assert "2,99 % от просмотров (2,84)" in words
    assert "1,27 % от подписчиков (—)" in words
    assert "66,4 % (61,2) 312" in words
    for page in report.report.pages.silent if report.report.pages else []:
        assert page.name in words
    for group in report.report.peer_groups:
        assert all(one.reason in words for one in [*group.best, *group.worst])


async def test_appeals_closed_without_an_answer_are_attributed_to_moderators() -> None:
    assert "Закрыто модераторами без ответа" in _words(await _report(sample_report()))
    empty = _words(await _report(empty_report()))
    assert "Организации не удаляли вопросов, модераторы не закрывали обращений без ответа." in empty


async def test_lights_of_pages_link_to_their_rows_by_peer_group() -> None:
    page = await _report(sample_report())
    words = _words(page)
    assert "Все страницы 2 387 (+16) 811 (−25) 314 (+5) 41 (+8) 71,3 (−0,4)" in words
    assert "Школы 702 (+2) 188 (−3) 47 (+1) 6 (+1) 76,8 (−0,4)" in words
    assert 'href="/reports/2026-W47/rows/pages?light=red"' in page
    assert 'href="/reports/2026-W47/rows/pages?light=red&amp;peer_group=schools"' in page
    assert "зелёная страница — от 80 баллов, жёлтая — от 50" in words


async def test_report_of_an_older_version_shows_lights_without_groups() -> None:
    report = sample_report()
    assert report.report.pages is not None
    later: dict[str, Any] = {
        "unknown": None,
        "lights_last_week": None,
        "light_changes": None,
        "formulas": [],
        "groups": [],
    }
    pages = report.report.pages.model_copy(update=later)
    former = report.model_copy(update={"report": report.report.model_copy(update={"pages": pages})})
    assert "Все страницы 2 387 811 314 нет данных 71,3 (−0,4)" in _words(await _report(former))


async def test_every_correction_has_a_row_without_a_pointer() -> None:
    report = sample_report()
    page = await _report(report)
    table = page.partition('id="corrections"')[2].partition("</table>")[0]
    assert table.count("<tr>") == len(report.corrections) + 1
    assert "/" not in _words(table.partition("<tbody>")[2])


@pytest.mark.parametrize("report", [empty_report(), report_without_measurements(), report_with_many_topics()])
async def test_report_with_missing_values_is_rendered_completely(report: ReportOut) -> None:
    page = await _report(report)
    assert "None" not in _words(page)
    assert page.rstrip().endswith("</main>")


async def test_hostile_texts_are_escaped() -> None:
    page = await _report(sample_report(hostile=True))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert "{{ 7 * 7 }}" in html.unescape(page)


async def test_charts_have_titles_descriptions_and_unique_ids() -> None:
    page = await _report(sample_report())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    charts = re.findall(r'<svg [^>]*role="img" aria-labelledby="([^"]+)"', page)
    assert len(charts) == 5
    assert {name for labels in charts for name in labels.split()} <= set(ids)
    assert "style=" not in page


async def test_pulse_of_the_first_day_shows_no_comparison() -> None:
    figure = {"value": 24, "previous": None, "change": None, "mean": None}
    figures = dict.fromkeys(("opened", "answered", "overdue"), figure)
    pulse = {
        "total": figures, "in_triage": 2, "channels": [{**figures, "channel": "vk", "name": "ВКонтакте"}],
        "verdict": {"level": "unknown", "text": "мало данных для сравнения: поступило 24", "expected": None},
        "unusual_topics": [], "pairs_tested": 0, "history_days": 0,
    }  # fmt: skip
    visit = _PageVisit({"/metrics/pulse": pulse})
    page = _words(bytes((await show_pulse(cast(Visit, visit), "2020-03-03")).body).decode())
    assert page.count("сравнить пока не с чем") == 3
    assert "днём раньше" not in page
    assert "24 (" not in page.split("По каналам")[0]


def _figure(value: int) -> dict[str, Any]:
    return {"value": value, "previous": 1, "change": value - 1, "mean": 1.5}


async def test_pulse_names_the_unusual_topic_and_links_to_its_appeals() -> None:
    figures = {name: _figure(24) for name in ("opened", "answered", "overdue")}
    topic = {
        "topic_group_id": "019a", "topic_group": "ЖКХ", "municipality": "81624000", "people": 24, "appeals": 26,
        "municipality_name": "Кабанский <b>район</b>", "topics": ["Отсутствие отопления"], "expected": 6.2,
        "reason": "написали 24 человека, во вторник обычно около 6,2", "appeal_ids": ["1", "2"],
    }  # fmt: skip
    pulse = {
        "total": figures, "in_triage": 2, "channels": [{**figures, "channel": "vk", "name": "ВКонтакте"}],
        "verdict": {"level": "tenser", "text": "напряжённее обычного: поступило 24", "expected": 9.0},
        "unusual_topics": [topic], "pairs_tested": 300, "history_days": 84,
    }  # fmt: skip
    visit = _PageVisit({"/metrics/pulse": pulse})
    page = bytes((await show_pulse(cast(Visit, visit), "2020-03-03")).body).decode()
    assert "Напряжённее обычного: поступило 24." in _words(page)
    assert "ЖКХ: Кабанский &lt;b&gt;район&lt;/b&gt;" in page
    opened = "/analytics/appeals?from=2020-03-03&amp;to=2020-03-03&amp;topic_group=019a&amp;location=81624000"
    assert f'href="{opened}"' in page
    assert 'href="/appeals/2"' in page
