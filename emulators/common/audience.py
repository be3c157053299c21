"""Made-up audience of posts, computed from ids and age, so that repeated reads agree."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

# After this time a post has half of its final views.
_HALF_LIFE_SECONDS = 8 * 3_600


@dataclass(frozen=True, slots=True)
class PostAudience:
    """The audience of a post until now. `reach` counts people; `views` counts repeated views too."""

    views: int
    likes: int
    reposts: int
    reach: int


def post_audience(page: object, post: object, members: int, age_seconds: float) -> PostAudience:
    """Return the audience of a post of this age on a page with `members` subscribers."""
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
    """Return how many subscribers saw at least one of the posts, if each post is seen independently."""
    missed = 1.0
    for reach in reaches:
        missed *= 1 - min(reach / members, 1) if members else 1
    return int(members * (1 - missed))
