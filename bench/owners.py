"""Accuracy of the owners that the starter rules choose: `python -m bench.owners [--json] [--wrong]`.

Routes labelled messages (300 on their own page, 150 on the page of another organisation, 100 held out) by the
starter rules over a region of organisations and compares the result with the labelled owner
(`data/owners/README.md`). The floor is the share of messages whose labelled owner is the page's
owner. Topics and locations come from the classifier, as in production; shares with the labelled topic group are
printed for information.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from bench import labelled_messages
from bench.labelled_messages import Row, ShareWithInterval
from bench.measure import Result
from bench.owner_region import DATA, OwnerRegion, load_region, municipality_names, starter_router, topic_id
from services.appeals.classification.model.message_classifier import MessageClassifier
from services.appeals.classification.types import ClassificationResult, MessageContext
from services.appeals.routing.context import routing_facts
from services.appeals.routing.engine import Route, Router
from services.appeals.routing.spheres import is_sectoral, sphere_codes
from shared.text.normalize import fold_name
from shared.topic_taxonomy import entries_by_name

BAR = 0.85
# Among the wrongly routed messages: the share in triage with the right organisation among the suggestions.
SUGGESTED_BAR = 0.5
# The minimum share on pages of other organisations, where the location and often the topic can be found only in
# the text.
ELSEWHERE_BAR = 0.7


@dataclass(frozen=True)
class RoutedMessage:
    """A labelled message and where the rules sent it."""

    row: Row
    owners: OwnerRegion
    classification: ClassificationResult
    route: Route

    @property
    def correct(self) -> bool:
        """Return whether the route leads to an organisation that fits the label."""
        return self.fits(self.route.organisation_id)

    @property
    def exact(self) -> bool:
        """Return whether the route is correct and, for an administration, leads to the right municipality."""
        organisation_id = self.route.organisation_id
        if not self.correct or organisation_id is None or self.row["owner"] != "administration":
            return self.correct
        return self.owners.organisations[organisation_id].seat == self.row["municipality"]

    @property
    def suggested(self) -> bool:
        """Return whether the message is in triage with the right organisation among the suggestions."""
        suggestions = [one.organisation_id for one in self.route.suggestions]
        return self.route.organisation_id is None and any(self.fits(one) for one in suggestions)

    def fits(self, organisation_id: UUID | None) -> bool:
        """Return whether the organisation fits the label; None (triage) fits only `moderators`."""
        label, _, sphere = self.row["owner"].partition(":")
        if label == "moderators" or organisation_id is None:
            return label == "moderators" and organisation_id is None
        organisation = self.owners.organisations[organisation_id]
        owner = self.owners.pages[self.row["page_owner"]]
        spheres = sphere_codes([organisation.sphere, *organisation.other_spheres])
        match label:
            case "page_owner":
                return organisation_id == owner.id
            case "founder":
                return organisation_id in owner.lineage[-2:-1]
            case "administration":
                return organisation.kind == "municipality" and not is_sectoral(spheres)
            case _:
                return organisation.kind == "regional" and sphere in spheres


def read_messages(name: str = "messages") -> list[Row]:
    """Return the labelled messages of a file with their texts."""
    sets = {
        path.stem: {row["id"]: row for row in labelled_messages.read(path)}
        for path in labelled_messages.MESSAGE_SETS_DIR.glob("*.csv")
    }
    rows = labelled_messages.read(DATA / f"{name}.csv")
    texts = [sets[row["set"]][row["message"]] for row in rows]
    return [
        {**row, "text": text["text"], "group": text["group"], "kind": text["kind"]}
        for row, text in zip(rows, texts, strict=True)
    ]


def classify(rows: Sequence[Row], owners: OwnerRegion) -> list[ClassificationResult]:
    """Return the classifications of the built-in model, with the context of each message, as in production."""
    items = [
        (
            row["text"],
            MessageContext(
                kind=row["kind"],  # type: ignore[arg-type]
                post_text=row["post_context"] or None,
                page_owner=row["page_owner"],
                page_municipality=owners.pages[row["page_owner"]].seat,
            ),
        )
        for row in rows
    ]
    return MessageClassifier.load().classify(items)


def route_messages(
    rows: Sequence[Row], router: Router, owners: OwnerRegion, classifications: Sequence[ClassificationResult]
) -> list[RoutedMessage]:
    """Return the messages with their routes by the rules."""
    codes = {name: oktmo for oktmo, name in municipality_names().items()}
    routed = []
    for row, found in zip(rows, classifications, strict=True):
        facts = routing_facts(
            owners.page_owner(row["page_owner"]),
            topic_id=topic_id(found.topic) if found.topic else None,
            municipality=codes.get(found.municipality or ""),
            settlement=found.settlement,
            urgency=found.urgency,
            confidence=found.topic_confidence,
            location_source=found.location_source,
        )
        candidates = [(topic_id(code), probability) for code, probability in found.topic_candidates]
        routed.append(RoutedMessage(row, owners, found, router.route(facts, candidates=candidates, why=found.why)))
    return routed


def with_true_group(rows: Sequence[Row], found: Sequence[ClassificationResult]) -> list[ClassificationResult]:
    """Return the classifications with the labelled topic group; a classified topic in that group is kept."""
    changed = []
    for row, result in zip(rows, found, strict=True):
        group = entries_by_name()[fold_name(row["group"])].code
        topic = result.topic if result.topic and result.topic.partition(".")[0] == group else group
        changed.append(replace(result, topic=topic, topic_confidence=1.0, topic_candidates=()))
    return changed


def share(routed: Sequence[RoutedMessage]) -> ShareWithInterval:
    """Return the share of messages with the right owner."""
    return ShareWithInterval(sum(one.correct for one in routed), len(routed))


def exact_share(routed: Sequence[RoutedMessage]) -> ShareWithInterval:
    """Return the share of messages with the right owner, in the right municipality too."""
    return ShareWithInterval(sum(one.exact for one in routed), len(routed))


def suggested_share(routed: Sequence[RoutedMessage]) -> ShareWithInterval:
    """Return the share of wrongly routed messages that are in triage with the right organisation suggested."""
    others = [one for one in routed if not one.correct]
    return ShareWithInterval(sum(one.suggested for one in others), len(others))


def floor(routed: Sequence[RoutedMessage]) -> ShareWithInterval:
    """Return the share of messages whose right owner is the page's owner."""
    return ShareWithInterval(
        sum(one.fits(one.owners.pages[one.row["page_owner"]].id) for one in routed), len(routed)
    )


def figures_of(routed: Sequence[RoutedMessage], prefix: str = "") -> dict[str, ShareWithInterval]:
    """Return the shares for messages on the pages of their owners and on other pages."""
    found: dict[str, ShareWithInterval] = {}
    for place, own in (("", "yes"), ("elsewhere, ", "no")):
        here = [one for one in routed if one.row["own_page"] == own]
        found |= {
            f"{prefix}{place}starter rules": share(here),
            f"{prefix}{place}the right organisation": exact_share(here),
            f"{prefix}{place}of the rest, suggested": suggested_share(here),
            f"{prefix}{place}page owner": floor(here),
        }
    return found


def main() -> None:
    """Run `python -m bench.owners [--json] [--wrong]`; exit with 1 below a bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.owners")
    parser.add_argument("--quick", action="store_true", help="has no effect: a run takes seconds")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--wrong", action="store_true", help="print the wrongly routed messages")
    args = parser.parse_args()
    owners, rows, held_out = load_region(), read_messages(), read_messages("held_out")
    router = starter_router(owners)
    classifications = classify(rows, owners)
    routed = route_messages(rows, router, owners, classifications)
    true_group = route_messages(rows, router, owners, with_true_group(rows, classifications))
    unseen = route_messages(held_out, router, owners, classify(held_out, owners))
    figures = {
        **figures_of(routed),
        "labelled group": share([one for one in true_group if one.row["own_page"] == "yes"]),
        "elsewhere, labelled group": share([one for one in true_group if one.row["own_page"] == "no"]),
        **figures_of(unseen, "held out, "),
    }
    for name, found in figures.items():
        print(f"  {name:44} {found}")
    labels = [[{"label": row[name]} for row in rows] for name in ("first_label", "second_label")]
    agreed, kappa = labelled_messages.agreement(labels[0], labels[1], "label")
    print(f"  the two labellings agree on {agreed:.3f}, kappa {kappa:.3f}")
    if args.wrong:
        _print_wrong(routed)
    ours, base = figures["starter rules"].value, figures["page owner"].value
    elsewhere, elsewhere_base = figures["elsewhere, starter rules"].value, figures["elsewhere, page owner"].value
    ok = ours >= BAR and elsewhere >= ELSEWHERE_BAR and figures["of the rest, suggested"].value > SUGGESTED_BAR
    print(f"owners: {ours:.3f} (bar {BAR}), the page's owner {base:.3f}: {'ok' if ok else 'BELOW'}")
    print(
        f"  on another organisation's page {elsewhere:.3f} (bar {ELSEWHERE_BAR}), "
        f"the page's owner {elsewhere_base:.3f}"
    )
    if args.json:
        result = Result("owners", round(ours, 3), BAR, ok, round(base, 3), round(ours, 3), "share", 1)
        more = {
            "elsewhere_ratio": round(elsewhere, 3),
            "elsewhere_floor": round(elsewhere_base, 3),
            "labels_agree": round(agreed, 4),
            "figures": {name: found.figures for name, found in figures.items()},
        }
        print(json.dumps(asdict(result) | more, ensure_ascii=False))
    sys.exit(0 if ok else 1)


def _print_wrong(routed: Sequence[RoutedMessage]) -> None:
    for one in routed:
        if one.correct:
            continue
        to = one.owners.organisations[one.route.organisation_id].name if one.route.organisation_id else "–"
        print(f"{one.row['set']} {one.row['message']}, {one.row['page_owner']}: {one.row['text'][:80]}")
        print(f"  label {one.row['owner']}, routed to {to}{', suggested' if one.suggested else ''}")
        print(f"  {one.route.reason}; {one.classification.topic} {one.classification.topic_confidence}")


if __name__ == "__main__":
    main()
