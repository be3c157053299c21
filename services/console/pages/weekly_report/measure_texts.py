"""Values of the report's measures as text; the report has percentages from 0 to 100."""

from typing import Any

from services.console.words.formats import count, decimal, signed

NO_DATA = "нет данных"
AXES = {"promptness": "Оперативность", "objectivity": "Объективность", "completeness": "Полнота"}
_SUFFIXES = {"percent": "%", "hours": "ч"}
_CHANGE_SUFFIXES = {"percent": "п.\N{NO-BREAK SPACE}п.", "hours": "ч"}


def measured(value: float | None, unit: str) -> str:
    """Return a value as text: «94,1 %», «12», «3,4 ч», «4,62»."""
    if value is None:
        return NO_DATA
    return _with_suffix(_number(value, unit), _SUFFIXES.get(unit))


def changed(change: float | None, unit: str) -> str:
    """Return the change since the previous week as text: «+2,1 п. п.»."""
    if change is None:
        return NO_DATA
    whole = unit == "count" and float(change).is_integer()
    return _with_suffix(signed(change, 0 if whole else 1), _CHANGE_SUFFIXES.get(unit))


def measure_rows(axis: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the measures of an axis with their names and texts."""
    return [_row(measure, definitions[measure["code"]]) for measure in axis["measures"]]


def _row(measure: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
    unit = definition["unit"]
    low, high = measure["low"], measure["high"]
    return {
        "name": definition["name"],
        "formula": definition["formula"],
        "population": definition["population"],
        "value": measured(measure["value"], unit),
        "change": changed(measure["change"], unit),
        "last_week": measured(measure["last_week"], unit),
        "rows": _share(measure["numerator"], measure["denominator"]),
        "interval": "—" if low is None else f"{decimal(low)}\N{EN DASH}{decimal(high)}\N{NO-BREAK SPACE}%",
    }


def _number(value: float, unit: str) -> str:
    if unit == "count" and float(value).is_integer():
        return count(value)
    return decimal(value, 2 if unit == "mark" else 1)


def _with_suffix(text: str, suffix: str | None) -> str:
    return f"{text}\N{NO-BREAK SPACE}{suffix}" if suffix else text


def _share(part: int | None, whole: int | None) -> str:
    if whole is None:
        return "—"
    return f"измерено {count(whole)}" if part is None else f"{count(part)} из {count(whole)}"
