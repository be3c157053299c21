"""API models of figures from graded answers: agreement of graders, hints, quality."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.metrics.schemas.axes import Axis

# Reports show it as «мало данных».
Withheld = TypeAliasType("Withheld", Literal["too_few"])


class CriterionAgreement(BaseModel):
    """How far two graders agree on a criterion.

    κ = 1 − Σ wᵢⱼ·Oᵢⱼ / Σ wᵢⱼ·Eᵢⱼ over the scores 0, 1, 2; O are the observed shares of pairs, E the shares
    expected for independent graders with the same marginal shares. Unweighted: wᵢⱼ = 1 for i ≠ j. Linear: wᵢⱼ = |i
    − j| / 2.
    """

    code: str = Field(examples=["question"])
    title: str = Field(examples=["Ответ по существу вопроса"])
    n: int = Field(description="Answers that two people graded on it", examples=[40])
    agreed: int = Field(description="Of these, with the same score", examples=[33])
    kappa: float | None = Field(description="Null if undefined: all scores are the same", examples=[0.68])
    weighted_kappa: float | None = Field(description="Linearly weighted", examples=[0.74])
    weighted_low: float | None = Field(
        description="The lower limit of its 95 % interval (Fleiss, Cohen, Everitt 1969)", examples=[0.58]
    )
    trusted: bool | None = Field(
        description="Whether `weighted_low` reaches the minimum; false: it is not shown that people read the "
        "criterion the same way. Null: too few pairs, or nearly all scores are the same, so that κ says nothing",
        examples=[True],
    )


class _Report(BaseModel):
    start: datetime = Field(serialization_alias="from", examples=["2026-11-16T00:00:00+08:00"])
    end: datetime = Field(
        serialization_alias="to", description="Not included", examples=["2026-11-23T00:00:00+08:00"]
    )
    time_zone: str = Field(examples=["Asia/Irkutsk"])


class GraderAgreementReport(_Report):
    """Agreement of graders over the answers published in a period and graded by two people."""

    minimum_pairs: int = Field(description="Pairs below which `trusted` is null", examples=[20])
    minimum_kappa: float = Field(description="`weighted_low` below which a criterion is untrusted", examples=[0.4])
    criteria: list[CriterionAgreement]


class HintShare(BaseModel):
    """A share with its 95 % Wilson interval; null if the divisor is zero."""

    share: float | None = Field(examples=[0.8])
    low: float | None = Field(examples=[0.55])
    high: float | None = Field(examples=[0.93])


class HintFigures(BaseModel):
    """A hint compared with graders. A fault is a score of 1 or less on the criterion."""

    code: str = Field(description="The hint", examples=["canned_phrase"])
    criterion: str = Field(examples=["own_words"])
    compared: int = Field(description="Graded answers that were checked when submitted", examples=[90])
    flagged: int = Field(description="Of these, with the hint", examples=[20])
    faulty: int = Field(description="Of these, with the fault according to people's scores", examples=[25])
    both: int = Field(examples=[16])
    precision: HintShare = Field(description="Flagged answers that have the fault")
    recall: HintShare = Field(description="Faulty answers that were flagged")
    trusted: bool | None = Field(
        description="Whether the precision is, by its whole interval, above one half and above the share of "
        "faults among answers without the hint. Null: too few flagged",
        examples=[True],
    )


class HintReport(_Report):
    """Automatic hints compared with graders' scores of the answers published in a period."""

    minimum_pairs: int = Field(description="Flagged answers below which `trusted` is null", examples=[20])
    hints: list[HintFigures]


class QualityGroupBy(StrEnum):
    """The groupings of quality figures."""

    ORGANISATION = "organisation"
    CRITERION = "criterion"


class MeanScore(BaseModel):
    """A mean score of 0 to 2, weighted so that each organisation counts in proportion to its answers.

    The 95 % interval is Wilson's for half the mean, with the effective sample size (Σw)² / Σw².
    """

    n: int = Field(description="Graded answers", examples=[40])
    mean: float | None = Field(examples=[1.42])
    low: float | None = Field(examples=[1.11])
    high: float | None = Field(examples=[1.66])
    withheld: Withheld | None = Field(description="Why the mean is null: «мало данных»")


class CriterionMean(MeanScore):
    """The mean score of a criterion."""

    code: str = Field(examples=["question"])
    title: str = Field(examples=["Ответ по существу вопроса"])
    axes: list[Axis] = Field(description="The axes it counts for")
    trusted: bool | None = Field(description="By the agreement of graders in the period", examples=[True])


class AxisScore(MeanScore):
    """The mean score of an axis: the mean over answers of the mean of their criteria on that axis."""

    axis: Axis = Field(examples=["objectivity"])


class QualityFigures(BaseModel):
    """Quality of a set of answers."""

    graded: int = Field(description="Graded answers", examples=[40])
    criteria: list[CriterionMean]
    axes: list[AxisScore] = Field(description="Promptness is not graded but computed: see the SLA figures")


class QualityGroup(QualityFigures):
    """Quality of the answers of one organisation, or by one criterion."""

    key: str = Field(description="Id of the organisation, or code of the criterion", examples=["question"])
    name: str = Field(examples=["Ответ по существу вопроса"])


class QualityReport(_Report):
    """Graders' scores of the answers published in a period, as far as they are graded."""

    group_by: QualityGroupBy | None
    minimum: int = Field(description="Graded answers below which a mean is withheld", examples=[10])
    total: QualityFigures
    groups: list[QualityGroup]
