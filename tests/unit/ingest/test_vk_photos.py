"""A photo refused by VK's upload server fails the reply, whatever the form of the refusal."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import UUID

import pytest

from services.ingest.networks.port import PageRef, Photo, PhotoTarget, PublishRejected
from services.ingest.networks.vk.publishing import vk_photos

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="101",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("answered", [{}, {"photo": ""}, {"photo": "[]"}, {"photo": []}, {"photo": None}])
async def test_upload_without_a_photo_is_refused(
    monkeypatch: pytest.MonkeyPatch, answered: dict[str, Any]
) -> None:
    monkeypatch.setattr(vk_photos, "upload_file", AsyncMock(return_value=answered))
    client = Mock(call=AsyncMock(return_value={"upload_url": "https://vk.example"}))
    uploader = vk_photos.VkPhotoUploader(client, Mock(), timeout_seconds=1)
    target = PhotoTarget(page=PAGE, kind="comment", thread_key="vk:-101_3")
    with pytest.raises(PublishRejected, match="vk:photo_refused"):
        await uploader.upload(target, Photo("image/jpeg", b"photo"))
