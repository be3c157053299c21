"""The command `gospablik webhooks listen`: print deliveries, or events of the feed, as they arrive."""

# ruff: noqa: PLC0415 - services start through this program: these commands load only what they need

import binascii
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.common import DEFAULT_USER, LOCAL_URL, Password, Url, User, run_command

if TYPE_CHECKING:
    from aiohttp import web

    from cli.api_client.client import ApiClient

# Must be less than the total timeout of `ApiClient`.
WAIT_SECONDS = 20

app = typer.Typer(help="Try webhooks and the event feed.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Try webhooks and the event feed."""


@app.command()
def listen(
    *,
    port: Annotated[int, typer.Option(help="The port to receive deliveries on, at 127.0.0.1")] = 9099,
    secret: Annotated[
        str | None, typer.Option(envvar="GOSPABLIK_WEBHOOK_SECRET", help="The endpoint's secret, whsec_…")
    ] = None,
    pull: Annotated[bool, typer.Option("--pull", help="Read the event feed instead of receiving")] = False,
    after: Annotated[str, typer.Option(help="With --pull: position to continue after; 0: all")] = "now",
    types: Annotated[
        str | None, typer.Option(help="With --pull: types, separated by commas, such as appeal.*")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="GOSPABLIK_TOKEN", help="With --pull: an access token, instead of signing in"),
    ] = None,
    url: Url = LOCAL_URL,
    user: User = DEFAULT_USER,
    password: Password = None,
) -> None:
    """Receive deliveries, verify their signatures and print them, or with --pull the events of the feed."""
    if not pull:
        _receive(port, secret)
        return
    from cli.api_client.client import Connection, signed_in

    async def work() -> int:
        async with signed_in(Connection(url, user, password, token)) as client:
            await print_feed(client, after, types)
        return 0

    run_command(work, "Stopped. To continue, give the last position with --after.")


async def print_feed(client: "ApiClient", after: str, types: str | None) -> None:
    """Print the events of the feed after a position; wait for new events until the process is stopped."""
    while True:
        page = await client.get("/events", after=after, types=types, wait=WAIT_SECONDS)
        for event in page["items"]:
            typer.echo(f"{event['position']} {event['type']}\n{_shown(event)}")
        after = page["next_after"]


def _receive(port: int, secret: str | None) -> None:
    from aiohttp import web

    try:
        receiver = build_receiver(secret)
    except binascii.Error as error:
        raise typer.BadParameter("the secret must be whsec_ followed by base64", param_hint="--secret") from error
    typer.echo(f"Waiting for deliveries at http://127.0.0.1:{port}/ (press Ctrl-C to stop)")
    try:
        web.run_app(receiver, host="127.0.0.1", port=port, print=None)
    except OSError as error:
        typer.echo(f"Port {port} cannot be used: {error.strerror or error}. Choose another with --port", err=True)
        raise typer.Exit(1) from error


def build_receiver(secret: str | None) -> "web.Application":
    """Return the receiver of deliveries; without a secret it prints that signatures are not checked.

    Raises `binascii.Error` if the secret is not base64.
    """
    from aiohttp import web
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    webhook = Webhook(secret) if secret else None

    async def handle(request: web.Request) -> web.Response:
        delivery, body = request.headers.get("webhook-id", "?"), await request.read()
        signature = "signature not checked: no --secret given"
        if webhook is not None:
            try:
                webhook.verify(body, dict(request.headers))
            except WebhookVerificationError as error:
                typer.echo(f"refused {delivery}: {error}")
                return web.Response(status=401, text="invalid signature")
            signature = "signature valid"
        try:
            event = json.loads(body)
        except ValueError:
            typer.echo(f"refused {delivery}: the body is not JSON")
            return web.Response(status=400, text="the body is not JSON")
        typer.echo(f"{delivery} ({signature})\n{_shown(event)}")
        if isinstance(event, dict) and event.get("type") == "webhook.verification":
            # This response verifies the endpoint, which then gets other deliveries.
            return web.json_response({"challenge": event["data"]["challenge"]})
        return web.Response(status=204)

    receiver = web.Application(client_max_size=1024 * 1024)
    receiver.router.add_post("/{path:.*}", handle)
    return receiver


def _shown(event: Any) -> str:
    return json.dumps(event, ensure_ascii=False, indent=2)
