"""The service's queue and the names of its jobs; worker.py registers their handlers."""

from shared.jobs import JobQueue

queue = JobQueue("appeals")

REQUEST_PUBLICATION = "request_publication"
RETRY_PUBLICATION = "retry_publication"
CHANGE_PUBLICATION = "change_publication"
REROUTE_APPEALS = "reroute_appeals"
RELEASE_APPEALS = "release_appeals"
RECOMPUTE_DEADLINES = "recompute_deadlines"
CREATE_INCIDENT_REPLIES = "create_incident_replies"
REPLY_TO_ASSIGNED_MEMBERS = "reply_to_assigned_members"
RUN_BULK_OPERATION = "run_bulk_operation"
RUN_EXPORT = "run_export"
INDEX_APPEAL = "index_appeal"
INDEX_ORGANISATION = "index_organisation"
