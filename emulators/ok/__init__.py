"""Odnoklassniki emulator: signed REST API, Bot API, outgoing webhooks and a control API."""
