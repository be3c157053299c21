"""A receiver for trying webhooks: prints what comes and whether its signature is good."""

import json

import typer
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def build(secret: str | None) -> web.Application:
    """The receiver; without a secret nothing is verified and it says so."""
    webhook = Webhook(secret) if secret else None

    async def receive(request: web.Request) -> web.Response:
        body = await request.text()
        if webhook is None:
            verdict = "signature not checked: no --secret given"
        else:
            try:
                webhook.verify(body, dict(request.headers))
            except WebhookVerificationError as error:
                typer.echo(f"refused {request.headers.get('webhook-id', '?')}: {error}")
                return web.Response(status=401, text="bad signature")
            verdict = "signature good"
        shown = json.dumps(json.loads(body), ensure_ascii=False, indent=2)
        typer.echo(f"{request.headers.get('webhook-id', '?')} ({verdict})\n{shown}")
        return web.Response(status=204)

    app = web.Application(client_max_size=1024 * 1024)
    app.router.add_post("/{path:.*}", receive)
    return app


def listen(port: int, secret: str | None) -> None:
    """Receive on 127.0.0.1 until Ctrl-C."""
    typer.echo(f"Waiting for webhooks at http://127.0.0.1:{port}/ (Ctrl-C stops)")
    web.run_app(build(secret), host="127.0.0.1", port=port, print=None)
