"""Corrections: figures that differ from the published ones."""

from services.metrics.rendering.corrected_figures import figure_names
from services.metrics.schemas.weekly_report import PageFigures, ReportDocument
from services.metrics.weekly_report.corrections import differences
from tests.support.sample_report import sample_report


def _with_pages(document: ReportDocument, **changed: object) -> ReportDocument:
    assert document.pages is not None
    return document.model_copy(update={"pages": document.pages.model_copy(update=changed)})


def _pages(document: ReportDocument) -> PageFigures:
    assert document.pages is not None
    return document.pages


def test_missing_comparisons_with_last_week_are_not_corrections() -> None:
    published = sample_report().report
    pages = _pages(published)
    group = pages.groups[0].model_copy(update={"light_changes": None, "green": 60})
    rebuilt = _with_pages(
        published, lights_last_week=None, light_changes=None, mean_score_last_week=None, change=None,
        groups=[group, *pages.groups[1:]],
    )  # fmt: skip
    (one,) = differences(published, rebuilt)
    assert (one.pointer, one.published, one.now) == ("/pages/groups/regional_bodies/green", 61, 60)


def test_formulas_with_one_name_are_distinguished_by_number() -> None:
    formula = _pages(sample_report().report).formulas[0]
    second = formula.model_copy(update={"number": 2, "green_from": 70})
    published = _with_pages(sample_report().report, formulas=[formula, second])
    rebuilt = _with_pages(published, formulas=[formula, second.model_copy(update={"green_from": 75})])
    (one,) = differences(published, rebuilt)
    assert (one.pointer, one.published, one.now) == ("/pages/formulas/2/green_from", 70, 75)
    assert figure_names([one], published) == ["Страницы: Светофор 2026: зелёная от"]
