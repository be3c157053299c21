"""Every form field for a secret is listed as one, so that no page of the console shows its value again."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel

import services
from services import console
from services.console.site import kept_form

_PASSWORD_FIELD = re.compile(r"""parts\.field\(\s*"([^"]+)"(?:(?!}}).)*?kind="password\"""", re.DOTALL)
_FOLDER = Path(console.__path__[0])
_NAMES = {name for page in _FOLDER.rglob("*.html") for name in _PASSWORD_FIELD.findall(page.read_text())}


def _secret_fields() -> set[str]:
    """Return the names of all fields of request models that are secret."""
    found = set()
    for service in pkgutil.iter_modules(services.__path__, "services."):
        path = [str(Path(part) / "schemas") for part in import_module(service.name).__path__]
        for module in pkgutil.walk_packages(path, f"{service.name}.schemas."):
            for model in vars(import_module(module.name)).values():
                if isinstance(model, type) and issubclass(model, BaseModel):
                    found |= {
                        name for name, one in model.model_fields.items() if "SecretStr" in str(one.annotation)
                    }
    return found


def test_fields_for_passwords_are_found() -> None:
    pages = [page.read_text() for page in _FOLDER.rglob("*.html")]
    assert sum(len(_PASSWORD_FIELD.findall(page)) for page in pages) == sum(
        page.count('kind="password"') for page in pages
    )
    assert {"password", "service_token", "secret"} <= _NAMES


@pytest.mark.parametrize("name", sorted(_NAMES | _secret_fields()))
def test_secret_is_never_kept_in_a_page(name: str) -> None:
    assert name in kept_form._SECRETS
