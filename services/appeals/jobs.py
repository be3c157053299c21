"""Names of the service's jobs; worker.py registers their handlers."""

from shared.jobs import Jobs

queue = Jobs("appeals")

REQUEST_PUBLICATION = "request_publication"
RETRY_PUBLICATION = "retry_publication"
REROUTE_APPEALS = "reroute"
CREATE_INCIDENT_REPLIES = "answer_incident"
