"""Persons of the emulated VK: invented citizens and the pages' staff."""

import random
from typing import Any

from emulators.common.citizens import population

FIRST_CITIZEN = 700_000_001
STAFF = 600_000_001
"""The one member of staff behind every page."""


class People:
    """Names by user id; an id outside the population is a person too, with a name made of it."""

    def __init__(self, size: int, seed: int, base_url: str) -> None:
        self._citizens = population(size, seed)
        self._random = random.Random(seed)
        self._base_url = base_url

    def anyone(self) -> int:
        """Id of some citizen."""
        return FIRST_CITIZEN + self._random.randrange(len(self._citizens))

    def profile(self, user_id: int) -> dict[str, Any]:
        """User object as `profiles` carry it."""
        number = user_id - FIRST_CITIZEN
        first, last, female = "Житель", f"№ {user_id}", False
        if 0 <= number < len(self._citizens):
            citizen = self._citizens[number]
            first, last, female = citizen.first_name, citizen.last_name, citizen.female
        elif user_id == STAFF:
            first, last = "Сотрудник", "Сообщества"
        photo = f"{self._base_url}/images/camera_50.png"
        return {
            "id": user_id,
            "first_name": first,
            "last_name": last,
            "can_access_closed": True,
            "is_closed": False,
            "sex": 1 if female else 2,
            "screen_name": f"id{user_id}",
            "photo_50": photo,
            "photo_100": photo,
            "online": 0,
        }
