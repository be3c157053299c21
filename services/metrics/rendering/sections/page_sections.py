"""Sections about pages: how many organisations have a page, and the health of pages."""

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
from services.metrics.schemas.weekly_report import PageFigures, PageLights, ReportDocument
from shared.networks import NETWORKS

_VIEWS_ARE_NOT_REACH = (
    "Просмотры – сколько раз показаны записи, охват – сколько людей их увидели. Охват известен только у страниц, "
    "администратор которых дал ключ. Одноклассники не сообщают просмотры записей и охват недели: вовлечённость "
    "там считается на подписчиков, охват – сумма по дням."
)
_SCORED_LIGHTS = {"green": "Зелёные", "yellow": "Жёлтые", "red": "Красные"}
_LIGHTS = _SCORED_LIGHTS | {"unknown": "Мало данных"}
_LIGHT_CHANGES = (
    "Красные – ниже жёлтой границы. «Мало данных» – страницы, о которых известно слишком мало. Изменение – "
    "разность числа страниц: в ней учтены и сменившие цвет, и новые, и закрытые. С неделей, оценённой по другой "
    "формуле, ничего не сравнивается. Цвет каждой страницы, и каким он был неделей раньше, – на листе "
    "«Строки – страницы» книги XLSX."
)
_BASES = {"views": "просмотров", "members": "подписчиков"}


def page_section(document: ReportDocument) -> Section:
    """Return the section of coverage by network, page health and pages that fell silent."""
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
        blocks.append(_health(document.pages))
        if document.pages.groups:
            blocks += [_groups(document.pages), _formulas(document.pages), Paragraph(_LIGHT_CHANGES, is_note=True)]
        blocks += [_engagement(document.pages), _reach(document.pages)]
        if document.pages.audience:
            blocks.append(Paragraph(_VIEWS_ARE_NOT_REACH, is_note=True))
        blocks.append(_silent(document.pages))
    return Section("pages", "Страницы", "Страницы", blocks)


def _health(pages: PageFigures) -> Table:
    parts: list[tuple[str, int]] = [(label, getattr(pages, light)) for light, label in _SCORED_LIGHTS.items()]
    listed = "; ".join(f"{label.lower()} – {russian.count(value)}" for label, value in parts)
    before = pages.lights_last_week if pages.light_changes is not None else None
    chart = BarChart(
        "Страницы по светофору",
        f"Оценено страниц: {russian.count(pages.scored)}; {listed}.",
        [_light_bar(label, getattr(pages, light), before, light) for light, label in _SCORED_LIGHTS.items()],
        legend=("эта неделя", "прошлая неделя") if before is not None else None,
    )
    scored_before, scored_change = _scored(before), _scored(pages.light_changes)
    lights = _SCORED_LIGHTS if pages.unknown is None else _LIGHTS
    rows: list[tuple[Value, ...]] = [
        (
            "Оценено страниц",
            Measured(pages.scored, "count"),
            Measured(scored_before, "count"),
            Measured(scored_change, "count", is_change=True),
        ),
        *(
            (
                label,
                Measured(getattr(pages, light), "count"),
                Measured(None if before is None else getattr(before, light), "count"),
                _light_change(pages.light_changes, light),
            )
            for light, label in lights.items()
        ),
        (
            "Средний балл (от 0 до 100)",
            Measured(pages.mean_score, "mark"),
            Measured(pages.mean_score_last_week, "mark"),
            Measured(pages.change, "mark", is_change=True),
        ),
    ]
    columns = (
        Column("Светофор", weight=3),
        Column("За неделю", "measure"),
        Column("Прошлая неделя", "measure"),
        Column("Изменение", "measure"),
    )
    return Table("Светофор страниц", columns, rows, chart=chart, sheet="Светофор страниц")


def _scored(lights: PageLights | None) -> int | None:
    return None if lights is None else lights.green + lights.yellow + lights.red


def _light_bar(label: str, value: int, before: PageLights | None, light: str) -> Bar:
    if before is None:
        return Bar(label, value, russian.count(value))
    former = getattr(before, light)
    return Bar(label, value, f"{russian.count(value)} (было {russian.count(former)})", former)


def _light_change(changes: PageLights | None, light: str) -> Measured:
    return Measured(None if changes is None else getattr(changes, light), "count", is_change=True)


def _groups(pages: PageFigures) -> Table:
    return Table(
        "Светофор по группам сопоставимых организаций: страниц (изменение к прошлой неделе)",
        (
            Column("Группа сопоставимых организаций", weight=3.8),
            *(Column(label, "compared", (label, f"{label}: изменение"), weight=1.3) for label in _LIGHTS.values()),
            Column("Средний балл", "decimal"),
            Column("Изменение балла", "signed", weight=1.2),
        ),
        [
            (
                group.title,
                *(
                    (getattr(group, light), None if changes is None else getattr(changes, light))
                    for changes in [group.light_changes]
                    for light in _LIGHTS
                ),
                group.mean_score,
                group.change,
            )
            for group in pages.groups
        ],
        empty="Страниц по группам организаций нет.",
        sheet="Светофор по группам",
    )


def _formulas(pages: PageFigures) -> Table:
    return Table(
        "По какой формуле",
        (
            Column("Формула", weight=4),
            Column("Версия", "count"),
            Column("Зелёная: баллов не меньше", "count", weight=1.5),
            Column("Жёлтая: баллов не меньше", "count", weight=1.5),
        ),
        [(one.name, one.number, one.green_from, one.yellow_from) for one in pages.formulas],
        sheet="Формула светофора",
    )


def _engagement(pages: PageFigures) -> Table:
    return Table(
        "Вовлечённость: лайки, комментарии и репосты записей за семь дней",
        (
            Column("Сеть", weight=1.6),
            Column("Страниц с данными", "count"),
            Column("Записей", "count", weight=0.9),
            Column("Просмотров", "count", weight=1.2),
            Column("Реакций", "count"),
            Column("На каждые 100", weight=1.3),
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
