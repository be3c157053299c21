"""Signs of embellished figures: their conditions and texts."""

from uuid import UUID

import pytest

from services.metrics.fairness.gaming_signs import (
    Conspicuous,
    RepeatedText,
    identical_answers,
    last_minute_answers,
    soon_reopened,
)
from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.schemas.embellishment_signs import SignCode


def ids(count: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in range(count))


def organisation(number: int, found: int, trials: int, group: PeerGroup = PeerGroup.SCHOOLS) -> Conspicuous:
    return Conspicuous(UUID(int=number), group, trials, ids(found))


PEERS = [organisation(number, 1, 25) for number in range(2, 6)]


def test_answers_in_the_last_minutes_are_a_sign_if_peers_have_fewer() -> None:
    (sign,) = last_minute_answers([organisation(1, 12, 40), *PEERS])
    assert (sign.code, sign.organisation_id, sign.appeal_ids) == (
        SignCode.LAST_MINUTE_ANSWERS,
        UUID(int=1),
        ids(12),
    )
    assert sign.sentence == (
        "12 из 40 ответов в срок (30\u00a0%) даны в последние 15 минут до срока; "
        "у сопоставимых организаций\u00a0— 4\u00a0%"
    )


def test_soon_reopened_appeals_are_a_sign_if_peers_have_fewer() -> None:
    (sign,) = soon_reopened([organisation(1, 20, 40), *PEERS])
    assert (sign.code, sign.appeal_ids) == (SignCode.SOON_REOPENED, ids(20))
    assert sign.sentence == (
        "20 из 40 отвеченных или закрытых обращений (50\u00a0%) открыты снова не позже чем через 3 дня; "
        "у сопоставимых организаций\u00a0— 4\u00a0%"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [organisation(1, 4, 4), *PEERS],  # too few appeals
        [organisation(1, 9, 40), *PEERS],  # 22 % against 4 %: chance may explain it
        [organisation(number, 30, 100) for number in range(1, 5)],  # all peers do the same
        [organisation(1, 400, 2000), *(organisation(number, 1100, 10_000) for number in (2, 3))],  # < 2 × 11 %
        [organisation(1, 20, 40)],  # no peers
    ],
)
def test_share_that_is_not_far_above_peers_is_not_a_sign(rows: list[Conspicuous]) -> None:
    assert last_minute_answers(rows) == []


def test_court_without_peers_is_compared_with_all_organisations() -> None:
    court = organisation(1, 12, 40, PeerGroup.COURTS)
    assert [sign.organisation_id for sign in last_minute_answers([court, *PEERS])] == [UUID(int=1)]


def test_text_sent_to_many_people_is_a_sign() -> None:
    rows = [
        RepeatedText(UUID(int=1), answers=40, authors=6, appeal_ids=ids(7)),
        RepeatedText(UUID(int=2), answers=40, authors=4, appeal_ids=ids(9)),
    ]
    (sign,) = identical_answers(rows)
    assert (sign.code, sign.organisation_id) == (SignCode.IDENTICAL_ANSWERS, UUID(int=1))
    assert sign.appeal_ids == ids(7)
    assert sign.sentence == (
        "один и тот же текст опубликован как окончательный ответ на 7 обращений от 6 человек; "
        "всего окончательных ответов\u00a0— 40"
    )
