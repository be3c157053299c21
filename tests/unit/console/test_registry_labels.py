"""People read Russian words: each value of the API's closed lists has a label."""

from collections.abc import Collection, Iterable
from enum import StrEnum

import pytest

from services.console.site.labels import LABELS
from services.ingest.schemas.sources import PageCollectionState, PageTokenState
from services.registry.import_export.columns import EXPORTED_COLUMNS
from services.registry.schemas.organisations import OrganisationNameKind
from services.registry.schemas.page_checks import WatchedPageField
from services.registry.schemas.pages import EvidenceKind, OfficialPageState, PageStepKind
from services.registry.schemas.successions import SuccessionKind
from services.webhooks.schemas.notices import (
    AddressState,
    NoticeDelivery,
    NoticeKind,
    NoticeReason,
    NoticeStatus,
)
from shared.auth.rights import Right, Role
from shared.contracts.values import OrganisationKind

ENUMS: dict[str, Iterable[StrEnum]] = {
    "organisation_kind": OrganisationKind,
    "name_kind": OrganisationNameKind,
    "succession_kind": SuccessionKind,
    "page_step": PageStepKind,
    "evidence_kind": EvidenceKind,
    "watched_field": WatchedPageField,
    "role": Role,
    "right": Right,
    "address_state": AddressState,
    "notice_kind": NoticeKind,
    "notice_delivery": NoticeDelivery,
    "notice_status": NoticeStatus,
    "notice_reason": NoticeReason,
}
LISTS: dict[str, Collection[str]] = {
    "page_state": OfficialPageState.__value__.__args__,
    "collection_state": PageCollectionState.__value__.__args__,
    "token_state": PageTokenState.__value__.__args__,
    # A row of the preview never changes an id.
    "import_field": [column.field for column in EXPORTED_COLUMNS if column.field != "id"],
}


@pytest.mark.parametrize("kind", ENUMS)
def test_each_member_has_a_label(kind: str) -> None:
    assert set(LABELS[kind]) == {member.value for member in ENUMS[kind]}


@pytest.mark.parametrize("kind", LISTS)
def test_each_value_has_a_label(kind: str) -> None:
    assert set(LABELS[kind]) == set(LISTS[kind])
