"""Page scores equal the points added up by hand."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest

from services.metrics.page_health.engagement import page_engagement, reach_share
from services.metrics.page_health.formula_checks import formula_errors
from services.metrics.page_health.score_wording import criterion_evidence, page_advice
from services.metrics.page_health.scoring import score_page
from services.metrics.schemas.page_formulas import PageCriterion, PageFormula
from services.metrics.schemas.page_health import PageInputs

WEEK_END = datetime(2026, 11, 29, 16, tzinfo=UTC)
DAY = date(2026, 11, 2)
AMUR = PageFormula.model_validate({"criteria": import_module("migrations.versions.0050_page_scores")._CRITERIA})
MEMBERS = 1000


@dataclass(frozen=True)
class MadeUpPage:
    """A page with the points that a person computed for it by the table of the Amur region."""

    name: str
    # connected to Госпаблики, official badge; avatar, description, cover; widgets; posts in 7 days; reach
    # (the page has 1,000 members)
    known: tuple[bool, bool, bool | None, bool | None, bool | None, int, int, int | None]
    # most points: Госпаблики 10, badge 10, design 5 + 5 + 10, widgets 10, posts 30, reach 10
    points: tuple[int, int, int, int, int, int]
    total: int
    possible: int
    score: str
    light: str

    @property
    def inputs(self) -> PageInputs:
        """Return the inputs of the score that `known` gives."""
        connected, badge, avatar, description, cover, widgets, posts, reach = self.known
        steps = {name: DAY for name, reached in (("connected", connected), ("gov_badge", badge)) if reached}
        return PageInputs(
            state="open", avatar=avatar, description=description, cover=cover, members=MEMBERS, steps=steps,
            widgets=widgets, posts={7: posts}, posts_source="messages", reach=reach,
        )  # fmt: skip


Y, N, Q = True, False, None
PAGES = [
    # The mean reach of a post (5) has no published rule, so 90 points are possible with reach and 80 without.
    #           госп госм ава опи обл вид зап охват     10  10  20  10  30  10    sum  of    ×100/of  light
    MadeUpPage("01", (Y, Y, Y, Y, Y, 2, 3, 800), (10, 10, 20, 10, 30, 10), 90, 90, "100.0", "green"),
    MadeUpPage("02", (Y, Y, Y, Y, Y, 2, 5, Q), (10, 10, 20, 10, 30, 0), 80, 80, "100.0", "green"),
    MadeUpPage("03", (N, N, N, N, N, 0, 0, Q), (0, 0, 0, 0, 0, 0), 0, 80, "0.0", "red"),
    MadeUpPage("04", (Y, N, N, N, N, 1, 2, Q), (10, 0, 0, 5, 0, 0), 15, 80, "18.8", "red"),  # 18.75
    MadeUpPage("05", (N, Y, Y, Y, N, 1, 3, Q), (0, 10, 10, 5, 30, 0), 55, 80, "68.8", "yellow"),  # 68.75
    MadeUpPage("06", (Y, Y, Y, Y, Y, 2, 2, Q), (10, 10, 20, 10, 0, 0), 50, 80, "62.5", "yellow"),
    MadeUpPage("07", (Y, Y, Y, Y, N, 3, 9, 700), (10, 10, 10, 10, 30, 10), 80, 90, "88.9", "green"),  # 88.88…
    MadeUpPage("08", (Y, Y, Y, Y, Y, 2, 4, 699), (10, 10, 20, 10, 30, 7), 87, 90, "96.7", "green"),  # 96.66…
    MadeUpPage("09", (Y, Y, Y, Y, Y, 0, 3, 500), (10, 10, 20, 0, 30, 7), 77, 90, "85.6", "green"),  # 85.55…
    MadeUpPage("10", (Y, Y, Y, Y, Y, 2, 0, 300), (10, 10, 20, 10, 0, 5), 55, 90, "61.1", "yellow"),  # 61.11…
    MadeUpPage("11", (Y, N, Y, Y, Y, 2, 3, 299), (10, 0, 20, 10, 30, 0), 70, 90, "77.8", "yellow"),  # 77.77…
    # The network did not report the cover: 10 points are possible for appearance, 70 in total.
    MadeUpPage("12", (N, N, Y, Y, Q, 2, 1, Q), (0, 0, 10, 10, 0, 0), 20, 70, "28.6", "red"),  # 28.57…
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_score_equals_hand_computation(page: MadeUpPage) -> None:
    found = score_page(AMUR, page.inputs, WEEK_END)
    assert [criterion.points for criterion in found.criteria] == [*page.points, 0]
    assert sum(page.points) == page.total == sum(criterion.points for criterion in found.criteria)
    assert sum(criterion.possible for criterion in found.criteria) == page.possible
    assert (found.score, found.light) == (Decimal(page.score), page.light)


def test_installed_formula_equals_the_published_table() -> None:
    assert [criterion.weight for criterion in AMUR.criteria] == [10, 10, 20, 10, 30, 10, 5]
    assert sum(criterion.weight for criterion in AMUR.criteria) == 95
    assert formula_errors(AMUR) == []


def test_unknown_reach_is_left_out_of_the_score_and_the_evidence_says_so() -> None:
    found = score_page(AMUR, PAGES[1].inputs, WEEK_END)
    reach, mean = found.criteria[-2:]
    assert (reach.possible, reach.source, mean.possible) == (0, None, 0)
    assert criterion_evidence(AMUR.criteria[-2], 0, PAGES[1].inputs) == (
        "Нет данных: охват известен только по ключу администратора страницы"
    )
    assert "правило" in criterion_evidence(AMUR.criteria[-1], 0, PAGES[1].inputs)


def test_closed_page_gets_no_points_whatever_its_criteria() -> None:
    inputs = PAGES[0].inputs.model_copy(update={"state": "closed", "reach": None})
    found = score_page(AMUR, inputs, WEEK_END)
    assert (found.score, found.light) == (Decimal("0.0"), "red")
    assert sum(criterion.possible for criterion in found.criteria) == 80
    assert page_advice(AMUR, earned(AMUR, inputs), inputs) == "Откройте страницу: сейчас граждане её не видят."


def test_page_with_too_few_known_criteria_has_no_score() -> None:
    # Steps and widgets are only 30 of 95 points.
    inputs = PageInputs(steps={"connected": DAY, "gov_badge": DAY}, widgets=2)
    found = score_page(AMUR, inputs, WEEK_END)
    assert (found.score, found.light) == (None, "unknown")
    assert sum(criterion.points for criterion in found.criteria) == 30


def formula(**criterion: Any) -> PageFormula:
    """Return a formula of one criterion with the weight 10."""
    return PageFormula(criteria=[PageCriterion(weight=10, **criterion)])


def earned(used: PageFormula, inputs: PageInputs) -> dict[str, tuple[int, int]]:
    found = score_page(used, inputs, WEEK_END).criteria
    return {criterion.key: (criterion.points, criterion.possible) for criterion in found}


LEVELS = [{"threshold": 80, "points": 10}, {"threshold": 50, "points": 5}]
DAYS = [{"threshold": 2, "points": 10}, {"threshold": 5, "points": 5}]
POST = {"posts_source": "messages", "posts": {7: 4}}
TALK = {"kind": "two_way_share", "levels": LEVELS, "min_messages": 5}
REACTIONS = {"reacted_posts": 2, "views": 400, "likes": 10, "comments": 5, "reposts": 1}
ENGAGEMENT = {"kind": "engagement", "levels": [{"threshold": 4, "points": 10}, {"threshold": 2, "points": 5}]}
MEAN = {"kind": "mean_post_reach", "levels": [{"threshold": 300, "points": 10}]}
SHARE = {"kind": "reach_share", "levels": LEVELS}
ANSWERS = {"kind": "answered_share", "levels": LEVELS, "min_messages": 1}


def days_ago(days: float) -> dict[str, Any]:
    return POST | {"last_post_at": WEEK_END - timedelta(days=days)}


@pytest.mark.parametrize(
    ("criterion", "known", "points", "possible"),
    [
        ({"kind": "freshness", "levels": DAYS}, days_ago(2), 10, 10),
        ({"kind": "freshness", "levels": DAYS}, days_ago(2.01), 5, 10),
        ({"kind": "freshness", "levels": DAYS}, days_ago(5.5), 0, 10),
        ({"kind": "freshness", "levels": DAYS}, POST, 0, 10),  # the wall is read, and it is empty
        ({"kind": "freshness", "levels": DAYS}, {}, 0, 0),
        ({"kind": "comments_open"}, {"comments_open": True}, 10, 10),
        ({"kind": "comments_open"}, {"comments_open": False}, 0, 10),
        ({"kind": "comments_open"}, {}, 0, 0),
        (TALK, {"citizen_messages": 5, "citizen_messages_in_dialogue": 4}, 10, 10),
        (TALK, {"citizen_messages": 5, "citizen_messages_in_dialogue": 3}, 5, 10),
        (TALK, {"citizen_messages": 4, "citizen_messages_in_dialogue": 0}, 0, 0),  # too few to judge
        (ANSWERS, {"appeals_due": 3, "appeals_answered": 1}, 0, 10),
        (ANSWERS, {"appeals_due": 0, "appeals_answered": 0}, 0, 0),
        (
            {"kind": "comments_per_post", "levels": [{"threshold": 2, "points": 10}]},
            POST | {"citizen_messages": 8},
            10,
            10,
        ),
        ({"kind": "comments_per_post", "levels": LEVELS}, {"posts": {7: 0}, "citizen_messages": 8}, 0, 0),
        (MEAN, {"mean_post_reach": 300}, 10, 10),
        (MEAN, {"mean_post_reach": 299}, 0, 10),
        (MEAN, {"reach": 300}, 0, 0),
        (MEAN | {"levels": []}, {"mean_post_reach": 300}, 0, 0),  # a weight without a rule
        (SHARE, {"reach": 0, "members": 100}, 0, 10),  # reach is known to be 0
        (SHARE, {"reach": 50}, 0, 0),
        (ENGAGEMENT, REACTIONS, 10, 10),  # 16 of 400 views
        (ENGAGEMENT, REACTIONS | {"reposts": 0}, 5, 10),
        (
            ENGAGEMENT,
            REACTIONS | {"views": None, "members": 10},
            0,
            0,
        ),  # engagement is a share of views, not of members
        (ENGAGEMENT, REACTIONS | {"views": 0}, 0, 0),
        (ENGAGEMENT, {"views": 400}, 0, 0),
        (ENGAGEMENT, REACTIONS | {"state": "gone"}, 0, 10),
        (ENGAGEMENT, {"state": "gone"}, 0, 0),
    ],
)
def test_each_kind_of_criterion_gives_its_points(
    criterion: dict[str, Any], known: dict[str, Any], points: int, possible: int
) -> None:
    [found] = score_page(formula(**criterion), PageInputs(**known), WEEK_END).criteria
    assert (found.points, found.possible) == (points, possible)


@pytest.mark.parametrize(
    ("criterion", "known", "said"),
    [
        (
            SHARE,
            {"reach": 83, "members": 100, "reach_counted_by": "days", "reach_on": DAY},
            "Охват: 83 (сумма по дням); подписчиков: 100; проверка 02.11.2026",
        ),
        (SHARE, {"reach": 83, "members": 100}, "Охват: 83; подписчиков: 100"),
        (MEAN, {"mean_post_reach": 310, "reach_on": DAY}, "Средний охват записи: 310; проверка 02.11.2026"),
        (
            ENGAGEMENT,
            REACTIONS | {"reactions_on": DAY},
            "Лайков: 10; комментариев: 5; репостов: 1; просмотров: 400; проверка 02.11.2026",
        ),
    ],
)
def test_evidence_of_audience_has_its_figures_and_the_day(
    criterion: dict[str, Any], known: Any, said: str
) -> None:
    used = formula(**criterion)
    assert criterion_evidence(used.criteria[0], 10, PageInputs(**known)) == said


@pytest.mark.parametrize(
    ("known", "interactions", "rate", "rate_of"),
    [
        (REACTIONS, 16, 4.0, "views"),
        (REACTIONS | {"views": 321}, 16, 4.98, "views"),  # 4.984…
        (REACTIONS | {"views": None, "members": 1200}, 16, 1.33, "members"),
        (REACTIONS | {"views": None}, 16, None, None),
        (REACTIONS | {"views": 0, "members": 1200}, 16, None, None),  # views are known to be 0
        ({"reacted_posts": 0, "likes": 0, "comments": 0, "reposts": 0, "members": 1200}, 0, None, None),
    ],
)
def test_engagement_is_per_view_or_per_subscriber(
    known: Any, interactions: int, rate: float | None, rate_of: str | None
) -> None:
    found = page_engagement(PageInputs(**known))
    assert found is not None
    assert (found.interactions, found.rate, found.rate_of) == (interactions, rate, rate_of)


@pytest.mark.parametrize(("days", "shown"), [(2, 2), (2.04, 2.1), (5.01, 5.1)])
def test_age_just_over_a_threshold_is_not_shown_as_equal_to_it(days: float, shown: float) -> None:
    inputs = PageInputs(**days_ago(days))
    [found] = score_page(formula(kind="freshness", levels=DAYS), inputs, WEEK_END).criteria
    assert found.value == shown


def test_unknown_engagement_and_reach_are_not_zero() -> None:
    assert page_engagement(PageInputs(views=5)) is None
    assert (reach_share(None, 10), reach_share(5, None), reach_share(0, 10)) == (None, None, 0.0)
    assert reach_share(5, 8) == 62.5


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("01", None),
        ("03", "Публикуйте чаще: нужно не меньше 3 записей за 7 дней, сейчас 0. Это добавит 37,5 балла."),
        ("05", "Подключите страницу к компоненту «Госпаблики». Это добавит 12,5 балла."),
        ("07", "Добавьте: обложку. Это добавит 11,1 балла."),
        ("09", "Установите оба виджета: «Сообщить о проблеме» и «Высказать мнение». Это добавит 11,1 балла."),
    ],
)
def test_advice_names_the_criterion_that_would_add_most(page: str, said: str | None) -> None:
    [found] = [one for one in PAGES if one.name == page]
    assert page_advice(AMUR, earned(AMUR, found.inputs), found.inputs) == said


@pytest.mark.parametrize(
    ("criterion", "known", "said"),
    [
        (
            TALK,
            {"citizen_messages": 5, "citizen_messages_in_dialogue": 2},
            "на 80\u00a0% сообщений, сейчас на 40\u00a0%",
        ),
        (ANSWERS, {"appeals_due": 3, "appeals_answered": 2}, "не меньше чем на 80\u00a0%, сейчас на 66\u00a0%"),
        (
            {"kind": "freshness", "levels": DAYS},
            days_ago(9),
            "без перерывов дольше 2 дней. Это добавит 100 баллов",
        ),
        ({"kind": "comments_open"}, {"comments_open": False}, "Откройте комментарии"),
        ({"kind": "step", "step": "verified"}, {}, "Получите отметку соцсети"),
    ],
)
def test_advice_names_the_wanted_and_the_present_value(criterion: dict[str, Any], known: Any, said: str) -> None:
    used, inputs = formula(**criterion), PageInputs(**known)
    assert said in (page_advice(used, earned(used, inputs), inputs) or "")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"yellow_from": 80}, "/yellow_from"),
        ({"criteria": [{"kind": "step", "weight": 10}]}, "/criteria/0/step"),
        ({"criteria": [{"kind": "comments_open", "weight": 10, "days": 7}]}, "/criteria/0/days"),
        (
            {
                "criteria": [
                    {"kind": "appearance", "weight": 10, "parts": {"avatar": 5, "description": 5, "cover": 5}}
                ]
            },
            "/criteria/0/parts",
        ),
        ({"criteria": [{"kind": "widgets", "weight": 5, "levels": LEVELS}]}, "/criteria/0/levels"),
        ({"criteria": [{"kind": "widgets", "weight": 10, "levels": []}]}, "/criteria/0/levels"),
        ({"criteria": [{"kind": "freshness", "weight": 10, "levels": LEVELS}]}, "/criteria/0/levels"),
        ({"criteria": [{"kind": "widgets", "weight": 10, "levels": DAYS}]}, "/criteria/0/levels"),
        (
            {"criteria": [{"weight": 10, **ANSWERS, "levels": [{"threshold": 101, "points": 10}]}]},
            "/criteria/0/levels",
        ),
        (
            {"criteria": [{"kind": "comments_open", "weight": 10}, {"kind": "comments_open", "weight": 5}]},
            "/criteria/1",
        ),
    ],
)
def test_invalid_formula_is_refused_naming_the_field(change: dict[str, Any], pointer: str) -> None:
    wrong = PageFormula.model_validate(AMUR.model_dump() | change)
    assert [error.pointer for error in formula_errors(wrong)] == [pointer]
