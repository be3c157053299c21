"""SeaweedFS, a real S3 server, in its own process on loopback."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.temporary_postgres import free_port
from tests.support.eventually import eventually_blocking

REGION = "us-east-1"
BUCKET = "photos"
# Access keys by their permissions; invented, because the server runs only in tests.
KEY_ID, SECRET = "app", "the-secret-of-app"
READER_KEY_ID, READER_SECRET = "reader", "the-secret-of-reader"
ADMIN_KEY_ID, ADMIN_SECRET = "admin", "the-secret-of-admin"
_PORTS = ("master", "volume", "filer", "admin", "s3")
_KEYS = {
    (KEY_ID, SECRET): [f"{action}:{BUCKET}" for action in ("Read", "Write", "List")],
    (READER_KEY_ID, READER_SECRET): [f"{action}:{BUCKET}" for action in ("Read", "List")],
    (ADMIN_KEY_ID, ADMIN_SECRET): ["Admin"],
}


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    port: int

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings, without prefix, with which appeals uses the bucket."""
        return s3_settings(self.port)


def s3_settings(port: int, **changed: str) -> dict[str, str]:
    """Return the settings of appeals for a server on this port; `changed` overrides settings."""
    given = {
        "endpoint": f"http://127.0.0.1:{port}",
        "bucket": BUCKET,
        "region": REGION,
        "key_id": KEY_ID,
        "secret": SECRET,
    }
    return {f"attachments_s3_{name}": value for name, value in (given | changed).items()}


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run the server with its data in a folder, and the bucket `BUCKET`."""
    keys = folder / "keys.json"
    identities = [
        {
            "name": key_id,
            "credentials": [{"accessKey": key_id, "secretKey": secret}],
            "actions": actions,
        }
        for (key_id, secret), actions in _KEYS.items()
    ]
    keys.write_text(json.dumps({"identities": identities}))
    ports = {name: free_port() for name in _PORTS}
    program = Path(sys.executable).with_name("weed")
    command = [
        str(program), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
        "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.config={keys}", f"-bucket={BUCKET}",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-{name}.port.grpc={free_port()}" for name in _PORTS),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        eventually_blocking(lambda: _has_started(process, folder / "log", ports["s3"]), "the S3 server starts")
        yield S3Server(ports["s3"])
    finally:
        process.kill()
        process.wait()


def _has_started(process: subprocess.Popen[bytes], log: Path, port: int) -> bool:
    text = log.read_text(errors="replace")
    assert process.poll() is None, text
    # The server logs this line once all its components have started and the bucket exists.
    if "All enabled components are running" not in text:
        return False
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
