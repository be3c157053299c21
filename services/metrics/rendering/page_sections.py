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
        blocks += [_health(document.pages), _silent(document.pages)]
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


def _silent(pages: PageFigures) -> Table:
    return Table(
        "Замолчавшие страницы",
        (Column("Страница", weight=4), Column("Сеть", weight=1.5), Column("Последняя запись", "day", weight=1.5)),
        [(page.name, NETWORKS[page.network].title, page.last_post_on) for page in pages.silent],
        empty="Замолчавших страниц нет.",
        sheet="Замолчавшие страницы",
    )
