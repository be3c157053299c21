"""Settings of S3 must be complete or absent, and an error does not show the secret."""

import pytest
from pydantic import ValidationError

from services.appeals.settings import AppealsSettings

SECRET = "the-secret-of-the-tests"
COMPLETE = {
    "attachments_s3_endpoint": "https://s3.example.ru",
    "attachments_s3_bucket": "gospablik-photos",
    "attachments_s3_key_id": "key",
    "attachments_s3_secret": SECRET,
}


def test_folder_is_used_if_all_settings_of_s3_are_empty() -> None:
    assert AppealsSettings.model_validate(dict.fromkeys(COMPLETE, "")).attachments_s3 is None


def test_complete_settings_select_the_bucket() -> None:
    found = AppealsSettings.model_validate(COMPLETE | {"attachments_s3_endpoint": "https://s3.example.ru/"})
    assert found.attachments_s3 is not None
    assert (found.attachments_s3.endpoint, found.attachments_s3.region) == ("https://s3.example.ru", "us-east-1")
    assert SECRET not in repr(found)


@pytest.mark.parametrize("missing", COMPLETE)
def test_incomplete_settings_are_refused_naming_the_missing_one(missing: str) -> None:
    with pytest.raises(ValidationError, match=f"set GOSPABLIK_{missing.upper()} too") as refused:
        AppealsSettings.model_validate(COMPLETE | {missing: ""})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attachments_s3_endpoint": "s3.example.ru"},
        {"attachments_s3_endpoint": "ftp://s3.example.ru"},
        {"attachments_s3_endpoint": f"https://key:{SECRET}@s3.example.ru"},
        {"attachments_s3_endpoint": "https://s3.example.ru/gospablik-photos"},
        {"attachments_s3_bucket": "gospablik/photos"},
    ],
)
def test_wrong_address_or_bucket_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))) as refused:
        AppealsSettings.model_validate(COMPLETE | wrong)
    assert SECRET not in str(refused.value)
