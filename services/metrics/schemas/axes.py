"""The three axes by which answers are measured."""

from enum import StrEnum


class Axis(StrEnum):
    """The axes «оперативность», «объективность», «полнота»."""

    PROMPTNESS = "promptness"
    OBJECTIVITY = "objectivity"
    COMPLETENESS = "completeness"
