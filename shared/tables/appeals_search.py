"""Tables of appeals for search: the words of each appeal, derived from the rows of other tables."""

from uuid import UUID

from sqlalchemy import BigInteger, Computed, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, Id

# The number of consecutive appeal numbers in one range. A page of results reads range after range until it is
# full, so that a frequent word costs as much as one range, not as all appeals.
RANGE_SIZE = 2_000


class SearchDocument(Base):
    """The words of an appeal, or of a note on it, in their base forms; rebuilt when one of its texts changes.

    kind appeal (messages, sent replies, notes for everyone, address, organisation, number) | note (a note that
    only the organisation `written_by` reads; null: the centre). `id` is the id of the appeal or the note.
    `organisation_id` and `number` are the appeal's. There are no foreign keys: their check would wait for a
    transaction that has locked one of the appeals, while other appeals stay locked.
    """

    __tablename__ = "appeal_search_documents"
    __table_args__ = (
        Index("ix_appeal_search_documents_appeal_id", "appeal_id"),
        # `fastupdate` is off: with it, every search would scan the list of pending entries.
        Index(
            "ix_appeal_search_documents_words",
            "number_range",
            "organisation_id",
            "words",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID]
    kind: Mapped[str]
    written_by: Mapped[UUID | None]
    organisation_id: Mapped[UUID | None]
    number: Mapped[int] = mapped_column(BigInteger)
    number_range: Mapped[int] = mapped_column(BigInteger, Computed(f"number / {RANGE_SIZE}", persisted=True))
    words: Mapped[str] = mapped_column(TSVECTOR)
