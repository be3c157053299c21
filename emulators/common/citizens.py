"""Generated citizens: a reproducible population, and a task that writes random messages for them."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from emulators.common.errors import RefusedError, UnknownError
from emulators.common.network_protocol import MESSAGE_KINDS, EmulatedNetwork
from emulators.common.sample_texts import generate_text

_MEN = "Артём Баир Борис Виктор Геннадий Даши Доржи Егор Жаргал Зорикто Игорь Кирилл Леонид Матвей Никита Олег"
_WOMEN = "Алтана Валентина Галина Дарима Ева Жанна Зоя Инна Кира Лидия Марина Нина Оюна Полина Сэсэг Туяна"
_MEN_LAST = "Багров Ветлугин Гармажапов Дальнев Ершинин Жигалин Зарубов Ивняков Кедрин Лапшаков Мохов Нартов"
_WOMEN_LAST = "Багрова Ветлугина Гармажапова Дальнева Ершинина Жигалина Зарубова Ивнякова Кедрина Мохова Нартова"


@dataclass(frozen=True)
class Citizen:
    """A generated person. `number` counts from zero; the same seed gives the same person for a number."""

    number: int
    first_name: str
    last_name: str
    female: bool


def generate_citizens(size: int, seed: int) -> list[Citizen]:
    """Return `size` generated people; the same for the same seed."""
    source = random.Random(seed)
    people = []
    for number in range(size):
        female = source.random() < 0.6
        first = source.choice((_WOMEN if female else _MEN).split())
        last = source.choice((_WOMEN_LAST if female else _MEN_LAST).split())
        people.append(Citizen(number, first, last, female))
    return people


class CitizenWriter:
    """Writes messages of citizens at a given rate, to random pages and of random kinds."""

    def __init__(
        self, world: EmulatedNetwork, seed: int, per_minute: float, on_error: Callable[[Exception], None]
    ) -> None:
        self._world = world
        self._random = random.Random(seed + 1)
        self._per_minute = per_minute
        self._changed = asyncio.Event()
        self._on_error = on_error

    @property
    def per_minute(self) -> float:
        """Return the messages per minute over all pages."""
        return self._per_minute

    def set_rate(self, per_minute: float) -> None:
        """Change the rate immediately; 0 stops the writer."""
        self._per_minute = per_minute
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self._changed.clear()
            pause = self._random.expovariate(self._per_minute / 60) if self._per_minute > 0 else None
            try:
                await asyncio.wait_for(self._changed.wait(), pause)
            except TimeoutError:
                # The pause may end in the same loop iteration that changed the rate; the new rate applies.
                if not self._changed.is_set():
                    self.write_one()

    def write_one(self) -> None:
        """Write one message of a random citizen now; without pages, do nothing."""
        pages = self._world.pages()
        if not pages:
            return
        page = str(self._random.choice(pages)["id"])
        kind = self._random.choices(MESSAGE_KINDS, weights=(6, 2, 2))[0]
        try:
            self._world.citizen_writes(page=page, kind=kind, text=generate_text(self._random))
        except (RefusedError, UnknownError) as error:
            # Expected: a closed wall or a page without posts rejects messages.
            self._on_error(error)
