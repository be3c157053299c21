"""Sections about pages: how many organisations have one, and how alive they are."""

from services.metrics.rendering import russian_format as russian
from services.metrics.rendering.blocks import (
    Bar,
    BarChart,
    Block,
    Column,
    Measured,
    Paragraph,
    Section,
    Table,
    Value,
)
from services.metrics.schemas.weekly_report import PageFigures, ReportDocument
from shared.networks import NETWORKS

_VIEWS_ARE_NOT_REACH = (
    "Просмотры – сколько раз показаны записи, охват – сколько людей их увидели. Охват известен только у страниц, "
    "администратор которых дал ключ. Одноклассники не сообщают просмотры записей и охват недели: вовлечённость "
    "там считается на подписчиков, охват – сумма по дням."
)
_BASES = {"views": "просмотров", "members": "подписчиков"}


def page_section(document: ReportDocument) -> Section:
    """Return coverage by network, the health of pages and those that fell silent."""
    coverage = Table(
        "Сколько организаций ведут страницы",
        (
            Column("Сеть", weight=2),
            Column("Должны вести", "count"),
            Column("Освобождены", "count"),
            Column("Ведут", "count"),
            Column("Охват", "percent"),
            Column("Действуют", "count"),
        ),
        [
            (NETWORKS[row.network].title, row.required, row.exempt, row.covered, row.percent, row.live)
            for row in document.coverage
        ],
        empty="Данных о страницах нет.",
        sheet="Охват страницами",
    )
    blocks: list[Block] = [coverage]
    if document.pages is None:
        blocks.append(Paragraph("Состояние страниц за эту неделю не оценивалось."))
    else:
        blocks += [_health(document.pages), _engagement(document.pages), _reach(document.pages)]
        if document.pages.audience:
            blocks.append(Paragraph(_VIEWS_ARE_NOT_REACH, is_note=True))
        blocks.append(_silent(document.pages))
    return Section("pages", "Страницы", "Страницы", blocks)


def _health(pages: PageFigures) -> Table:
    parts = [("Зелёные", pages.green), ("Жёлтые", pages.yellow), ("Красные", pages.red)]
    listed = "; ".join(f"{label.lower()} – {russian.count(value)}" for label, value in parts)
    chart = BarChart(
        "Страницы по состоянию",
        f"Оценено страниц: {russian.count(pages.scored)}; {listed}.",
        [Bar(label, value, russian.count(value)) for label, value in parts],
    )
    rows: list[tuple[Value, ...]] = [
        ("Оценено страниц", Measured(pages.scored, "count")),
        *((label, Measured(value, "count")) for label, value in parts),
        ("Средний балл (от 0 до 100)", Measured(pages.mean_score, "mark")),
        ("Изменение среднего балла к прошлой неделе", Measured(pages.change, "mark", is_change=True)),
    ]
    columns = (Column("Состояние страниц («светофор»)", weight=4), Column("Значение", "measure"))
    return Table("Состояние страниц", columns, rows, chart=chart, sheet="Состояние страниц")


def _engagement(pages: PageFigures) -> Table:
    return Table(
        "Вовлечённость: лайки, комментарии и репосты записей за семь дней",
        (
            Column("Сеть", weight=1.6),
            Column("Страниц с данными", "count"),
            Column("Записей", "count", weight=0.9),
            Column("Просмотров", "count", weight=1.2),
            Column("Реакций", "count"),
            Column("На сто чего", weight=1.3),
            Column("Вовлечённость", "percent", weight=1.2),
            Column("Неделей ранее", "percent"),
        ),
        [
            (
                NETWORKS[row.network].title,
                row.pages,
                row.posts,
                row.views,
                row.interactions,
                None if row.engagement_of is None else _BASES[row.engagement_of],
                row.engagement,
                row.engagement_last_week,
            )
            for row in pages.audience
        ],
        empty="Данных о реакциях на записи нет.",
        sheet="Вовлечённость страниц",
    )


def _reach(pages: PageFigures) -> Table:
    return Table(
        "Охват: сколько людей увидели страницу за семь дней",
        (
            Column("Сеть", weight=1.6),
            Column("Страниц с охватом", "count"),
            Column("Охват, человек", "count"),
            Column("Охват подписчиков", "percent"),
            Column("Неделей ранее", "percent"),
            Column("Средний охват записи", "count", weight=1.2),
        ),
        [
            (
                NETWORKS[row.network].title,
                row.reach_pages,
                row.reach,
                row.reach_share,
                row.reach_share_last_week,
                row.mean_post_reach,
            )
            for row in pages.audience
        ],
        empty="Данных об охвате нет.",
        sheet="Охват страниц",
    )


def _silent(pages: PageFigures) -> Table:
    return Table(
        "Замолчавшие страницы",
        (Column("Страница", weight=4), Column("Сеть", weight=1.5), Column("Последняя запись", "day", weight=1.5)),
        [(page.name, NETWORKS[page.network].title, page.last_post_on) for page in pages.silent],
        empty="Замолчавших страниц нет.",
        sheet="Замолчавшие страницы",
    )
