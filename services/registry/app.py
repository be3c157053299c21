"""Build the registry service: its routes, worker loops and settings."""

# ruff: noqa: PLC0415 - the worker does not load what only the API serves

from services.registry import worker
from services.registry.authentication import external_identities
from shared.service import Routes, Service
from shared.tables.registry import RegistryIdempotency


def _routes() -> Routes:
    from services.registry import api
    from services.registry.api import auth, cookie_sessions, import_export
    from services.registry.import_export.importer import MAX_IMPORT_BYTES

    return Routes(
        routers=api.routers,
        root=api.root_routers,
        large_bodies={import_export.IMPORT_PATH: MAX_IMPORT_BYTES},
        body_limits={
            auth.TOKEN_PATH: auth.MAX_FORM_BYTES,
            auth.REVOKE_PATH: auth.MAX_FORM_BYTES,
            cookie_sessions.PATH: auth.MAX_FORM_BYTES,
        },
    )


def build_service() -> Service:
    """Return a new service with its routes and workers."""
    return Service(
        "registry",
        "Gospablik: registry",
        routes=_routes,
        find_person=external_identities.local_lookup,
        workers={
            "purge-expired": worker.purge_expired,
            "record-coverage": worker.record_coverage,
            "deactivate-ended-organisations": worker.deactivate_ended_organisations,
            "refresh-names": worker.refresh_names,
            "page-checks": worker.check_pages,
        },
        answers=RegistryIdempotency,
    )
