"""The service's jobs, by name; worker.py holds their handlers."""

from shared.jobs import Jobs

jobs = Jobs("appeals")

REQUEST_PUBLICATION = "request_publication"
RETRY_PUBLICATION = "retry_publication"
REROUTE = "reroute"
ANSWER_INCIDENT = "answer_incident"
