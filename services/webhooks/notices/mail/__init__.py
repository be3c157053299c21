"""Notices as letters: made from templates, claimed by one worker, sent to the mail server, with their outcomes."""
