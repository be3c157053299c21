"""The routes of ingest: parse, authorise, call one domain function, answer."""

from services.ingest.api import messages, publications, sources, tokens

ROUTERS = [messages.router, sources.router, tokens.router, publications.router]
ROOT = [publications.internal]
