"""Columns of the registry table: field names, Russian headings, and the headings of other registries."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.networks import NETWORKS
from shared.text.normalize import sort_key

SPHERE_FIELDS = ("sphere", "sphere_2", "sphere_3")
NAME_FIELD = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `field` is its heading, `title` its Russian heading, `aliases` are further accepted headings."""

    field: str
    title: str
    aliases: tuple[str, ...] = ()
    exported: bool = True


@dataclass(frozen=True, slots=True)
class PageColumn:
    """A column about a page in `network`; `page_field` is the field of the page."""

    network: str
    page_field: str


ORGANISATION_COLUMNS = (
    Column("id", "Идентификатор"),
    Column("code", "Код", ("код организации",)),
    Column(
        NAME_FIELD,
        "Наименование",
        (
            "наименование подведомственной организации",
            "наименование организации",
            "полное наименование",
            "организация",
            "название",
        ),
    ),
    Column("short_name", "Краткое наименование", ("сокращенное наименование", "краткое название")),
    Column("kind", "Вид", ("вид организации", "тип", "тип организации")),
    Column("level", "Уровень", exported=False),
    Column("parent", "Учредитель", ("вышестоящая организация", "owner")),
    Column("sphere", "Сфера 1", ("сфера", "сфера деятельности")),
    Column("sphere_2", "Сфера 2"),
    Column("sphere_3", "Сфера 3"),
    Column("municipality", "Муниципалитет", ("муниципальное образование", "район", "мо")),
    Column("oktmo", "ОКТМО", ("код октмо",)),
    Column("inn", "ИНН"),
    Column("ogrn", "ОГРН"),
    Column("address", "Адрес", ("почтовый адрес", "юридический адрес")),
    Column("phone", "Телефон", ("телефоны",)),
    Column("email", "Электронная почта", ("e-mail", "почта", "эл. почта")),
    Column("site", "Сайт", ("официальный сайт",)),
    Column("pos_opa_id", "ID ПОС", ("opaid", "id организации в пос")),
    Column("calendar", "Календарь"),
    Column("valid_from", "Действует с", ("дата создания",)),
    Column("valid_to", "Действует по", ("дата ликвидации",)),
    Column(
        "exempt_reason",
        "Официальная страница не ведется на основании",
        ("основание освобождения", "официальная страница не ведется"),
    ),
    Column("exempt_document", "Документ об освобождении", ("документ-основание",)),
    Column("active", "Действует", ("статус",)),
    Column("aliases", "Другие названия"),
    Column("former_names", "Прежние названия", ("прежние наименования",)),
)


def _page_columns(network: str) -> Sequence[tuple[str, Column]]:
    title = NETWORKS[network].short_title or NETWORKS[network].title
    first = next(iter(NETWORKS)) == network
    # Registries of a single network (the first) do not mention it in these headings.
    ids = ("id госпаблика",) if first else (f"id группы {title}",)
    short_names = ("адрес в настройках страницы",) if first else ()
    addresses = (f"ссылка на {title}", f"страница {title}", f"адрес {title}")
    return (
        ("external_id", Column(f"{network}_id", f"ID страницы {title}", ids)),
        ("url", Column(f"{network}_url", f"Ссылка {title}", addresses)),
        ("screen_name", Column(f"{network}_screen_name", f"Адрес в настройках страницы {title}", short_names)),
        ("name", Column(f"{network}_name", f"Название страницы {title}")),
        ("go_live_at", Column(f"{network}_go_live_at", f"Страница {title} ведется с", (f"{network}_live_from",))),
        ("active", Column(f"{network}_active", f"Страница {title} действует")),
    )


PAGE_COLUMNS: dict[str, PageColumn] = {
    column.field: PageColumn(network, part) for network in NETWORKS for part, column in _page_columns(network)
}
COLUMNS = (*ORGANISATION_COLUMNS, *(column for network in NETWORKS for _, column in _page_columns(network)))
EXPORTED_COLUMNS = tuple(column for column in COLUMNS if column.exported)
COLUMN_BY_FIELD = {column.field: column for column in COLUMNS}


def normalize_heading(heading: str) -> str:
    """Return the heading normalised for comparison.

    Case, ё/е and repeated spaces do not matter; quotation marks, `*`, `:` and `.` at both ends are removed.
    """
    return sort_key(heading.strip().strip("«»\"'*:.")).strip("«»\"'*:. ")


_KNOWN = {
    normalize_heading(heading): column.field
    for column in reversed(COLUMNS)
    for heading in (*column.aliases, column.title, column.field)
}


def field_of_heading(heading: str) -> str | None:
    """Return the field with this heading; None for an unknown heading."""
    return _KNOWN.get(normalize_heading(heading))
