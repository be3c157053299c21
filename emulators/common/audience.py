"""How many people see, like and share posts: made up from ids and age, so that any two reads agree."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

# After this time a post has half of the views that it will ever have.
_HALF_LIFE_SECONDS = 8 * 3_600


@dataclass(frozen=True, slots=True)
class PostAudience:
    """What a post has reached so far. `reach` counts people, `views` counts each time somebody saw it."""

    views: int
    likes: int
    reposts: int
    reach: int


def post_audience(page: object, post: object, members: int, age_seconds: float) -> PostAudience:
    """Return the audience of a post of this age on a page with so many subscribers."""
    draw = random.Random(f"{page}:{post}")
    seen = 1 - 2 ** (-max(age_seconds, 0) / _HALF_LIFE_SECONDS)
    views = int(members * draw.uniform(0.15, 0.6) * seen)
    return PostAudience(
        views=views,
        likes=int(views * draw.uniform(0.01, 0.05)),
        reposts=int(views * draw.uniform(0, 0.008)),
        reach=int(views * draw.uniform(0.75, 0.95)),
    )


def joint_reach(members: int, reaches: Iterable[int]) -> int:
    """Return how many of the subscribers saw at least one of several posts, each seen independently."""
    missed = 1.0
    for reach in reaches:
        missed *= 1 - min(reach / members, 1) if members else 1
    return int(members * (1 - missed))
