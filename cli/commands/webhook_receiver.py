"""A receiver to try webhooks: prints each delivery and whether its signature is valid."""

import json

import typer
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def build_app(secret: str | None) -> web.Application:
    """Return the receiver; without a secret it verifies nothing and says so."""
    webhook = Webhook(secret) if secret else None

    async def handle(request: web.Request) -> web.Response:
        body = await request.text()
        if webhook is None:
            signature = "signature not checked: no --secret given"
        else:
            try:
                webhook.verify(body, dict(request.headers))
            except WebhookVerificationError as error:
                typer.echo(f"refused {request.headers.get('webhook-id', '?')}: {error}")
                return web.Response(status=401, text="invalid signature")
            signature = "signature valid"
        shown = json.dumps(json.loads(body), ensure_ascii=False, indent=2)
        typer.echo(f"{request.headers.get('webhook-id', '?')} ({signature})\n{shown}")
        return web.Response(status=204)

    app = web.Application(client_max_size=1024 * 1024)
    app.router.add_post("/{path:.*}", handle)
    return app


def receive(port: int, secret: str | None) -> None:
    """Receive webhooks on 127.0.0.1 until Ctrl-C."""
    typer.echo(f"Waiting for webhooks at http://127.0.0.1:{port}/ (Ctrl-C stops)")
    web.run_app(build_app(secret), host="127.0.0.1", port=port, print=None)
