"""Imported by the process that classifier processes are forked from, so that they start with the model loaded."""

from services.appeals.classification import classifier_pool

classifier_pool._load_info(None)
