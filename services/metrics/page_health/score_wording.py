"""Russian texts about page scores: titles of criteria, evidence, advice."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

from services.metrics.page_health.scoring import is_hidden, rounded_score
from services.metrics.schemas.page_formulas import PageCriterion, PageCriterionKind, PageFormula
from services.metrics.schemas.page_health import PageInputs
from shared.clock import REGION_TIME_ZONE
from shared.russian import plural

_STEP_TITLES = {
    "connected": "Подключение к компоненту «Госпаблики»",
    "gov_badge": "Госметка",
    "verified": "Отметка соцсети",
    "live": "Ввод страницы в работу",
}
_TITLES = {
    PageCriterionKind.APPEARANCE: "Оформление",
    PageCriterionKind.WIDGETS: "Виджеты",
    PageCriterionKind.FRESHNESS: "Свежесть публикаций",
    PageCriterionKind.REACH_SHARE: "Общий охват за неделю",
    PageCriterionKind.MEAN_POST_REACH: "Средний охват публикации",
    PageCriterionKind.COMMENTS_OPEN: "Открытые комментарии",
    PageCriterionKind.COMMENTS_PER_POST: "Отклик на публикации",
    PageCriterionKind.TWO_WAY_SHARE: "Диалог с гражданами",
    PageCriterionKind.ANSWERED_SHARE: "Ответы на обращения",
    PageCriterionKind.ENGAGEMENT: "Вовлечённость",
}
_PARTS = {"avatar": "аватар", "description": "описание", "cover": "обложка"}
_PARTS_TO_ADD = {"avatar": "аватар", "description": "описание", "cover": "обложку"}
_NO_REACH = "Нет данных: охват известен только по ключу администратора страницы"
_NO_WALL = "Нет данных: записи страницы не прочитаны"
_NO_DATA = {
    PageCriterionKind.APPEARANCE: "Нет данных: за неделю страницу не удалось проверить",
    PageCriterionKind.WIDGETS: "Нет данных о виджетах",
    PageCriterionKind.POSTS: _NO_WALL,
    PageCriterionKind.FRESHNESS: _NO_WALL,
    PageCriterionKind.REACH_SHARE: _NO_REACH,
    PageCriterionKind.MEAN_POST_REACH: _NO_REACH,
    PageCriterionKind.ENGAGEMENT: "Нет данных: просмотры записей неизвестны",
    PageCriterionKind.COMMENTS_OPEN: "Нет данных: неизвестно, открыты ли комментарии",
    PageCriterionKind.COMMENTS_PER_POST: "Нет данных: за неделю записей не было или они не прочитаны",
    PageCriterionKind.TWO_WAY_SHARE: "Нет данных: за неделю граждане писали слишком мало",
    PageCriterionKind.ANSWERED_SHARE: "Нет данных: слишком мало обращений, на которые пора было ответить",
}
_NO_RULE = "Нет данных: правило для этого показателя не задано"
_HIDDEN = "Страница закрыта или удалена: граждане её не видят"
_STEP_ADVICE = {
    "connected": "Подключите страницу к компоненту «Госпаблики»",
    "gov_badge": "Получите госметку: подтвердите статус через Госуслуги",
    "verified": "Получите отметку соцсети",
    "live": "Введите страницу в работу",
}
_ADVICE = {
    PageCriterionKind.WIDGETS: "Установите оба виджета: «Сообщить о проблеме» и «Высказать мнение»",
    PageCriterionKind.REACH_SHARE: "Повысьте охват: он мал для числа подписчиков",
    PageCriterionKind.MEAN_POST_REACH: "Повысьте средний охват записи",
    PageCriterionKind.COMMENTS_OPEN: "Откройте комментарии",
    PageCriterionKind.COMMENTS_PER_POST: "Публикуйте то, что граждане захотят обсудить",
    PageCriterionKind.ENGAGEMENT: "Публикуйте то, на что граждане отзовутся",
}


def criterion_title(criterion: PageCriterion) -> str:
    """Return the title of a criterion."""
    if criterion.kind is PageCriterionKind.STEP:
        return _STEP_TITLES[criterion.step or ""]
    if criterion.kind is PageCriterionKind.POSTS:
        return f"Публикации за {_days(criterion.days or 0)}"
    return _TITLES[criterion.kind]


def criterion_evidence(criterion: PageCriterion, possible: int, inputs: PageInputs) -> str:
    """Return why a page got its points for a criterion."""
    if criterion.levels == []:
        return _NO_RULE
    if possible == 0:
        return _NO_DATA[criterion.kind]
    return _HIDDEN if is_hidden(inputs) else _EVIDENCE[criterion.kind](criterion, inputs)


def page_advice(formula: PageFormula, earned: Mapping[str, tuple[int, int]], inputs: PageInputs) -> str | None:
    """Return advice on what would add most to the score; None if no points are missing.

    `earned` has the points and possible points by key of the criterion. Of equal gains the first criterion is
    used.
    """
    if is_hidden(inputs):
        return "Откройте страницу: сейчас граждане её не видят."
    possible = sum(most for _, most in earned.values())
    gains = [earned[criterion.key][1] - earned[criterion.key][0] for criterion in formula.criteria]
    gain = max(gains)
    if gain <= 0:
        return None
    wanted = _advice_for(formula.criteria[gains.index(gain)], inputs)
    return f"{wanted}. Это добавит {_score_points(rounded_score(gain, possible))}."


def _advice_for(criterion: PageCriterion, inputs: PageInputs) -> str:
    if criterion.kind is PageCriterionKind.STEP:
        return _STEP_ADVICE[criterion.step or ""]
    if criterion.kind is PageCriterionKind.APPEARANCE:
        missing = [name for part, name in _PARTS_TO_ADD.items() if getattr(inputs, part) is False]
        return f"Добавьте: {', '.join(missing)}"
    if (advice := _ADVICE.get(criterion.kind)) is not None:
        return advice
    best = max(criterion.levels or [], key=lambda level: level.points).threshold
    return _ADVICE_WITH_LEVEL[criterion.kind](criterion, inputs, best)


def _more_posts(criterion: PageCriterion, inputs: PageInputs, best: int) -> str:
    days = criterion.days or 0
    wanted = f"{best} {plural(best, ('записи', 'записей', 'записей'))} за {_days(days)}"
    return f"Публикуйте чаще: нужно не меньше {wanted}, сейчас {(inputs.posts or {}).get(days, 0)}"


def _shorter_pauses(_criterion: PageCriterion, _inputs: PageInputs, best: int) -> str:
    return f"Публикуйте без перерывов дольше {best} {plural(best, ('дня', 'дней', 'дней'))}"


def _more_dialogue(_criterion: PageCriterion, inputs: PageInputs, best: int) -> str:
    share = _percent(inputs.citizen_messages_in_dialogue, inputs.citizen_messages)
    return f"Отвечайте в ветках: нужно не меньше чем на {best}\u00a0% сообщений, сейчас на {share}\u00a0%"


def _more_answers(_criterion: PageCriterion, inputs: PageInputs, best: int) -> str:
    share = _percent(inputs.appeals_answered, inputs.appeals_due)
    return f"Отвечайте на обращения: нужно не меньше чем на {best}\u00a0%, сейчас на {share}\u00a0%"


def _step(criterion: PageCriterion, inputs: PageInputs) -> str:
    reached_on = inputs.steps.get(criterion.step or "")
    return f"Подтверждено {reached_on:%d.%m.%Y}" if reached_on else "Не подтверждено в реестре"


def _appearance(_criterion: PageCriterion, inputs: PageInputs) -> str:
    words = {True: "есть", False: "нет", None: "нет данных"}
    parts = [f"{name}: {words[getattr(inputs, part)]}" for part, name in _PARTS.items()]
    return "; ".join(parts).capitalize()


def _posts(criterion: PageCriterion, inputs: PageInputs) -> str:
    days = criterion.days or 0
    return f"Записей за {_days(days)}: {(inputs.posts or {}).get(days, 0)}"


def _freshness(_criterion: PageCriterion, inputs: PageInputs) -> str:
    if inputs.last_post_at is None:
        return "Записей нет"
    return f"Последняя запись: {inputs.last_post_at.astimezone(REGION_TIME_ZONE):%d.%m.%Y}"


def _reach(_criterion: PageCriterion, inputs: PageInputs) -> str:
    counted = " (сумма по дням)" if inputs.reach_counted_by == "days" else ""
    return f"Охват: {inputs.reach}{counted}; подписчиков: {inputs.members}{_checked_on(inputs.reach_on)}"


def _engagement(_criterion: PageCriterion, inputs: PageInputs) -> str:
    counts = f"Лайков: {inputs.likes}; комментариев: {inputs.comments}; репостов: {inputs.reposts}"
    return f"{counts}; просмотров: {inputs.views}{_checked_on(inputs.reactions_on)}"


def _checked_on(day: date | None) -> str:
    return f"; проверка {day:%d.%m.%Y}" if day is not None else ""


def _days(count: int) -> str:
    return f"{count} {plural(count, ('день', 'дня', 'дней'))}"


def _percent(part: int, whole: int) -> int:
    return 100 * part // whole


def _score_points(count: Decimal) -> str:
    if count == count.to_integral_value():
        return f"{int(count)} {plural(int(count), ('балл', 'балла', 'баллов'))}"
    return f"{count} балла".replace(".", ",")


_EVIDENCE: Mapping[PageCriterionKind, Callable[[PageCriterion, PageInputs], str]] = {
    PageCriterionKind.STEP: _step,
    PageCriterionKind.APPEARANCE: _appearance,
    PageCriterionKind.POSTS: _posts,
    PageCriterionKind.FRESHNESS: _freshness,
    PageCriterionKind.WIDGETS: lambda _, inputs: (
        f"Виджетов: {inputs.widgets}" if inputs.widgets else "Этап «виджеты» не подтверждён в реестре"
    ),
    PageCriterionKind.REACH_SHARE: _reach,
    PageCriterionKind.MEAN_POST_REACH: lambda _, inputs: (
        f"Средний охват записи: {inputs.mean_post_reach}{_checked_on(inputs.reach_on)}"
    ),
    PageCriterionKind.ENGAGEMENT: _engagement,
    PageCriterionKind.COMMENTS_OPEN: lambda _, inputs: (
        "Комментарии открыты" if inputs.comments_open else "Комментарии закрыты"
    ),
    PageCriterionKind.COMMENTS_PER_POST: lambda _, inputs: (
        f"Сообщений граждан: {inputs.citizen_messages}; записей за 7 дней: {(inputs.posts or {}).get(7, 0)}"
    ),
    PageCriterionKind.TWO_WAY_SHARE: lambda _, inputs: (
        f"Сообщений граждан: {inputs.citizen_messages}; "
        f"после них страница писала в ветке: {inputs.citizen_messages_in_dialogue}"
    ),
    PageCriterionKind.ANSWERED_SHARE: lambda _, inputs: (
        f"Обращений, на которые пора было ответить: {inputs.appeals_due}; с ответом: {inputs.appeals_answered}"
    ),
}
_ADVICE_WITH_LEVEL: Mapping[PageCriterionKind, Callable[[PageCriterion, PageInputs, int], str]] = {
    PageCriterionKind.POSTS: _more_posts,
    PageCriterionKind.FRESHNESS: _shorter_pauses,
    PageCriterionKind.TWO_WAY_SHARE: _more_dialogue,
    PageCriterionKind.ANSWERED_SHARE: _more_answers,
}
