"""Samples of answers: reproducible, from every organisation, in proportion to their answers."""

import random
from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.metrics.grading.sampling import Answer, draw

SIZES = st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=8)


def week(sizes: list[int]) -> list[Answer]:
    """Return answers, this many of each organisation, each with a different text."""
    source = random.Random(7)
    ids = [UUID(int=source.getrandbits(128)) for _ in range(sum(sizes) + len(sizes))]
    answers = []
    for size in sizes:
        organisation = ids.pop()
        answers += [Answer(reply, organisation, reply) for reply in (ids.pop() for _ in range(size))]
    return answers


@settings(max_examples=50)
@given(sizes=SIZES, size=st.integers(min_value=0, max_value=80), seed=st.text(max_size=8), shuffle=st.randoms())
def test_sample_depends_only_on_seed_and_answers(
    sizes: list[int], size: int, seed: str, shuffle: random.Random
) -> None:
    answers = week(sizes)
    drawn = draw(answers, size, seed, 0.2)
    shuffle.shuffle(answers)
    assert draw(answers, size, seed, 0.2) == drawn
    assert len(drawn) == len({one.reply_id for one in drawn}) == min(size, len(answers))
    assert sum(one.graders_wanted for one in drawn) - len(drawn) == round(0.2 * len(drawn))


@settings(max_examples=50)
@given(sizes=SIZES, size=st.integers(min_value=1, max_value=80), seed=st.text(max_size=8))
def test_every_organisation_gets_one_answer_and_the_rest_in_proportion(
    sizes: list[int], size: int, seed: str
) -> None:
    answers = week(sizes)
    drawn = draw(answers, size, seed, 0)
    counts = Counter(one.organisation_id for one in drawn)
    assert len(counts) == min(size, len(sizes))
    of_organisation = Counter(answer.organisation_id for answer in answers)
    assert all(one.stratum_size == of_organisation[one.organisation_id] for one in drawn)
    if size <= len(sizes):
        return
    rest, others = len(drawn) - len(sizes), len(answers) - len(sizes)
    for organisation, count in counts.items():
        share = rest * (of_organisation[organisation] - 1) / others if others else 0
        assert abs(count - 1 - share) < 1
        assert count <= of_organisation[organisation]


def test_another_seed_gives_another_sample() -> None:
    answers = week([50, 30, 20])
    assert draw(answers, 20, "one", 0) != draw(answers, 20, "two", 0)


def test_organisations_have_equal_chances_if_the_sample_is_smaller_than_their_number() -> None:
    answers = week([40] + [1] * 9)
    large = answers[0].organisation_id
    chosen = sum(any(one.organisation_id == large for one in draw(answers, 5, f"seed {n}", 0)) for n in range(200))
    # Half of 200 samples, within four standard deviations. If an organisation's chance grew with its number of
    # answers, nearly all samples would contain the large one.
    assert abs(chosen - 100) <= 28


def test_one_text_sent_to_many_appeals_is_drawn_once() -> None:
    answers = week([30, 5])
    copied = answers[0].reply_id
    same = [Answer(one.reply_id, one.organisation_id, copied) for one in answers[:20]]
    drawn = draw(same + answers[20:], 100, "seed", 0)
    assert len({one.reply_id for one in drawn} & {one.reply_id for one in same}) == 1
    assert sorted({one.stratum_size for one in drawn}) == [5, 11]
