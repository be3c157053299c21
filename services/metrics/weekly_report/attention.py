"""The matters of a week that need attention first."""

from collections.abc import Sequence
from math import sqrt

from services.metrics.indicators.breakdown import NO_GROUP
from services.metrics.schemas.weekly_report import AttentionItem, PageFigures, TopicRow
from services.metrics.weekly_report.week_figures import WeekFigures
from shared.russian import plural

_APPEALS = ("обращение", "обращения", "обращений")
# A topic grows if its count exceeds the mean of eight weeks by at least this many standard deviations of a Poisson
# count, and by at least this number of appeals.
_DEVIATIONS, _MIN_GROWTH = 3, 5
_MAX_TOPICS = 3


def attention_items(
    figures: WeekFigures, topics: Sequence[TopicRow], pages: PageFigures | None
) -> list[AttentionItem]:
    """Return the matters that need attention, most serious first; matters with a count of zero are left out."""
    total = figures.total
    overdue, broken = total["overdue"], total["promises_broken"]
    deleted, closed = total["deleted"], total["closed_unanswered"]
    answers = plural(overdue, ("ответ просрочен", "ответа просрочены", "ответов просрочено"))
    promises = plural(broken, ("обещание не выполнено", "обещания не выполнены", "обещаний не выполнено"))
    questions = plural(
        deleted, ("вопрос удалён сообществом", "вопроса удалены сообществами", "вопросов удалено сообществами")
    )
    unanswered = plural(
        closed, ("обращение закрыто без ответа", "обращения закрыты без ответа", "обращений закрыто без ответа")
    )
    silent = 0 if pages is None else len(pages.silent)
    items = [
        AttentionItem(
            kind="overdue",
            count=overdue,
            text=f"{overdue} {answers} на конец недели",
            population="overdue",
        ),
        AttentionItem(
            kind="promises_broken",
            count=broken,
            text=f"{broken} {promises}",
            population="promises",
            filter={"status": "broken"},
        ),
        AttentionItem(
            kind="questions_deleted", count=deleted, text=f"{deleted} {questions}", population="deleted"
        ),
        AttentionItem(
            kind="closed_unanswered",
            count=closed,
            text=f"{closed} {unanswered}",
            population="closed_unanswered",
        ),
        *_growing(topics),
        AttentionItem(
            kind="pages_silent",
            count=silent,
            text=f"{silent} {plural(silent, ('страница замолчала', 'страницы замолчали', 'страниц замолчало'))}",
            population=None,
            filter={"silent": "true"},
        ),
    ]
    return [item for item in items if item.count]


def _growing(topics: Sequence[TopicRow]) -> list[AttentionItem]:
    growing = []
    for topic in topics:
        mean, value = topic.appeals.mean_of_8_weeks, topic.appeals.value
        if (
            topic.appeals.change is not None
            and mean is not None
            and value - mean >= max(_MIN_GROWTH, _DEVIATIONS * sqrt(mean))
        ):
            usual = f"{mean:.1f}".replace(".", ",")
            text = f"{topic.label}: {value} {plural(value, _APPEALS)}, обычно {usual} за неделю"
            rows = {"topic_group_id": NO_GROUP if topic.topic_group_id is None else str(topic.topic_group_id)}
            growing.append(
                AttentionItem(kind="topic_grows", count=value, text=text, population="opened", filter=rows)
            )
    return growing[:_MAX_TOPICS]
