"""The parts of a made-up weekly report."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from services.metrics.schemas.weekly_report import (
    AttentionItem,
    AxisValues,
    ComparedCount,
    CorrectedFigure,
    GradeFigures,
    HardAppeal,
    MeasureDefinition,
    NamedCount,
    OrganisationRow,
    PageFigures,
    PeerGroup,
    RankedOrganisation,
    ReportCell,
    TopicRow,
)
from services.metrics.weekly_report.attention import attention_items
from services.metrics.weekly_report.measure_values import axis_values
from services.metrics.weekly_report.measures import MEASURES
from services.metrics.weekly_report.week_figures import WeekFigures

Named = tuple[tuple[str, int], ...]
TOPICS: tuple[tuple[str, int, int, Named, Named], ...] = (
    ("Здравоохранение", 201, 171, (("Запись к врачу", 74), ("Очереди в поликлинике", 52), ("Лекарства", 31)),
     (("Улан-Удэ", 118), ("Кабанский район", 27), ("Селенгинский район", 19))),
    ("Дороги", 62, 70, (("Ямы", 33), ("Гололёд", 17)), (("Улан-Удэ", 28), ("Левый берег", 21))),
    ("СВО", 33, 29, (("Выплаты семьям", 20),), (("Улан-Удэ", 15),)),
    ("Социальная защита", 25, 31, (("Пособия", 14),), (("Закаменский район", 6),)),
    ("Мусор", 23, 41, (("Контейнерные площадки", 16),), (("Иволгинский район", 11),)),
    ("Жилищно-коммунальное хозяйство", 22, 35, (), ()),
    ("Образование", 20, 26, (), ()),
    ("Благоустройство", 18, 33, (), ()),
    ("Общественный транспорт", 17, 15, (), ()),
    ("Газ и топливо", 15, 16, (), ()),
    ("Безопасность и правопорядок", 14, 18, (), ()),
    ("Связь и телевидение", 13, 19, (), ()),
    ("Экология", 12, 9, (), ()),
    ("Земельные отношения", 11, 15, (), ()),
    ("Культура и спорт", 9, 14, (), ()),
    ("Без темы", 13, 16, (), ()),
)  # fmt: skip
PLACES: tuple[tuple[str | None, str, int, int], ...] = (
    ("81701000", "Улан-Удэ", 241, 262), ("81624000", "Кабанский район", 48, 44),
    ("81648000", "Селенгинский район", 39, 51), ("81622000", "Иволгинский район", 34, 30),
    ("81618000", "Заиграевский район", 28, 33), ("81621000", "Закаменский район", 22, 19),
    ("81633000", "Кяхтинский район", 19, 24), ("81657000", "Хоринский район", 16, 14),
    ("81642000", "Прибайкальский район", 14, 18), ("81720000", "Северобайкальск", 12, 15),
    ("81645000", "Северо-Байкальский район", 9, 12), ("81654000", "Тункинский район", 8, 11),
    (None, "Место не указано", 18, 25),
)  # fmt: skip
_DISTRICTS = (
    "Улан-Удэ", "Кабанский район", "Селенгинский район", "Иволгинский район", "Заиграевский район",
    "Закаменский район", "Кяхтинский район", "Хоринский район", "Прибайкальский район", "Северобайкальск",
    "Северо-Байкальский район", "Тункинский район", "Джидинский район", "Бичурский район", "Муйский район",
    "Окинский район",
)  # fmt: skip
_MINISTRIES = (
    "здравоохранения", "образования и науки", "социальной защиты населения", "строительства и модернизации ЖКХ",
    "по развитию транспорта, энергетики и дорожного хозяйства", "экономики", "финансов",
    "имущественных и земельных отношений", "природных ресурсов и экологии", "сельского хозяйства и продовольствия",
    "культуры", "спорта и молодёжной политики", "туризма", "промышленности, торговли и инвестиций",
)  # fmt: skip
# Code, title, pattern of names, values to insert into the pattern.
_GROUPS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("ministry", "Министерства и ведомства", "Министерство {}", _MINISTRIES),
    ("municipality", "Администрации районов и городов", "Администрация: {}", _DISTRICTS),
    ("institution:education", "Учреждения: образование", "Школа № {}", tuple(str(3 * at + 2) for at in range(18))),
    ("institution:health", "Учреждения: здравоохранение", "Больница: {}", _DISTRICTS[:12]),
)


def compared(value: int, last_week: int | None, last_year: int | None = None) -> ComparedCount:
    """Return a count of the week with the changes to last week and last year."""
    return ComparedCount(
        value=value,
        last_week=last_week,
        change=None if last_week is None else value - last_week,
        last_year=last_year,
        change_to_last_year=None if last_year is None else value - last_year,
        mean_of_8_weeks=None if last_week is None else round((value + 3 * last_week) / 4 + 0.1, 1),
    )


def made_id(number: int) -> UUID:
    return UUID(int=0x0192_0000_0000_7000_8000_0000_0000_0000 + number)


def topic(number: int, spec: tuple[str, int, int, Named, Named]) -> TopicRow:
    """Return the row of a topic; `spec`: its name, counts of this and last week, sub-topics, locations."""
    label, value, before, subtopics, locations = spec
    return TopicRow(
        topic_group_id=None if label == "Без темы" else made_id(number),
        label=label,
        appeals=compared(value, before, value + 9 if number % 3 else None),
        share=round(100 * value / 508, 1),
        subtopics=[NamedCount(name=name, count=count) for name, count in subtopics],
        locations=[NamedCount(name=name, count=count) for name, count in locations],
    )


def week_figures() -> WeekFigures:
    """Return the counts from which measures and attention items are computed."""
    counts = Counter(
        responses=508, questions=509, on_time=478, answered=496, complaints=203, complaints_answered=196,
        timed=470, overdue=12,
        promises_due=8, promises_kept=5, promises_moved=1, promises_broken=2, promises_decided=7, deleted=3,
        closed_unanswered=1, answers=470, final_answers=410, with_outcome=398, solved=180, written_here=361,
        with_proof=84, comparable=411, canned=30, checked=352, with_substance=251, with_contact=268,
        to_the_point=311, not_solved_said=14, marks=48, mark_sum=213,
    )  # fmt: skip
    return WeekFigures(counts, {}, {"median": 3.4 * 3600, "p90": 8.7 * 3600})


def last_week_figures() -> WeekFigures:
    """Return the counts of the week before, with slightly worse results."""
    before = Counter({name: max(count - count // 12, 0) for name, count in week_figures().total.items()})
    return WeekFigures(before | Counter(responses=502, deleted=5), {}, {"median": 3.9 * 3600, "p90": 9.2 * 3600})


def attention(topics: Sequence[TopicRow], pages: PageFigures | None) -> list[AttentionItem]:
    return attention_items(week_figures(), topics, pages)


def axes() -> list[AxisValues]:
    return axis_values(week_figures(), last_week_figures())


def definitions() -> list[MeasureDefinition]:
    return [measure.definition for measure in MEASURES]


def _organisation(draw: random.Random, number: int, name: str) -> OrganisationRow:
    responses = draw.randint(6, 60) if number % 5 != 4 else draw.randint(0, 3)
    on_time = responses - draw.randint(0, responses // 4)
    answers = max(on_time - 1, 0)
    few = responses == 0
    return OrganisationRow(
        organisation_id=made_id(1000 + number),
        name=name,
        appeals=responses + draw.randint(0, 3),
        responses=responses,
        on_time=on_time,
        overdue=draw.randint(0, 2),
        unanswered=draw.randint(0, 1),
        deleted=1 if number in {3, 1005, 2004} else 0,
        closed_unanswered=1 if number == 1002 else 0,
        final_answers=answers,
        solved=answers // 2,
        canned=draw.randint(0, 2),
        not_solved_said=draw.randint(0, 2),
        score=None if few else round(100 * (on_time + 4) / (responses + 4.5), 1),
        low=None if few else round(80 * on_time / responses, 1),
        high=None if few else round(min(100.0, 104 * on_time / responses), 1),
        rank=None,
    )


def peer_groups(draw: random.Random, wanted: int) -> list[PeerGroup]:
    """Return groups of about `wanted` organisations; those with at least five responses are ranked by score."""
    groups = []
    for at, (code, title, pattern, names) in enumerate(_GROUPS):
        many = max(1, wanted * len(names) // 60)
        rows = [
            _organisation(
                draw,
                1000 * at + place,
                pattern.format(names[place % len(names)]) + (f" ({place + 1})" if place >= len(names) else ""),
            )
            for place in range(many)
        ]
        ranked = sorted((row for row in rows if row.responses >= 5), key=lambda row: -(row.score or 0))
        ranked = [row.model_copy(update={"rank": rank}) for rank, row in enumerate(ranked, 1)]
        reasons = [
            RankedOrganisation(
                organisation_id=row.organisation_id,
                name=row.name,
                reason=f"{row.on_time} из {row.responses} ответов в срок",
            )
            for row in ranked
        ]
        few = [row for row in rows if row.responses < 5]
        groups.append(
            PeerGroup(
                code=code, title=title, organisations=[*ranked, *few], best=reasons[:3], worst=reasons[-2:][::-1]
            )
        )
    return groups


def cells(draw: random.Random, groups: list[PeerGroup]) -> list[ReportCell]:
    """Return the appeals of all topics, distributed over municipalities in proportion to their appeals."""
    ministries, districts, schools, hospitals = (
        [row.organisation_id for row in group.organisations] for group in groups
    )
    answering = {"Здравоохранение": [*hospitals, ministries[0]], "Образование": schools}
    places = [place[0] for place in PLACES]
    weights = [place[2] for place in PLACES]
    made = []
    for number, (label, value, *_rest) in enumerate(TOPICS):
        left = value
        while left:
            part = min(left, draw.randint(1, 1 + value // 12))
            left -= part
            made.append(
                ReportCell(
                    topic_group_id=None if label == "Без темы" else made_id(number),
                    oktmo=draw.choices(places, weights)[0],
                    organisation_id=draw.choice([*answering.get(label, [*districts, *ministries]), None]),
                    appeals=part,
                )
            )
    return made


def hard_appeals() -> list[HardAppeal]:
    return [
        HardAppeal(
            appeal_id=made_id(5001),
            number=1024,
            opened_at=datetime(2026, 11, 17, 2, 40, tzinfo=UTC),
            channel="ВКонтакте",
            topic="Дороги",
            municipality="Улан-Удэ",
            organisation="Министерство по развитию транспорта, энергетики и дорожного хозяйства",
            text="Левый берег, улица [адрес скрыт]: дорогу обещали отсыпать до 1 ноября.\n\n"
            "Скорая не может подъехать к дому, на прошлой неделе больную несли на руках. Третий раз пишу сюда, "
            "каждый раз отвечают, что «вопрос на контроле». Когда будет сделано и кто за это отвечает?",
            reason="просрочено 3 дня; гражданин дважды сказал, что вопрос не решён",
        ),
        HardAppeal(
            appeal_id=made_id(5002),
            number=987,
            opened_at=datetime(2026, 11, 19, 8, 5, tzinfo=UTC),
            channel="Госуслуги",
            topic="Здравоохранение",
            municipality="Закаменский район",
            organisation=None,
            text="Детского невролога в районе нет второй год. До Улан-Удэ 400 километров, запись на февраль.",
            reason="обещание от 12 ноября не выполнено",
        ),
    ]


def grades() -> list[GradeFigures]:
    return [
        GradeFigures(code="addresses_question", title="Отвечает на заданный вопрос", axes=["objectivity"],
                     mean=1.62, graded=120, kappa=0.71),
        GradeFigures(code="action_or_date", title="Названо действие или срок", axes=["completeness"], mean=1.1,
                     graded=118, kappa=0.64),
        GradeFigures(code="plain_language", title="Написано понятно", axes=["objectivity"], mean=1.75, graded=119,
                     kappa=None),
    ]  # fmt: skip


def corrections() -> list[CorrectedFigure]:
    return [
        CorrectedFigure(pointer="/totals/all/appeals/value", published=508, now=509),
        CorrectedFigure(pointer=f"/topics/{made_id(1)}/appeals/value", published=62, now=63),
        CorrectedFigure(pointer="/axes/promptness/measures/response_on_time/value", published=94.1, now=93.9),
    ]
