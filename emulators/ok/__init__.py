"""Odnoklassniki on the wire: REST with signatures, the Bot API, webhooks out, and a control API."""
