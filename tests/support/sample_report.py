"""Made-up weekly reports: a plausible week, and edge cases."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from typing import Any, TypeVar, get_args
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.metrics.fairness.peer_groups import PeerGroup as PeerGroups
from services.metrics.page_health.page_measures import PAGE_MEASURES
from services.metrics.rendering import russian_format
from services.metrics.schemas.weekly_report import (
    ChannelTotal,
    ComparedCount,
    CoverageRow,
    MunicipalityRow,
    PageFigures,
    PageGroupFigures,
    PageLights,
    PromiseFigures,
    ReportAudience,
    ReportDocument,
    ReportFormula,
    ReportOut,
    ReportOutcomes,
    ReportSilentPage,
)
from tests.support.sample_report_parts import (
    PLACES,
    TOPICS,
    attention,
    axes,
    cells,
    compared,
    corrections,
    definitions,
    grades,
    hard_appeals,
    made_id,
    peer_groups,
    topic,
)

FIRST_DAY = date(2026, 11, 16)
AS_OF = datetime(2026, 11, 22, 16, tzinfo=UTC)
# Texts with which a citizen may try to break a page, a document or a workbook.
HOSTILE_TEXTS = (
    "</blockquote><script>alert(1)</script><img src=x onerror=alert(2)>",
    '{{ 7 * 7 }} {% include "/etc/passwd" %}',
    '#panic("x") $sum_1^2$ ] * _ ` @ref <label> \\ // /* */ #read("/etc/passwd")',
    '=HYPERLINK("http://example.invalid";"Нажмите")\n=1+1;-2+3\t@SUM(A1)',
    "обратный \u202eтекст\u202c, нуль\x00, звонок\x07, суррогат и \ufeffметка",
    "👩‍👩‍👧 семья, 🇷🇺 флаг, тибетское ཨོཾ и монгольское ᠮᠣᠩᠭᠣᠯ",
    "ы" * 400,
)
LONG_NAME = (
    "Муниципальное автономное дошкольное общеобразовательное учреждение «Детский сад комбинированного вида № 143 "
    "«Золотая рыбка» городского округа «город Улан-Удэ» Республики Бурятия (второй корпус)"
)


def sample_report(*, status: str = "published", hostile: bool = False, organisations: int = 60) -> ReportOut:
    """Return the report of a week with 508 appeals, the same at every call.

    `hostile` replaces every free text by one of `HOSTILE_TEXTS`, and the name of one organisation by `LONG_NAME`.
    """
    draw = random.Random(2026)
    groups = peer_groups(draw, organisations)
    topics = [topic(number, spec) for number, spec in enumerate(TOPICS)]
    pages = page_figures()
    document = ReportDocument(
        week="2026-W47",
        first_day=FIRST_DAY,
        last_day=FIRST_DAY + timedelta(days=6),
        time_zone="Asia/Irkutsk",
        as_of=AS_OF,
        totals=[
            ChannelTotal(channel="all", label="Всего", appeals=compared(508, 558, 431)),
            ChannelTotal(channel="pos", label="Госуслуги", appeals=compared(264, 270, 231)),
            ChannelTotal(channel="vk", label="ВКонтакте", appeals=compared(181, 215, 154)),
            ChannelTotal(channel="ok", label="Одноклассники", appeals=compared(63, 73)),
        ],
        outcomes=ReportOutcomes(
            opened=508, answered=470, waiting=25, overdue=12, closed_unanswered=1, final_answered=410, interim=60,
            solved=180, not_required=40, in_triage=3,
        ),
        attention=attention(topics, pages),
        topics=topics,
        municipalities=[
            MunicipalityRow(oktmo=oktmo, name=name, appeals=compared(value, before), overdue=value // 40)
            for oktmo, name, value, before in PLACES
        ],
        cells=cells(draw, groups),
        axes=axes(),
        peer_groups=groups,
        hard_appeals=hard_appeals(),
        promises=PromiseFigures(due=8, kept=5, moved=1, broken=2, open=0),
        coverage=[
            CoverageRow(network="vk", required=1980, exempt=20, covered=1900, live=1500, percent=96.0),
            CoverageRow(network="ok", required=1975, exempt=25, covered=1612, live=1207, percent=81.6),
        ],
        pages=pages,
        grades=grades(),
        definitions=definitions(),
        page_definitions=list(PAGE_MEASURES),
        gaps=["Страницы пяти организаций в Одноклассниках не читались с 18 по 19 ноября: закончился срок ключа."],
    )  # fmt: skip
    if hostile:
        document = _with_hostile_texts(document)
    published = status == "published"
    return ReportOut(
        status="published" if published else "preliminary",
        published_at=datetime(2026, 11, 23, 1, 5, tzinfo=UTC) if published else None,
        digest="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" if published else None,
        corrections=corrections() if published else [],
        corrected_at=datetime(2026, 11, 26, 3, tzinfo=UTC) if published else None,
        report=document,
    )


def empty_report() -> ReportOut:
    """Return the report of a week without appeals and without weeks to compare with."""
    nothing = ComparedCount(
        value=0, last_week=None, change=None, last_year=None, change_to_last_year=None, mean_of_8_weeks=None
    )
    zero = dict.fromkeys(ReportOutcomes.model_fields, 0)
    document = ReportDocument(
        week="2026-W01",
        first_day=date(2025, 12, 29),
        last_day=date(2026, 1, 4),
        time_zone="Asia/Irkutsk",
        as_of=datetime(2026, 1, 4, 16, tzinfo=UTC),
        totals=[ChannelTotal(channel="all", label="Всего", appeals=nothing)],
        outcomes=ReportOutcomes(**zero),
        attention=[],
        topics=[],
        municipalities=[],
        cells=[],
        axes=[],
        peer_groups=[],
        hard_appeals=[],
        promises=PromiseFigures(due=0, kept=0, moved=0, broken=0, open=0),
        coverage=[],
        pages=None,
        grades=[],
        definitions=[],
        gaps=[],
    )
    return ReportOut(
        status="preliminary", published_at=None, digest=None, corrections=[], corrected_at=None, report=document
    )


def report_without_measurements() -> ReportOut:
    """Return the sample with null for every value that may be null, but with the object `pages`."""

    def empty(name: str, field: FieldInfo, value: Leaf) -> Leaf:
        return None if type(None) in get_args(field.annotation) else value

    report = sample_report(status="preliminary", organisations=6)
    return report.model_copy(update={"report": changed_leaves(report.report, empty)})


def report_with_many_topics() -> ReportOut:
    """Return the sample with 30 topics, the first with a very long name."""
    report = sample_report()
    topics = [topic(number, (f"Тема {number + 1}", 60 - number, 50, (), ())) for number in range(30)]
    topics[0] = topics[0].model_copy(update={"label": LONG_NAME})
    return report.model_copy(update={"report": report.report.model_copy(update={"topics": topics})})


def report_of_distinct_numbers(organisations: int = 20) -> tuple[ReportOut, list[int | float]]:
    """Return a sample in which all numbers are distinct, and the list of these numbers.

    The sample has no cells of topics by municipality, because reports show only sums of them; the number of the
    document's format is not in the list.
    """
    numbers: list[int | float] = []

    def distinct(name: str, field: FieldInfo, value: Leaf) -> Leaf:
        if name == "format" or isinstance(value, str) or not isinstance(value, int | float):
            return value
        whole = 1001 + len(numbers)
        number = whole if isinstance(value, int) else round(whole + 0.1 + whole % 9 / 10, 1)
        numbers.append(number)
        return number

    report = sample_report(organisations=organisations)
    without_cells = report.report.model_copy(update={"cells": []})
    document = changed_leaves(without_cells, distinct)
    # In the real report, the text contains the count.
    attention = [
        item.model_copy(update={"text": f"Количество: {russian_format.count(item.count)}"})
        for item in document.attention
    ]
    document = document.model_copy(update={"attention": attention})
    return report.model_copy(update={"report": document}), numbers


def report_with_text(text: str) -> ReportOut:
    """Return the sample with one hard appeal, which has this text."""
    report = sample_report(organisations=4)
    appeal = report.report.hard_appeals[0].model_copy(update={"text": text})
    return report.model_copy(update={"report": report.report.model_copy(update={"hard_appeals": [appeal]})})


Leaf = str | int | float | bool | date | datetime | UUID | None
Model = TypeVar("Model", bound=BaseModel)


def changed_leaves(part: Model, change: Callable[[str, FieldInfo, Leaf], Leaf]) -> Model:
    """Return a copy with every leaf, at any depth in models and lists, replaced by the result of `change`."""

    def changed(name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return changed_leaves(value, change)
        if isinstance(value, list):
            return [changed(name, field, item) for item in value]
        return change(name, field, value)

    fields = type(part).model_fields
    return part.model_copy(
        update={name: changed(name, field, getattr(part, name)) for name, field in fields.items()}
    )


_FREE_TEXTS = frozenset(
    {"label", "name", "title", "text", "reason", "channel", "topic", "municipality", "organisation", "formula"}
) | {"clock", "exclusions", "gaps"}


def report_with_texts(change: Callable[[str], str]) -> ReportOut:
    """Return a small sample with every free text replaced by the result of `change`."""
    report = sample_report(organisations=8)
    return report.model_copy(update={"report": _with_texts(report.report, change)})


def _with_texts(document: ReportDocument, change: Callable[[str], str]) -> ReportDocument:
    def changed(name: str, field: FieldInfo, value: Leaf) -> Leaf:
        return change(value) if name in _FREE_TEXTS and isinstance(value, str) else value

    return changed_leaves(document, changed)


def _with_hostile_texts(document: ReportDocument) -> ReportDocument:
    """Return the document with each free text replaced by the next of `HOSTILE_TEXTS`, one name by `LONG_NAME`."""
    turns = cycle(HOSTILE_TEXTS)
    changed = _with_texts(document, lambda _text: next(turns))
    group = changed.peer_groups[0]
    rows = [group.organisations[0].model_copy(update={"name": LONG_NAME}), *group.organisations[1:]]
    groups = [group.model_copy(update={"organisations": rows}), *changed.peer_groups[1:]]
    return changed.model_copy(update={"peer_groups": groups})


def page_figures() -> PageFigures:
    """Return the health of 3,512 pages with a score, 41 without, and two pages that have stopped publishing."""
    return PageFigures(
        scored=3512, green=2387, yellow=811, red=314, unknown=41,
        lights_last_week=PageLights(green=2371, yellow=836, red=309, unknown=33),
        light_changes=PageLights(green=16, yellow=-25, red=5, unknown=8), mean_score=71.3,
        mean_score_last_week=71.7, change=-0.4,
        formulas=[ReportFormula(number=1, name="Светофор 2026", green_from=80, yellow_from=50)],
        groups=[
            PageGroupFigures(
                code=group.value, title=group.label, green=green, yellow=yellow, red=red, unknown=unknown,
                light_changes=PageLights(
                    green=2 if place else 0, yellow=-3 if place else -1, red=int(1 <= place <= 5),
                    unknown=int(place > 0),
                ), mean_score=score, change=-0.4,
            )
            for place, (group, green, yellow, red, unknown, score) in enumerate((
                (PeerGroups.REGIONAL_BODIES, 61, 4, 0, 0, 91.4),
                (PeerGroups.DISTRICTS, 38, 6, 1, 0, 88.2),
                (PeerGroups.SETTLEMENTS, 402, 178, 96, 12, 61.7),
                (PeerGroups.KINDERGARTENS, 611, 214, 83, 11, 66.9),
                (PeerGroups.EXTRA_EDUCATION, 118, 41, 12, 1, 70.3),
                (PeerGroups.SCHOOLS, 702, 188, 47, 6, 76.8),
                (PeerGroups.HEALTH, 141, 39, 11, 0, 74.0),
                (PeerGroups.CULTURE, 248, 109, 49, 8, 68.8),
                (PeerGroups.OTHER_INSTITUTIONS, 66, 32, 15, 3, 64.1),
            ))
        ],
        silent=[
            ReportSilentPage(
                page_id=made_id(7000), name="Дом культуры села Верхний Жирим", network="vk",
                last_post_on=date(2026, 9, 3),
            ),
            ReportSilentPage(
                page_id=made_id(7001), name="Детский сад «Солнышко»", network="ok", last_post_on=None
            ),
        ],
        audience=[
            ReportAudience(
                network="vk", pages=1704, posts=6812, views=912_430, interactions=27_316, engagement=2.99,
                engagement_of="views", engagement_last_week=2.84, reach_pages=423, reach=351_208, reach_share=66.4,
                reach_share_last_week=61.2, mean_post_reach=312,
            ),
            ReportAudience(
                network="ok", pages=1588, posts=5903, views=None, interactions=9_207, engagement=1.27,
                engagement_of="members", engagement_last_week=None, reach_pages=0, reach=None, reach_share=None,
                reach_share_last_week=None, mean_post_reach=None,
            ),
        ],
    )  # fmt: skip
