"""Create the Ed25519 signing keys of the services and of people's tokens, in a folder per service."""

import json
import secrets
from pathlib import Path

from joserfc.jwk import KeySet, KeySetSerialization, OKPKey

from cli.atomic_files import write_private
from shared.auth import tokens

# The console signs nothing.
SIGNERS = ("registry", "ingest", "appeals", "metrics", "webhooks")


def ensure_keys(folder: Path) -> list[str]:
    """Create the missing keys and publish the public keys. Return the names of the keys created.

    `<service>.jwk` and `people.jwk` are private (0600). `services.jwks` and `people.jwks` hold the
    public keys, including those of former private keys, so that a token signed before a key rotation
    is still accepted. `<service>/` holds the files that one service may read: the public keys and its own
    private key. The registry also gets the private key of people's tokens.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = [name for name in (*SIGNERS, "people") if _ensure_private(folder, name)]
    _publish(folder, "services", SIGNERS)
    _publish(folder, "people", ("people",))
    # Public keys first: a running registry signs with the new key of people's tokens as soon as it is there.
    for service in SIGNERS:
        _give(folder, service, ("services.jwks", "people.jwks"))
    for service in SIGNERS:
        own = (service, "people") if service == "registry" else (service,)
        _give(folder, service, tuple(f"{name}.jwk" for name in own))
    return created


def _ensure_private(folder: Path, name: str) -> bool:
    path = folder / f"{name}.jwk"
    if path.exists():
        return False
    # A key id starts with the owner's name: a verifier accepts the key only for tokens of this issuer.
    owner = tokens.PEOPLE_ISSUER if name == "people" else name
    key = tokens.new_key(f"{owner}.{secrets.token_hex(8)}")
    write_private(path, json.dumps(key.as_dict(private=True)))
    return True


def _publish(folder: Path, name: str, signers: tuple[str, ...]) -> None:
    path = folder / f"{name}.jwks"
    known = json.loads(path.read_text(encoding="utf-8"))["keys"] if path.exists() else []
    by_id = {key["kid"]: key for key in known}
    for signer in signers:
        private = OKPKey.import_key(json.loads((folder / f"{signer}.jwk").read_text(encoding="utf-8")))
        public = private.as_dict(private=False)
        by_id[public["kid"]] = public
    document: KeySetSerialization = {"keys": list(by_id.values())}
    KeySet.import_key_set(document)  # raises an error if the existing file is damaged
    text = json.dumps(document, indent=2)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_private(path, text)


def _give(folder: Path, service: str, names: tuple[str, ...]) -> None:
    """Copy these files to the folder of the service if they are missing or different there."""
    given = folder / service
    given.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        path = given / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_private(path, text)
