"""The made-up audience of posts is consistent and grows."""

from emulators.common.audience import joint_reach, post_audience

HOUR = 3_600


def test_audience_of_a_post_grows_and_repeated_reads_agree() -> None:
    young, old = (post_audience(1, 2, 5_000, age * HOUR) for age in (1, 100))
    assert post_audience(1, 2, 5_000, HOUR) == young
    assert 0 < young.views < old.views < 5_000
    assert (old.likes > 0, old.reach < old.views, old.reposts < old.likes) == (True, True, True)
    assert post_audience(1, 2, 5_000, -HOUR).views == 0


def test_joint_reach_counts_a_person_once() -> None:
    assert joint_reach(1_000, [500, 500]) == 750
    assert joint_reach(1_000, [2_000, 1]) == 1_000
    assert joint_reach(0, [5]) == joint_reach(1_000, []) == 0
