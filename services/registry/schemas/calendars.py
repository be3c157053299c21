"""API models of working calendars."""

from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from typing_extensions import TypeAliasType

from services.registry.schemas.fields import EXAMPLE_ID, Name, SingleLine, StrictModel, UpdateModel
from shared.working_time import parse_intervals, total_duration

_zones = cache(available_timezones)


def _known_zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("the time zone is not in the IANA database")
    return value


def _in_order(value: list[tuple[str, str]]) -> list[tuple[str, str]]:
    parse_intervals(value)
    return value


TimeZoneName = Annotated[str, AfterValidator(_known_zone), Field(max_length=64, examples=["Asia/Irkutsk"])]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["09:00"])]
EndOfInterval = Annotated[
    str,
    Field(
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        description="24:00 is the end of the day",
        examples=["18:00"],
    ),
]
Intervals = Annotated[
    list[tuple[TimeOfDay, EndOfInterval]],
    AfterValidator(_in_order),
    Field(
        max_length=12,
        description="Working intervals [from, to] in order; an empty list means a day off",
        examples=[[["09:00", "13:00"], ["14:00", "18:00"]]],
    ),
]
MAX_DAYS = 1000
# With fewer hours, deadlines of some policies would lie beyond the time for which a calendar is searched.
MIN_WEEKLY_HOURS = timedelta(hours=5)
Weekday = TypeAliasType("Weekday", Literal["1", "2", "3", "4", "5", "6", "7"])
Weekly = Annotated[
    dict[Weekday, Intervals],
    Field(
        description="ISO weekday (1 is Monday) to working intervals; a missing weekday is a day off",
        examples=[{"1": [["08:00", "12:00"], ["13:00", "17:00"]], "6": [["09:00", "13:00"]]}],
    ),
]


def _works(value: dict[Weekday, list[tuple[str, str]]]) -> dict[Weekday, list[tuple[str, str]]]:
    worked = sum((total_duration(parse_intervals(spans)) for spans in value.values()), timedelta())
    if worked < MIN_WEEKLY_HOURS:
        raise ValueError("a week must have at least 5 working hours: deadlines are counted in working time")
    return value


WorkingWeek = Annotated[Weekly, AfterValidator(_works)]
CalendarDate = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 12, 31))]


class SpecialDayInput(StrictModel):
    """A date that differs from the weekly pattern."""

    model_config = ConfigDict(from_attributes=True)

    day: CalendarDate = Field(examples=["2026-02-18"])
    intervals: Intervals
    title: Annotated[SingleLine, Field(min_length=1, max_length=200, examples=["Сагаалган"])]


class CalendarCreate(StrictModel):
    """A working calendar for one or more organisations, which extends another calendar."""

    name: Name = Field(examples=["Школы, шестидневная неделя"])
    base_id: UUID | None = Field(
        default=None,
        description="The calendar whose days off and short days also apply, adapted to this week, except for "
        "dates that this calendar defines. Left out: the region's; null: none",
        examples=[None],
    )
    time_zone: TimeZoneName | None = Field(
        default=None, description="Left out: the base calendar's", examples=["Asia/Irkutsk"]
    )
    weekly: WorkingWeek | None = Field(default=None, description="Left out: a copy of the base calendar's week")

    @property
    def extends_default(self) -> bool:
        """Return whether it extends the region's calendar: the default when `base_id` is omitted."""
        return "base_id" not in self.model_fields_set


class CalendarUpdate(UpdateModel):
    """Fields to change; those left out are kept. The base of a calendar cannot change."""

    name: Name | None = Field(default=None, examples=["Школы, шестидневная неделя"])
    time_zone: TimeZoneName | None = Field(default=None, examples=["Asia/Irkutsk"])
    weekly: WorkingWeek | None = None


class SpecialDaysReplace(StrictModel):
    """A calendar's own special days between two dates; other dates there follow its base and weekly pattern."""

    start: CalendarDate = Field(description="First date of the replaced period", examples=["2028-01-01"])
    end: CalendarDate = Field(description="Last date of the replaced period", examples=["2028-12-31"])
    days: Annotated[list[SpecialDayInput], Field(max_length=MAX_DAYS)]

    @field_validator("end")
    @classmethod
    def _after_start(cls, value: date, info: ValidationInfo) -> date:
        if value < info.data.get("start", value):
            raise ValueError("The end is before the start")
        return value

    @field_validator("days")
    @classmethod
    def _fits(cls, value: list[SpecialDayInput], info: ValidationInfo) -> list[SpecialDayInput]:
        named = [special_day.day for special_day in value]
        start, end = info.data.get("start"), info.data.get("end")
        if start and end and (outside := [day for day in named if not start <= day <= end]):
            raise ValueError(f"{outside[0]} is not between start and end")
        if len(set(named)) < len(named):
            raise ValueError("a date is given twice: give each date once")
        return value


class CalendarSummary(BaseModel):
    """A working calendar without its special days."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[EXAMPLE_ID])
    version: int = Field(description="Send it in `If-Match` of a change", examples=[1])
    name: str = Field(examples=["Республика Бурятия, пятидневная неделя"])
    time_zone: str = Field(examples=["Asia/Irkutsk"])
    weekly: dict[Weekday, list[tuple[str, str]]] = Field(
        examples=[{"1": [["09:00", "13:00"], ["14:00", "18:00"]]}]
    )
    base_id: UUID | None = Field(description="The calendar whose special days also apply", examples=[None])
    is_default: bool = Field(description="Applies to organisations without a calendar of their own")
    created_at: datetime
    updated_at: datetime


class SpecialDay(SpecialDayInput):
    """A date that differs from the weekly pattern: the calendar's own or inherited."""

    own: bool = Field(description="false: inherited from the base calendar, adapted to this week", examples=[True])


class Calendar(CalendarSummary):
    """A working calendar with the days that differ from its week, in order, inherited days included."""

    days: list[SpecialDay]
