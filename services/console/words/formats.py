"""Template filters that format moments, numbers and texts in Russian."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared import clock, russian
from shared.text.visible_text import visible


def parsed(value: str | datetime) -> datetime:
    """Return a moment from the API in the region's time."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(clock.REGION_TIME_ZONE)


def moment(value: str | datetime | None, *, zone: ZoneInfo | None = None) -> str:
    """Return «сегодня, 14:05», «28 ноября, 14:05» or «28 ноября 2025 г., 14:05»; a dash for None."""
    if value is None:
        return "—"
    when = parsed(value).astimezone(zone or clock.REGION_TIME_ZONE)
    today = clock.now().astimezone(when.tzinfo).date()
    return f"{_day(when.date(), today)}, {when:%H:%M}"


def day(value: str | date | datetime | None) -> str:
    """Return a day: «сегодня», «28 ноября», with the year if it is not the current one."""
    return "—" if value is None else _day(_date_of(value), clock.today())


def dated(value: str | datetime | None) -> str:
    """Return a moment for use after «с», «до» or «на», where «сегодня» is wrong: «28 ноября, 14:05»."""
    return "—" if value is None else f"{dated_day(value)}, {parsed(value):%H:%M}"


def dated_day(value: str | date | datetime | None) -> str:
    """Return a day for use after «с» or «по»: «28 ноября», with the year if it is not the current one."""
    return "—" if value is None else _with_year(_date_of(value), clock.today())


def _date_of(value: str | date | datetime) -> date:
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == 10 else parsed(value)
    return parsed(value).date() if isinstance(value, datetime) else value


def _day(when: date, today: date) -> str:
    near = {0: "сегодня", 1: "завтра", -1: "вчера"}.get((when - today).days)
    return _with_year(when, today) if near is None else near


def _with_year(when: date, today: date) -> str:
    return russian.day_of_month(when) if when.year == today.year else russian.long_day(when)


def exact(value: str | datetime | None) -> str:
    """Return a moment for `datetime` and `title`: «2026-11-28 14:05 +0800»."""
    return "" if value is None else f"{parsed(value):%Y-%m-%d %H:%M %z}"


def until(value: str | datetime | None) -> str:
    """Return the time to or since a moment: «через 3 часа», «5 дней назад»; a dash for None."""
    if value is None:
        return "—"
    left = parsed(value) - clock.now()
    if left >= timedelta(0):
        return f"через {russian.in_words(left)}" if left >= timedelta(minutes=1) else "сейчас"
    return f"{russian.in_words(-left)} назад" if left <= -timedelta(minutes=1) else "только что"


def count(value: float | None) -> str:
    """Return a whole number with spaces between thousands: «1 024»; a dash for None."""
    return "—" if value is None else russian.grouped(f"{round(value):,}")


def decimal(value: float | None, places: int = 1) -> str:
    """Return a number with a decimal comma: «12,5»; a dash for None."""
    return "—" if value is None else russian.grouped(f"{value:,.{places}f}").replace(".", ",")


def percent(value: float | None, places: int = 0) -> str:
    """Return a share as a percentage: «87 %»; a dash for None."""
    return "—" if value is None else f"{decimal(value * 100, places)}\N{NO-BREAK SPACE}%"


def signed(value: float | None, places: int = 0) -> str:
    """Return a difference with its sign: «+5», «−14», «0», «+2,1»; a dash for None."""
    if value is None:
        return "—"
    text = decimal(value, places) if places else count(value)
    return f"+{text}" if value > 0 else text


def days_of_week(week: str) -> str:
    """Return the days of an ISO week: «16–22 ноября», with the year if it is not the current one."""
    year, _, number = week.partition("-W")
    first = date.fromisocalendar(int(year), int(number), 1)
    last = first + timedelta(days=6)
    if not first.year == last.year == clock.today().year:
        return russian.period(first, last)
    begin = str(first.day) if first.month == last.month else f"{russian.day_of_month(first)} "
    return f"{begin}\N{EN DASH}{'' if first.month == last.month else ' '}{russian.day_of_month(last)}"


def counted(value: int, one: str, few: str, many: str) -> str:
    """Return a number with its noun: «3 обращения»."""
    return f"{count(value)}\N{NO-BREAK SPACE}{russian.plural(value, (one, few, many))}"


# The first match is used: a user agent also contains the names of browsers that it is derived from.
_BROWSERS = (
    ("YaBrowser/", "Яндекс Браузер"), ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip


def browser(user_agent: str | None) -> str:
    """Return a user agent as «Firefox, Windows»; the text itself if no known browser is in it."""
    if not user_agent:
        return "программа не названа"
    name = next((title for mark, title in _BROWSERS if mark in user_agent), None)
    system = next((title for mark, title in _SYSTEMS if mark in user_agent), None)
    return shown(user_agent)[:120] if name is None else f"{name}, {system}" if system else name


def shown(value: Any) -> str:
    """Return a text without characters that are invisible or change the text direction; empty for None."""
    return "" if value is None else visible(str(value))


def within_quotes(value: str) -> str:
    """Return a name for use inside quotation marks: quotation marks in it are replaced with inner ones."""
    return value.replace("«", "„").replace("»", "“")


def quoted(value: str) -> str:
    """Return a name in quotation marks: «МБОУ „Школа № 7“»."""
    return f"«{within_quotes(value)}»"


FILTERS = {
    "moment": moment,
    "day": day,
    "dated": dated,
    "dated_day": dated_day,
    "exact": exact,
    "until": until,
    "count": count,
    "decimal": decimal,
    "percent": percent,
    "signed": signed,
    "days_of_week": days_of_week,
    "counted": counted,
    "shown": shown,
    "quoted": quoted,
    "browser": browser,
}
