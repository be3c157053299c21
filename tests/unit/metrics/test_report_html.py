"""The weekly report as one HTML file."""

import itertools
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from services.metrics.rendering import html
from services.metrics.schemas.weekly_report import ReportOut
from shared.text.visible_text import visible
from tests.support.report_numbers import missing_numbers, spaced
from tests.support.sample_report import (
    HOSTILE_TEXTS,
    LONG_NAME,
    empty_report,
    report_of_distinct_numbers,
    report_with_many_topics,
    report_without_measurements,
    sample_report,
)

Attributes = dict[str, str | None]


class Page(HTMLParser):
    """The parsed page: all elements with their attributes, and the text outside the style."""

    def __init__(self, report: ReportOut) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.source = html.render(report).decode()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open[-1:]:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        """Return the text with single spaces."""
        return spaced(" ".join(self.pieces))

    def all(self, *tags: str) -> list[tuple[str, Attributes]]:
        """Return the elements with these tags."""
        return [element for element in self.elements if element[0] in tags]


@pytest.fixture(scope="module")
def sample() -> Page:
    return Page(sample_report())


def test_numbers_of_the_week_are_shown_with_their_changes(sample: Page) -> None:
    for text in ("508 (−50)", "264 (−6)", "201 (+30)", "201 (было 171)", "62 (−8)", "16–22 ноября 2026 г."):
        assert text in sample.text
    assert "Опубликован 23 ноября 2026 г. в 09:05" in sample.text
    assert "94,1 % (+6,6 п. п.)" in sample.text
    assert "После публикации изменились 3 показателя" in sample.text
    assert "Каналы: Всего: обращений 508 509" in sample.text


def test_appeals_closed_without_an_answer_are_attributed_to_moderators(sample: Page) -> None:
    # In the table of each peer group, and in that of deleted questions.
    tables = len(sample_report().report.peer_groups) + 1
    assert sample.text.count("Закрыто модераторами без ответа") == tables
    empty = Page(empty_report()).text
    assert "Организации не удаляли вопросов, модераторы не закрывали обращений без ответа." in empty


def test_lights_of_pages_are_compared_with_last_week_in_total_and_by_peer_group(sample: Page) -> None:
    for text in (
        "Светофор: зелёных 2 387 (+16); жёлтых 811 (−25); красных 314 (+5)",
        "Оценено страниц 3 512 3 516 −4",
        "Мало данных 41 33 +8",
        "Средний балл (от 0 до 100) 71,3 71,7 −0,4",
        "Школы 702 (+2) 188 (−3) 47 (+1) 6 (+1) 76,8 −0,4",
        "Светофор 2026 1 80 50",
    ):
        assert text in sample.text


def test_lights_by_another_formula_are_not_compared_with_this_week() -> None:
    sample = sample_report()
    pages = sample.report.pages
    assert pages is not None
    other = pages.model_copy(update={"light_changes": None, "mean_score_last_week": None, "change": None})
    document = sample.report.model_copy(update={"pages": other})
    text = Page(sample.model_copy(update={"report": document})).text
    assert "Мало данных 41 нет данных нет данных" in text
    assert "Оценено страниц 3 512 нет данных нет данных" in text
    assert "(было 2 371)" not in text


def test_every_number_is_shown() -> None:
    report, numbers = report_of_distinct_numbers()
    assert missing_numbers(Page(report).text, numbers) == []


def test_page_loads_nothing_and_runs_no_script(sample: Page) -> None:
    assert not sample.all("script", "link", "img", "iframe", "object", "form", "base")
    for tag, attributes in sample.elements:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src"):
            assert (attributes.get(name) or "#").startswith("#"), tag
    assert "url(" not in sample.source
    assert "@import" not in sample.source


def test_policy_allows_only_the_style_of_the_file(sample: Page) -> None:
    policy = html.content_security_policy()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    stated = [attributes["content"] for tag, attributes in sample.all("meta") if attributes.get("http-equiv")]
    assert stated == [policy]


def test_report_page_has_an_accessible_structure(sample: Page) -> None:
    assert sample.all("html")[0][1]["lang"] == "ru"
    levels = [int(tag[1]) for tag, _ in sample.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    assert len(sample.all("table")) == len(sample.all("caption")) == len(sample.all("thead")) > 10
    assert all(attributes.get("scope") in {"col", "row"} for _, attributes in sample.all("th"))
    ids = [attributes["id"] for _, attributes in sample.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in sample.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


def test_each_chart_has_a_description_and_a_table(sample: Page) -> None:
    charts = sample.all("svg")
    assert len(charts) == 5
    assert all(attributes["role"] == "img" for _, attributes in charts)
    assert len(sample.all("desc")) == len(charts)
    assert sample.source.count('class="beside charted"') == len(charts)
    assert "Здравоохранение – 201; Дороги – 62" in sample.text


def test_hostile_texts_are_escaped() -> None:
    usual, hostile = Page(sample_report()), Page(sample_report(hostile=True))
    # No text opens or closes an element.
    assert {tag for tag, _ in hostile.elements} == {tag for tag, _ in usual.elements}
    assert len(hostile.all("blockquote", "table", "svg")) == len(usual.all("blockquote", "table", "svg"))
    for text in (*HOSTILE_TEXTS, LONG_NAME):
        assert spaced(visible(text)) in hostile.text
    assert "\u202e" not in hostile.source
    assert "\x00" not in hostile.source


def test_report_without_appeals_says_that_there_were_none() -> None:
    page = Page(empty_report())
    for text in (
        "Обращений за неделю нет",
        "Событий, требующих внимания, за неделю нет",
        "Состояние страниц за эту неделю не оценивалось",
        "Ответы за четыре предыдущие недели не оценивались",
        "Предварительный, данные на 5 января 2026 г. в 00:00",
        "29 декабря 2025 г. – 4 января 2026 г. (1-я неделя 2026 года)",
    ):
        assert text in page.text
    assert not page.all("svg")[1:]


def test_missing_values_are_shown_as_no_data() -> None:
    page = Page(report_without_measurements())
    assert "нет данных" in page.text
    assert "мало данных" in page.text
    assert "None" not in page.text


def test_thirty_topics_are_all_listed() -> None:
    page = Page(report_with_many_topics())
    assert all(f"Тема {number} " in page.text for number in range(2, 31))
    assert LONG_NAME in page.text


def test_same_report_gives_the_same_bytes() -> None:
    assert html.render(sample_report()) == html.render(sample_report())


def test_note_gives_the_moment_at_which_the_week_was_counted() -> None:
    sample = sample_report()
    document = sample.report
    former = [one.model_copy(update={"version": 1}) for one in document.definitions]
    unfinished = document.model_copy(update={"as_of": document.as_of - timedelta(hours=1)})
    for changed, said in (
        (document, "по состоянию на её конец: что было отвечено, закрыто, просрочено и решено"),
        (unfinished, "не закончилась и посчитана по состоянию на время составления"),
        (
            document.model_copy(update={"definitions": former}),
            "закрытые обращения – по состоянию на время составления",
        ),
    ):
        assert said in Page(sample.model_copy(update={"report": changed})).text
