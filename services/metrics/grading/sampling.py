"""Draw a sample of answers: stratified by organisation, and reproducible from the seed and the answers.

The order is that of a keyed hash of ids, not of a random generator or the database, so that anyone can repeat the
draw.
"""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Answer:
    """A published reply, with the organisation that had the appeal.

    `text_id` is the same for the replies to an incident's appeals, which share one text.
    """

    reply_id: UUID
    organisation_id: UUID
    text_id: UUID


@dataclass(frozen=True)
class DrawnAnswer:
    """An answer in the sample; `stratum_size` is the number of different texts that its organisation published."""

    reply_id: UUID
    organisation_id: UUID
    stratum_size: int
    graders_wanted: int


def draw(answers: Iterable[Answer], size: int, seed: str, second_share: float) -> Sequence[DrawnAnswer]:
    """Return at most `size` answers, ordered by their hashes.

    At least one is drawn from every organisation, if the size allows; the rest in proportion to the numbers of the
    organisations' other answers. Of replies with the same text only one is drawn. A share `second_share`, chosen
    by another hash, is graded by two people.
    """
    strata = _strata(answers, seed)
    shares = _shares({organisation: len(found) for organisation, found in strata.items()}, size, seed)
    drawn = [
        (reply_id, organisation) for organisation, n in shares.items() for reply_id in strata[organisation][:n]
    ]
    seconds = {
        reply_id
        for reply_id, _ in sorted(drawn, key=lambda one: _rank(f"{seed}/second", one[0]))[
            : round(second_share * len(drawn))
        ]
    }
    return [
        DrawnAnswer(reply_id, organisation, len(strata[organisation]), 2 if reply_id in seconds else 1)
        for reply_id, organisation in sorted(drawn, key=lambda one: _rank(seed, one[0]))
    ]


def _rank(seed: str, identifier: UUID) -> bytes:
    return hmac.digest(seed.encode(), identifier.bytes, hashlib.sha256)


def _strata(answers: Iterable[Answer], seed: str) -> dict[UUID, list[UUID]]:
    """Return the replies of each organisation, one for each text, ordered by their hashes."""
    texts: dict[tuple[UUID, UUID], list[UUID]] = defaultdict(list)
    for answer in answers:
        texts[answer.organisation_id, answer.text_id].append(answer.reply_id)
    strata: dict[UUID, list[UUID]] = defaultdict(list)
    for (organisation, _), replies in texts.items():
        strata[organisation].append(min(replies, key=lambda one: _rank(seed, one)))
    return {
        organisation: sorted(replies, key=lambda one: _rank(seed, one)) for organisation, replies in strata.items()
    }


def _shares(sizes: dict[UUID, int], wanted: int, seed: str) -> dict[UUID, int]:
    """Return the number of answers to draw from each organisation, by the largest remainder method.

    If there are more organisations than answers wanted, all have equal chances, whatever their size.
    """
    order = sorted(sizes, key=lambda one: _rank(seed, one))
    size = min(wanted, sum(sizes.values()))
    if size <= len(order):
        return dict.fromkeys(order[:size], 1)
    others, rest = sum(sizes.values()) - len(order), size - len(order)
    shares = {one: 1 + rest * (sizes[one] - 1) // others for one in order}
    remainders = sorted(order, key=lambda one: -(rest * (sizes[one] - 1) % others))
    for one in remainders[: size - sum(shares.values())]:
        shares[one] += 1
    return shares
