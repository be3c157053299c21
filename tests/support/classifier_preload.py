"""Load the classifier's model in the fork server, so that forked classifier processes already have it."""

from services.appeals.classification import classifier_pool

classifier_pool._load_info(None)
