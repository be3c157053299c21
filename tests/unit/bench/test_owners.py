"""The starter rules find the labelled owner of the project's labelled messages."""

import pytest

from bench import owners
from bench.labelled_messages import agreement
from bench.owner_region import load_region, starter_router


@pytest.fixture(scope="module")
def routed() -> list[owners.RoutedMessage]:
    region, rows = load_region(), owners.read_messages()
    return owners.route_messages(rows, starter_router(region), region, owners.classify(rows, region))


def on_page(routed: list[owners.RoutedMessage], own: str) -> list[owners.RoutedMessage]:
    return [one for one in routed if one.row["own_page"] == own]


def test_most_messages_on_the_page_of_their_owner_get_the_labelled_owner(
    routed: list[owners.RoutedMessage],
) -> None:
    own = on_page(routed, "yes")
    assert len(own) == 300
    assert owners.share(own).value >= owners.BAR
    # Most other messages wait for a moderator, with the right owner among the suggestions.
    assert owners.suggested_share(own).value > owners.SUGGESTED_BAR


def test_most_messages_on_the_page_of_another_organisation_get_the_labelled_owner(
    routed: list[owners.RoutedMessage],
) -> None:
    elsewhere = on_page(routed, "no")
    assert len(elsewhere) == 150
    assert owners.share(elsewhere).value >= owners.ELSEWHERE_BAR
    assert owners.share(elsewhere).value > 4 * owners.floor(elsewhere).value


def test_both_labellings_agree() -> None:
    rows = owners.read_messages()
    first, second = ([{"label": row[name]} for row in rows] for name in ("first_label", "second_label"))
    assert agreement(first, second, "label")[1] > 0.9
    assert all(row["owner"] in {row["first_label"], row["second_label"], "moderators"} for row in rows)
