"""Numbers, dates and periods in Russian official style; the same text for HTML, PDF and XLSX."""

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from services.metrics.schemas.weekly_report import MeasureUnit
from shared.russian import grouped, long_day

NO_DATA = "нет данных"
TOO_FEW = "мало данных"
# Shown where a value is not applicable, such as the interval of a count.
NOT_APPLICABLE = "\N{EM DASH}"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
POINTS = f"п.{NO_BREAK_SPACE}п."


def count(value: int | None) -> str:
    """Return a whole number: «1 024», «−50», «нет данных»."""
    return NO_DATA if value is None else grouped(f"{value:,}")


def decimal(value: float | None, *, places: int = 1) -> str:
    """Return a number with at least `places` decimals, and a second decimal if the value has one: «94,1»,
    «71,25».
    """
    if value is None:
        return NO_DATA
    # Adding zero turns −0 into 0.
    rounded = Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP) + 0
    whole, _, fraction = f"{rounded:,}".partition(".")
    return f"{grouped(whole)},{fraction.rstrip('0').ljust(places, '0')}"


def percent(value: float | None) -> str:
    """Return a percentage: «94,1 %»."""
    return NO_DATA if value is None else f"{decimal(value)}{NO_BREAK_SPACE}%"


def signed(value: float | None) -> str:
    """Return a difference: «−50», «+2,1», «0»."""
    if value is None:
        return NO_DATA
    text = count(value) if isinstance(value, int) else decimal(value)
    return f"+{text}" if value > 0 else text


def compared(value: int | None, change: int | None) -> str:
    """Return a count with its change: «508 (−50)»; without earlier data only the count."""
    return count(value) if value is None or change is None else f"{count(value)} ({signed(change)})"


def share_of(part: int | None, whole: int | None) -> str:
    """Return two counts: «478 из 508»; «измерено 508» if there is no partial count; or a dash."""
    if whole is None:
        return NOT_APPLICABLE
    return f"измерено {count(whole)}" if part is None else f"{count(part)} из {count(whole)}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of percentages: «91,7–95,8 %»; a dash if there is none."""
    return NOT_APPLICABLE if low is None or high is None else f"{decimal(low)}{DASH}{percent(high)}"


def measure(value: float | None, unit: MeasureUnit) -> str:
    """Return the value of a measure with its unit: «94,1 %», «12», «3,4 ч»; a mark has no unit: «1,62»."""
    if value is None:
        return NO_DATA
    match unit:
        case "percent":
            return percent(value)
        case "count":
            return count(int(value)) if float(value).is_integer() else decimal(value)
        case "hours":
            return f"{decimal(value)}{NO_BREAK_SPACE}ч"
        case "mark":
            return decimal(value)


def measure_change(change: float | None, unit: MeasureUnit) -> str:
    """Return the change of a measure; for percentages in percentage points («+2,1 п. п.»)."""
    if change is None:
        return NO_DATA
    whole = unit == "count" and float(change).is_integer()
    text = signed(int(change)) if whole else signed(float(change))
    suffix = {"percent": POINTS, "hours": "ч"}.get(unit)
    return f"{text}{NO_BREAK_SPACE}{suffix}" if suffix else text


def day(value: date | None) -> str:
    """Return a date for tables: «22.11.2026»."""
    return NO_DATA if value is None else f"{value:%d.%m.%Y}"


def moment(value: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment in the region's time: «23.11.2026 08:05»."""
    return NO_DATA if value is None else f"{value.astimezone(zone):%d.%m.%Y %H:%M}"


def long_moment(value: datetime, zone: ZoneInfo) -> str:
    """Return a moment for use in a sentence: «23 ноября 2026 г. в 08:05»."""
    local = value.astimezone(zone)
    return f"{long_day(local.date())} в{NO_BREAK_SPACE}{local:%H:%M}"


def week_name(week: str) -> str:
    """Return the name of an ISO week: «47-я неделя 2026 года»."""
    year, _, number = week.partition("-W")
    return f"{int(number)}-я неделя {year} года"
