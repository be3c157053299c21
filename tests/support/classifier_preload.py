"""Load the classifier's model in the fork server, so that forked classifier processes already have it."""

from services.appeals.classification import classifier_process

classifier_process.load_info(None)
