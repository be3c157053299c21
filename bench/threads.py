"""Accuracy of joining one person's messages in one thread to an appeal: `python -m bench.threads [--json]`.

Each pair of messages in `data/threads/pairs.csv` is classified by the built-in model and assigned to one or two
appeals as `MessagePlacer` does, except that a second message that needs no answer changes nothing. Prints the
shares of the development half and of the held-out half, with 95 % intervals, and the agreement of the two
labellings.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.labelled_messages import Row, ShareWithInterval, agreement, read
from bench.measure import Result
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.types import ClassificationResult, MessageContext
from services.appeals.inbound import matter
from services.appeals.inbound.matter_readings import alone, whole_text
from services.appeals.inbound.message_reading import AppealReading, MessageReading, group_of

THREADS_DIR = Path(__file__).parent / "data" / "threads"
PARTS = ("development", "held_out")
# The minimum share of pairs that are joined or separated as labelled.
BAR = 0.92


@dataclass(frozen=True)
class PairOutcome:
    """The result of a pair: the number of appeals that it opens; the comparison of the second message, None if it
    was not compared; the topic group of the second message's appeal.
    """

    appeals: int
    comparison: matter.Comparison | None
    group: str | None


def context_of(row: Row) -> MessageContext:
    """Return the context of both messages of a pair."""
    return MessageContext(
        kind=row["kind"],  # type: ignore[arg-type]
        post_text=row["post_context"] or None,
        page_owner=row["page_owner"],
        page_municipality=row["page_municipality"] or None,
    )


def place_pair(classifier: MessageClassifier, row: Row) -> PairOutcome:
    """Return the result of a pair whose messages arrive one after the other, without an earlier appeal."""
    context, texts = context_of(row), (row["first"], row["second"])
    first, second, whole = classifier.classify([(text, context) for text in (*texts, whole_text(texts))])
    if first.needs_answer == "no":
        return PairOutcome(int(second.needs_answer != "no"), None, _group(second))
    if second.needs_answer == "no":
        return PairOutcome(1, None, _group(first))
    by_itself = classifier.classify([(text, alone(context)) for text in texts])
    opened, reading = (MessageReading.of(text, one) for text, one in zip(texts, by_itself, strict=True))
    choice = matter.choose(reading, [AppealReading((opened,))])
    relation = choice.comparison.relation
    if choice.index is None:
        return PairOutcome(2, choice.comparison, _group(second))
    taken = relation != "unsure" and matter.takes_topic(
        first.topic, first.topic_confidence or 0.0, reading, whole, relation
    )
    return PairOutcome(1, choice.comparison, _group(whole if taken else first))


def _group(result: ClassificationResult) -> str | None:
    return group_of(result.topic) if result.topic is not None else None


def is_as_labelled(row: Row, outcome: PairOutcome) -> bool:
    """Return whether the messages are in two appeals exactly if they are about two matters."""
    return (outcome.appeals == 2) == (row["relation"] == "other")


def scores(rows: Sequence[Row], outcomes: Sequence[PairOutcome]) -> dict[str, ShareWithInterval]:
    """Return shares: pairs as labelled, in total and by label; additions with the right topic; unsure pairs."""
    pairs = list(zip(rows, outcomes, strict=True))
    right = [(row, is_as_labelled(row, outcome)) for row, outcome in pairs]
    additions = [outcome.group == row["group"] for row, outcome in pairs if row["relation"] == "addition"]
    return {
        "joined or apart": _share([is_right for _, is_right in right]),
        **{
            label: _share([is_right for row, is_right in right if row["relation"] == label])
            for label in ("same", "addition", "other", "thanks")
        },
        "topic after addition": _share(additions),
        "suggested to a person": _share(
            [outcome.comparison is not None and outcome.comparison.relation == "unsure" for outcome in outcomes]
        ),
    }


def _share(flags: Sequence[bool]) -> ShareWithInterval:
    return ShareWithInterval(sum(flags), len(flags))


def main() -> None:
    """Print the shares; exit with 1 below the bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.threads")
    parser.add_argument("--quick", action="store_true", help="has no effect: a run takes seconds")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--part", choices=PARTS, help="only this half")
    parser.add_argument("--errors", action="store_true", help="print pairs whose result differs from the label")
    args = parser.parse_args()
    rows = [row for row in read(THREADS_DIR / "pairs.csv") if args.part in {None, row["part"]}]
    classifier = MessageClassifier.load()
    outcomes = [place_pair(classifier, row) for row in rows]
    figures = {}
    for part in (*PARTS, "all"):
        chosen = [at for at, row in enumerate(rows) if part in {row["part"], "all"}]
        if not chosen:
            continue
        found = scores([rows[at] for at in chosen], [outcomes[at] for at in chosen])
        figures[part] = {name: share.figures for name, share in found.items()}
        print(f"{part}: {len(chosen)} pairs")
        for name, share in found.items():
            print(f"  {name:22} {share}")
    labels = [read(THREADS_DIR / f"{name}_labels.csv") for name in ("first", "second")]
    equal, kappa = agreement(labels[0], labels[1], "relation")
    print(f"both labellings agree on {equal:.3f} of the relations, kappa {kappa:.3f}")
    if args.errors:
        _print_errors(rows, outcomes)
    ours = figures["all"]["joined or apart"]["value"]
    # The floor joins all messages of a person in a thread.
    floor = sum(row["relation"] != "other" for row in rows) / len(rows)
    result = Result(
        "threads", round(ours / floor, 3), round(BAR / floor, 3), ours >= BAR, floor, ours, "share of pairs", 1
    )
    print(f"threads: {ours:.3f} as labelled, {floor:.3f} if all are joined (bar {BAR})")
    if args.json:
        print(json.dumps(asdict(result) | {"parts": figures}))
    sys.exit(0 if result.ok else 1)


def _print_errors(rows: Sequence[Row], outcomes: Sequence[PairOutcome]) -> None:
    for row, outcome in zip(rows, outcomes, strict=True):
        wrong_group = row["relation"] == "addition" and outcome.group != row["group"]
        if not is_as_labelled(row, outcome) or wrong_group:
            print(row["id"], row["relation"], row["group"], outcome, row["first"], "//", row["second"])


if __name__ == "__main__":
    main()
