"""The service's job queue."""

from shared.jobs import Jobs

jobs = Jobs("webhooks")
