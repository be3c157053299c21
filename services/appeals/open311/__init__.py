"""Open311 GeoReport v2: topics as services, appeals as service requests."""
