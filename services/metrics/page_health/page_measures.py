"""The definitions of the measures of the pages' audience. A changed definition gets a new version.

`services/metrics/weekly_report/measures_document.py` prints them for the docs; every report contains them.
"""

from services.metrics.schemas.weekly_report import PageMeasureDefinition

_WEEK = "неделя региона; оценка ставится один раз, после её конца, и не меняется"
_SCORED = "действующие страницы, заведённые до конца недели"
_SEVEN_DAYS = "семь дней до последней проверки страницы с пятницы по воскресенье, в которой число известно"
_POSTS = "собственные записи страниц за семь дней"
_GONE = "записи, удалённые к проверке"

PAGE_MEASURES: tuple[PageMeasureDefinition, ...] = (
    PageMeasureDefinition(
        code="page_score",
        version=1,
        name="Балл страницы",
        formula=(
            "100 × баллы критериев ÷ возможные баллы; критерии, веса и ступени – в версии формулы, действующей на "
            "этой неделе; критерий без данных не входит ни в баллы, ни в возможные"
        ),
        unit="mark",
        clock=_WEEK,
        population=_SCORED,
        exclusions="страницы, о которых известно слишком мало",
    ),
    PageMeasureDefinition(
        code="page_light",
        version=1,
        name="Светофор",
        formula=(
            "число страниц, балл которых не ниже зелёной границы формулы (зелёные), не ниже жёлтой (жёлтые), ниже "
            "её (красные); о страницах без балла мало данных"
        ),
        unit="count",
        clock=_WEEK,
        population=f"{_SCORED}; по группам сопоставимых организаций, какие они сейчас",
        exclusions="нет",
    ),
    PageMeasureDefinition(
        code="page_views",
        version=1,
        name="Просмотры записей",
        formula="сумма показов записей, один человек считается столько раз, сколько увидел запись; это не охват",
        unit="count",
        clock=_SEVEN_DAYS,
        population=_POSTS,
        exclusions=f"{_GONE}; Одноклассники: сеть не сообщает просмотры записей",
    ),
    PageMeasureDefinition(
        code="page_interactions",
        version=1,
        name="Реакции",
        formula="лайки + комментарии + репосты записей, вместе с комментариями самой страницы",
        unit="count",
        clock=_SEVEN_DAYS,
        population=_POSTS,
        exclusions=_GONE,
    ),
    PageMeasureDefinition(
        code="page_engagement",
        version=1,
        name="Вовлечённость",
        formula="100 × реакции ÷ просмотры тех же записей; где просмотры неизвестны – 100 × реакции ÷ подписчики",
        unit="percent",
        clock=_SEVEN_DAYS,
        population="страницы с записями за семь дней, реакции на которые известны",
        exclusions="страницы без записей; страницы, просмотры записей и подписчики которых неизвестны",
    ),
    PageMeasureDefinition(
        code="page_reach_share",
        version=1,
        name="Охват подписчиков",
        formula=(
            "100 × охват ÷ подписчики; охват – люди, увидевшие страницу: во ВКонтакте каждый считается один раз "
            "за неделю, в Одноклассниках – один раз за день"
        ),
        unit="percent",
        clock=_SEVEN_DAYS,
        population="страницы, охват которых прочитан по ключу администратора",
        exclusions="страницы без такого ключа и те, охват которых сеть не показала; неизвестный охват – не ноль",
    ),
    PageMeasureDefinition(
        code="page_mean_post_reach",
        version=1,
        name="Средний охват записи",
        formula="сумма охватов записей ÷ число записей",
        unit="count",
        clock=_SEVEN_DAYS,
        population="собственные записи страниц, охват которых прочитан по ключу администратора",
        exclusions="Одноклассники: сеть не сообщает охват записи",
    ),
)
