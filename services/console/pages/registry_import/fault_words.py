"""Russian texts for errors of a cell or a file: the API's texts are English."""

import re

from services.console.words.formats import within_quotes

_CYRILLIC_ONLY = re.compile(r"[^A-Za-z]*")
# The first matching pattern is used; its groups are values from the file or the registry.
_REASONS = (
    (r"is not one of .*", "Такого значения в этом столбце не бывает. Посмотрите столбец в выгрузке реестра."),
    (r"is neither yes nor no.*", "Напишите «да» или «нет»."),
    (r"is not a date.*", "Это не дата. Напишите её как 31.01.2026."),
    (
        r"was rounded by a spreadsheet.*",
        "Таблица округлила число. Сделайте столбец текстовым и введите его снова.",
    ),
    (r"is not an id.*", "Это не идентификатор. Столбец нужен только в таблицах, выгруженных отсюда."),
    (r"is needed", "Ячейка не заполнена."),
    (r"is incomplete.*", "Данных не хватает: заполните соседние столбцы."),
    (r"(\d+) organisations match.*", "Подходит несколько организаций ({0}). Укажите код."),
    (r"matches «(.*)», like row (\d+).*", "Та же организация, что в строке {1}: «{0}». Различите их кодом."),
    (
        r"matches no organisation.*",
        "Такой организации нет ни в реестре, ни в таблице: проверьте код, ОГРН, ИНН или название.",
    ),
    (r"is not a district or city.*", "Такого муниципалитета в регионе нет: проверьте ОКТМО или название."),
    (r"(\d+) calendars have this name.*", "Календарей с таким названием несколько."),
    (r"No such calendar", "Такого календаря нет. Сначала заведите его."),
    (r"belongs to «(.*)»", "Этот код уже у организации «{0}»."),
    (r"The page .* belongs to «(.*)».*", "Страница подключена к организации «{0}». Сначала передайте её."),
    (r"row (\d+) assigns this page.*", "В строке {0} эта страница указана у другой организации."),
    (r"is the page (\d+), but (\S+) says (\d+)", "Адрес ведёт на страницу {0}, а в ячейке {1} стоит {2}."),
    (r"does not identify a page.*", "Не хватает адреса или номера страницы."),
    (
        r"is an unknown short name.*",
        "Короткое имя системе не известно. Укажите номер страницы или отметьте «Узнать номера страниц».",
    ),
    (r"differs within one organisation: (.*)", "Строки одной организации расходятся: {0}."),
    (r"An organisation cannot belong.*", "Организация не может подчиняться себе или своей подчинённой."),
    (r"the last day is before.*|The last day is before.*", "Последний день раньше первого."),
    (r"The organisation's last day has passed.*", "Последний день прошёл: действующей организация быть не может."),
    (r"This ОКТМО is outside.*", "ОКТМО не из этого муниципалитета."),
    (r"The same sphere.*", "Сфера указана дважды."),
    (r"Give the main sphere.*", "Сначала укажите основную сферу."),
    (r"A document alone.*", "К документу укажите основание."),
    (r"String should match pattern.*", "Недопустимые знаки или не та длина."),
    (r"String should have at most (\d+).*", "Слишком длинно: не больше {0} знаков."),
    (r"control characters.*", "Текст должен быть в одну строку."),
    (r"The text contains (\d+) addresses.*", "В ячейке несколько адресов: оставьте один."),
    (
        r"This is .*|«.*» (is not|belongs to) .*|A bare .*|The text contains no.*",
        "Это не адрес страницы ВКонтакте или Одноклассников.",
    ),
    (
        r"The columns «(.*)» and «(.*)» name the same field",
        "Столбцы «{0}» и «{1}» — об одном и том же. Оставьте один.",
    ),
    (r"There is no column «(.*?)».*", "В таблице нет столбца «{0}»."),
    (
        r"The file is too large: a sheet has.*",
        "На листе слишком много пустых строк и ячеек. Скопируйте данные на новый лист.",
    ),
    (r"The file has more than (\d+) rows", "В таблице больше {0} строк: разделите её."),
)
_KNOWN = tuple((re.compile(pattern, re.DOTALL), words) for pattern, words in _REASONS)
_OTHER = "Значение не подходит этому столбцу."
_FILE = "Не получилось прочитать таблицу. Нужен файл CSV или XLSX с заголовками столбцов."


def in_russian(reason: str, *, other: str = _OTHER) -> str:
    """Return the error in Russian: a text without Latin letters unchanged; `other` if no pattern matches."""
    for pattern, words in _KNOWN:
        if found := pattern.fullmatch(reason):
            values = [within_quotes(one) if "«{" in words else one for one in found.groups()]
            return words.format(*values)
    return reason if _CYRILLIC_ONLY.fullmatch(reason) else other


def about_file(reason: str) -> str:
    """Return in Russian why a file could not be read."""
    return in_russian(reason, other=_FILE)
