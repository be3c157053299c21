"""TLS and trusted proxies of the gateway: the configuration written for Traefik, and refused settings."""

import asyncio
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from cli.embedded.programs import traefik_program
from cli.embedded.temporary_postgres import free_port
from services.gateway.traefik.entry_point_settings import EntryPointSettings
from services.gateway.traefik.static_config import static_config
from tests.support.certificates import make_authority
from tests.support.eventually import eventually

URL = "https://feedback.example.ru"


def _static(folder: Path, **given: str) -> dict[str, Any]:
    path = folder / "traefik.yml"
    path.write_text(
        static_config(
            public_address=":8443",
            plain_address=":8080",
            internal_address=":8081",
            admin_address=":8107",
            entry_point=EntryPointSettings.model_validate(given),
        ),
        encoding="utf-8",
    )
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_without_tls_nothing_is_redirected_and_no_proxy_is_trusted(tmp_path: Path) -> None:
    found = _static(tmp_path)
    assert found["entryPoints"].keys() == {"web", "internal", "traefik"}
    assert found["entryPoints"]["web"]["http"]["middlewares"] == ["drop-real-ip@file"]
    assert "forwardedHeaders" not in found["entryPoints"]["web"]
    assert "certificatesResolvers" not in found


def test_acme_is_configured_for_the_public_name(tmp_path: Path) -> None:
    bundle = str(make_authority(tmp_path).bundle)
    found = _static(
        tmp_path,
        public_url=f"{URL}:444",
        tls="acme",
        acme_email="ops@example.ru",
        acme_server="https://ca.example.ru/acme/directory",
        ca_bundle=bundle,
    )
    web = found["entryPoints"]["web"]["http"]
    assert web["middlewares"] == ["drop-real-ip@file", "hsts@file"]
    resolver = web["tls"]["certResolver"]
    assert web["tls"]["domains"] == [{"main": "feedback.example.ru"}]
    assert found["certificatesResolvers"][resolver]["acme"] == {
        "email": "ops@example.ru",
        "caServer": "https://ca.example.ru/acme/directory",
        "storage": "/acme/acme.json",
        "tlsChallenge": {},
        "caCertificates": [bundle],
        "caSystemCertPool": True,
    }
    redirection = found["entryPoints"]["plain"]["http"]["redirections"]["entryPoint"]
    assert redirection == {"to": ":444", "scheme": "https", "permanent": True}


def test_only_named_proxies_are_trusted(tmp_path: Path) -> None:
    found = _static(tmp_path, trusted_proxies="10.0.0.5, 10.1.0.0/16")["entryPoints"]
    assert found["web"]["forwardedHeaders"] == {"trustedIPs": ["10.0.0.5/32", "10.1.0.0/16"]}
    assert found["internal"]["forwardedHeaders"] == {"insecure": True}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tls": "files", "public_url": "http://feedback.example.ru"}, "GOSPABLIK_PUBLIC_URL must be an https"),
        ({"tls": "acme", "public_url": URL}, "GOSPABLIK_ACME_EMAIL is required"),
        ({"tls": "on"}, "tls"),
        ({"public_url": "https://feedback.example.ru:99999"}, r"public_url\n.*Port out of range"),
        ({"trusted_proxies": "proxy.example.ru"}, "trusted_proxies"),
        ({"hsts_seconds": "-1"}, "hsts_seconds"),
        ({"ca_bundle": "/nowhere/region.pem"}, r"ca_bundle\n.*no certificates in PEM can be read from /nowhere"),
    ],
)
def test_contradictory_settings_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EntryPointSettings.model_validate(given)


def test_missing_certificate_or_one_of_another_key_is_refused(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    given = {"tls": "files", "public_url": URL, "tls_folder": str(one)}
    with pytest.raises(ValidationError, match=r"one/certificate\.pem and .*/key\.pem are not .*No such file"):
        EntryPointSettings.model_validate(given)
    authority.issue(one)
    authority.issue(other)
    assert EntryPointSettings.model_validate(given).certificate == one / "certificate.pem"
    (one / "key.pem").write_bytes((other / "key.pem").read_bytes())
    with pytest.raises(ValidationError, match="KEY_VALUES_MISMATCH"):
        EntryPointSettings.model_validate(given)


def test_expired_certificate_is_refused(tmp_path: Path) -> None:
    make_authority(tmp_path).issue(tmp_path, valid_for=-timedelta(seconds=1))
    with pytest.raises(ValidationError, match=r"certificate\.pem expired at 20"):
        EntryPointSettings.model_validate({"tls": "files", "public_url": URL, "tls_folder": str(tmp_path)})


def test_defaults_of_the_dynamic_configuration_equal_those_of_the_settings() -> None:
    text = (Path(__file__).parents[3] / "services/gateway/traefik/dynamic.yml").read_text(encoding="utf-8")
    defaults = dict(re.findall(r'env "GOSPABLIK_(\w+)" \| default "([^"]+)"', text))
    fields = EntryPointSettings.model_fields
    assert defaults["HSTS_SECONDS"] == str(fields["hsts_seconds"].default)
    assert defaults["TLS_FOLDER"] == str(fields["tls_folder"].default)


@pytest.mark.enable_socket  # Traefik listens on loopback
async def test_traefik_accepts_the_configuration_for_acme(tmp_path: Path) -> None:
    port, plain = free_port(), free_port()
    entry_point = EntryPointSettings(
        public_url=f"https://localhost:{port}",
        tls="acme",
        acme_email="ops@example.ru",
        # No ACME server listens there: the gateway starts and works without a certificate.
        acme_server="https://127.0.0.1:1/directory",
        acme_folder=tmp_path,
        ca_bundle=make_authority(tmp_path).bundle,
        trusted_proxies="10.0.0.0/8",
    )
    static = tmp_path / "traefik.yml"
    static.write_text(
        static_config(
            public_address=f"127.0.0.1:{port}",
            plain_address=f"127.0.0.1:{plain}",
            internal_address=f"127.0.0.1:{free_port()}",
            admin_address=f"127.0.0.1:{free_port()}",
            entry_point=entry_point,
        ),
        encoding="utf-8",
    )
    with (tmp_path / "traefik.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            traefik_program(),
            f"--configFile={static}",
            env=os.environ | {"GOSPABLIK_TLS": "acme"},
            stdout=output,
            stderr=output,
        )

    async def redirected(http: aiohttp.ClientSession) -> str:
        assert process.returncode is None, (tmp_path / "traefik.log").read_text()
        try:
            async with http.get(f"http://127.0.0.1:{plain}/", allow_redirects=False) as response:
                return response.headers.get("Location", "")
        except aiohttp.ClientConnectionError:
            return ""

    try:
        async with aiohttp.ClientSession() as http:
            assert await eventually(lambda: redirected(http)) == f"https://127.0.0.1:{port}/"
    finally:
        process.kill()
        await process.wait()
