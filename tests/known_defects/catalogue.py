"""The defects: small changes of the code that undo the mend of a mechanism, and the test that has to fail."""

from dataclasses import dataclass

_EXACTLY_ONCE = "tests/integration/ingest/test_exactly_once.py"
_DELETIONS = "tests/integration/ingest/test_unannounced_deletions.py"
_READ_BACK = "tests/integration/ingest/test_read_back.py"
_PENDING = "tests/integration/appeals/test_pending_replies.py"
_OUTBOX = "tests/integration/platform/test_outbox.py"
_SIGN_IN = "tests/integration/registry/test_sign_in.py"
_CALLBACKS = "tests/integration/ingest/test_callbacks.py"
_FEED = "tests/integration/webhooks/test_event_feed.py"
_OWNERS = "tests/integration/webhooks/test_endpoint_owners.py"
_LIMITS = "tests/integration/platform/test_request_limits.py"
_REVOKED = "tests/integration/access/test_revoked_access.py"


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect: in the file `path`, `correct` is replaced by `defective`, and `test` must fail."""

    name: str
    consequence: str
    path: str
    correct: str
    defective: str
    test: str


DEFECTS = (
    # Deletions that the network does not announce.
    Defect(
        "ok-count-of-living-comments",
        "a comment deleted in OK between two polls stays shown",
        "services/ingest/networks/ok/reading/discussion_poll.py",
        """        stored_counts = await self._intake.threads_with_other_count(
            {f"ok:{one.key}": one.count for _, one in found}
        )
""",
        "        stored_counts: dict[str, int] = {}\n",
        f"{_DELETIONS}::test_ok_comment_deleted_between_polls_is_marked_deleted",
    ),
    Defect(
        "vk-count-of-living-comments",
        "a comment deleted in VK whose event was missed stays shown",
        "services/ingest/networks/vk/reading/wall_poll.py",
        "others = await self._intake.threads_with_other_count(counts)",
        "others: dict[str, int] = {}",
        f"{_DELETIONS}::test_vk_comment_with_missed_deletion_event_is_marked_deleted",
    ),
    Defect(
        "vk-reconciliation-skips-count-0",
        "reconciliation reports `deleted 0` for a thread whose last comment was deleted",
        "services/ingest/networks/vk/reading/vk_scan.py",
        "for key, count in posts.counts.items() if count or key in others}",
        "for key, count in posts.counts.items() if count and key}",
        f"{_DELETIONS}::test_vk_comment_with_missed_deletion_event_is_marked_deleted",
    ),
    # An answer is published exactly once.
    Defect(
        "retry-without-a-read",
        "«send again» publishes an answer twice if the lost call takes effect late",
        "services/ingest/publishing/publication_requests.py",
        "doubt = row.sending_since is not None and not busy",
        "doubt = row.sending_since is not None and not busy and False",
        f"{_EXACTLY_ONCE}::test_retried_reply_is_published_once_after_late_effect",
    ),
    Defect(
        "failed-publications-not-matched",
        "an answer that appeared after it was given up is offered for sending again",
        "services/ingest/intake/own_reply_matching.py",
        "    # Publications in flight come before",
        '    candidates = [one for one in candidates if one.status != "failed"]\n'
        "    # Publications in flight come before",
        f"{_EXACTLY_ONCE}::test_failed_reply_is_recorded_as_published_when_its_comment_is_received",
    ),
    Defect(
        "target-recomputed",
        "an answer appears under a later message than the chosen one",
        "services/appeals/replies/handover.py",
        "    if reply.in_reply_to is not None:\n        return\n",
        "    appeal = await session.get_one(Appeal, reply.appeal_id)\n"
        "    reply.in_reply_to = (await target_message(session, appeal)).id\n    return\n",
        "tests/integration/appeals/test_reply_target.py::test_reply_requested_again_keeps_its_target",
    ),
    Defect(
        "match-by-clock",
        "a network whose clock is five minutes off gets the answer twice",
        "services/ingest/intake/own_reply_matching.py",
        """            publication.baseline_position is None
            or entry.thread_position(one.external_id, one.written_at) >= publication.baseline_position
""",
        "            (publication.created_at - one.written_at).total_seconds() <= 120\n",
        f"{_EXACTLY_ONCE}::test_lost_reply_is_matched_despite_network_clock_skew",
    ),
    Defect(
        "lease-by-the-clock-of-the-machine",
        "two workers with different clocks send one answer",
        "services/ingest/publishing/publisher.py",
        "        sending_since=DATABASE_NOW,\n        attempts=row.attempts + 1,",
        "        sending_since=clock.now(),\n        attempts=row.attempts + 1,",
        f"{_EXACTLY_ONCE}::test_call_of_a_worker_with_a_slow_clock_is_waited_for",
    ),
    Defect(
        "no-deadline-before-the-write",
        "a call that waited too long is sent after another worker took over",
        "services/ingest/networks/calls.py",
        "if not_after is not None and boottime_seconds() >= not_after:",
        "if not_after is not None and boottime_seconds() < 0:",
        f"{_READ_BACK}::test_nothing_is_sent_after_deadline",
    ),
    Defect(
        "refused-read-means-absent",
        "an answer is sent again because VK refused to show the thread",
        "services/ingest/networks/vk/vk_network.py",
        """        with mapping_read_errors():
            parsed = await self._publishing.read_thread(outgoing)
""",
        """        try:
            with mapping_read_errors():
                parsed = await self._publishing.read_thread(outgoing)
        except Exception:
            return ParsedBatch()
""",
        f"{_READ_BACK}::test_rejected_thread_read_raises_instead_of_returning_nothing",
    ),
    Defect(
        "two-answers-at-once",
        "two colleagues answer one citizen twice in public",
        "services/appeals/replies/submission.py",
        "    await require_none_under_way(session, appeal)\n    if draft.kind",
        "    if draft.kind",
        f"{_PENDING}::test_second_of_two_concurrent_replies_is_refused",
    ),
    Defect(
        "version-of-a-decision-ignored",
        "a moderator's decision is replaced by a colleague who has not seen it",
        "services/appeals/moderation/reviews.py",
        "    check_version(version, seen.version, version=version, decision=decision)\n"
        "    if seen.given or previous is None or previous.reviewed_by == caller.actor:",
        "    if previous is not None or caller.actor:",
        "tests/integration/appeals/test_review_decisions.py::test_concurrent_second_moderator_gets_a_conflict",
    ),
    Defect(
        "same-text-twice",
        "the same final answer is published twice without a key",
        "services/appeals/replies/submission.py",
        "        await repeated_texts.require_new_text(session, appeal, draft.text)\n",
        "        pass\n",
        f"{_PENDING}::test_same_final_text_is_refused_within_the_window",
    ),
    Defect(
        "order-by-wall-clock",
        "`message.edited` is delivered before `message.received`",
        "shared/events/relay.py",
        "_ORDER = (Event.write_order.nulls_first(), Event.created_at, Event.id)",
        "_ORDER = (Event.created_at, Event.id)",
        f"{_OUTBOX}::test_clock_skew_does_not_change_the_order_of_events",
    ),
    # An outage is no failure of the work.
    Defect(
        "shutdown-is-a-failure",
        "a restart of Postgres dead-letters events",
        "shared/database/outages.py",
        '    "57P",  # operator',
        '    "57X",  # operator',
        "tests/unit/shared/test_outages.py::test_temporary_database_error_is_an_outage",
    ),
    Defect(
        "too-many-connections-is-a-failure",
        "five seconds of «too many connections» dead-letter events",
        "shared/database/outages.py",
        '    "53",  # insufficient',
        '    "5X",  # insufficient',
        "tests/integration/platform/test_outage_detection.py::test_connection_limit_or_read_only_server_is_an_outage",
    ),
    Defect(
        "missing-file-is-an-outage",
        "a bug that raises `OSError` is retried without end",
        "shared/database/outages.py",
        "        return error.errno in _ERRNOS or error.errno < 0\n",
        "        return True\n",
        "tests/unit/shared/test_outages.py::test_outage_is_distinguished_from_an_application_error",
    ),
    Defect(
        "outage-counted",
        "an outage during the handling of an event counts as its failure, until it is dead-lettered",
        "shared/events/consumer.py",
        "if not await is_application_error(error, database.ping):",
        "if error is None:",
        f"{_OUTBOX}::test_outage_resets_the_count_of_failures",
    ),
    Defect(
        "pool-of-a-demoted-server",
        "after a failover the service stays connected to the read-only server",
        "shared/database/sessions.py",
        "isinstance(error, ReadOnlyServerError):\n                self._generation += 1\n",
        "isinstance(error, ReadOnlyServerError):\n                pass\n",
        "tests/integration/platform/test_service_without_database.py"
        "::test_read_only_server_is_not_ready_and_its_connections_are_dropped",
    ),
    Defect(
        "readiness-only-reads",
        "a service that cannot write is reported as ready",
        "shared/database/sessions.py",
        '            if await session.scalar(text("SELECT current_setting(\'transaction_read_only\')")) == "on":',
        '            if await session.scalar(text("SELECT \'off\'")) == "on":',
        "tests/integration/platform/test_service_without_database.py"
        "::test_read_only_server_is_not_ready_and_its_connections_are_dropped",
    ),
    Defect(
        "positions-reused-after-failover",
        "a reader of the feed misses events after a failover",
        "shared/events/relay.py",
        "        epoch = max(int(outbox.epoch) + 1, (last >> EPOCH_BITS) + 1, minute)",
        "        epoch = min(0, minute)",
        f"{_OUTBOX}::test_positions_of_a_lost_server_are_not_reused_after_a_failover",
    ),
    Defect(
        "sending-state-lost-in-failover",
        "a failover forgets that an answer was being sent, and it is sent twice",
        "services/ingest/publishing/publisher.py",
        "    await wait_for_standby_commit(session)\n    # Read before",
        "    # Read before",
        f"{_EXACTLY_ONCE}::test_sending_state_is_committed_synchronously_before_the_call",
    ),
    # A wait is no failure, and a failure is told.
    Defect(
        "wait-counts-as-failure",
        "nine waits and one error dead-letter a job",
        "shared/jobs.py",
        "                if job.attempts < self.max_attempts:\n                    backoff",
        "                if job.attempts < self.max_attempts - 1:\n                    backoff",
        "tests/integration/platform/test_jobs.py::test_error_after_many_requested_retries_does_not_dead_letter_the_job",
    ),
    Defect(
        "dead-letter-leaves-the-reply-queued",
        "an answer whose job was dead-lettered stays «queued» and cannot be sent again",
        "services/appeals/worker.py",
        "@queue.handler(jobs.RETRY_PUBLICATION, on_dead_letter=on_job_dead_lettered)",
        "@queue.handler(jobs.RETRY_PUBLICATION)",
        "tests/integration/appeals/test_failed_replies.py::test_reply_whose_job_was_dead_lettered_can_be_retried",
    ),
    Defect(
        "second-broken-promise-unnoticed",
        "the second promise that an organisation breaks is not in the figures",
        "services/appeals/answers/published_replies.py",
        "        appeal.overdue_recorded_at = None\n",
        "",
        "tests/integration/appeals/test_failed_replies.py::test_each_broken_promise_is_recorded_once",
    ),
    Defect(
        "failed-answer-hidden",
        "an appeal whose answer failed looks answered in the lists",
        "services/appeals/answers/published_replies.py",
        '    appeal.reply_failed = {"reply_id": str(reply.id), **summary}\n',
        "",
        "tests/integration/appeals/test_failed_replies.py"
        "::test_failed_reply_shows_in_the_list_until_somebody_answers",
    ),
    Defect(
        "failure-without-event",
        "no webhook tells that an answer failed",
        "services/appeals/answers/published_replies.py",
        "    recorder.add_event(failed)\n",
        "    del failed\n",
        "tests/integration/appeals/test_failed_replies.py::test_failed_reply_emits_an_event_with_appeal_and_reason",
    ),
    # Nobody reads or changes what they may not.
    Defect(
        "locked-person-may-write",
        "a locked person's token still changes things",
        "shared/auth/token_recheck.py",
        "    if caller is not None:\n        _check(connection, caller)",
        "    if caller is not None and not caller.actor:\n        _check(connection, caller)",
        f"{_REVOKED}::test_locked_person_cannot_change_anything_with_a_valid_token",
    ),
    Defect(
        "webhook-outlives-its-owner",
        "an endpoint goes on to receive events after its owner was locked",
        "services/webhooks/endpoints/entitlements.py",
        "        if entitlement.suspension_reason is not None\n    }\n    for endpoint_id",
        "        if entitlement.suspension_reason == '-'\n    }\n    for endpoint_id",
        f"{_OWNERS}::test_endpoint_is_suspended_when_its_owner_loses_the_rights",
    ),
    Defect(
        "personal-data-without-consent",
        "citizens' names leave before a manager has consented",
        "services/webhooks/endpoints/entitlements.py",
        "consented=row.consent_at is not None",
        "consented=True",
        f"{_OWNERS}::test_personal_data_is_masked_until_a_manager_consents",
    ),
    Defect(
        "any-host-gets-personal-data",
        "citizens' names are sent to a host that the operator has not listed",
        "services/webhooks/endpoints/entitlements.py",
        """    return (URL(url).host or "").rstrip(".") in hosts\n""",
        """    return (URL(url).host or "").rstrip(".") in hosts or True\n""",
        f"{_OWNERS}::test_personal_data_is_sent_only_to_listed_hosts",
    ),
    Defect(
        "anybody-locks-anybody-out",
        "five wrong passwords from anywhere lock a person out",
        "services/registry/authentication/throttle.py",
        '            f"{name}:{address}",\n',
        '            f"{name}:",\n',
        f"{_SIGN_IN}::test_wrong_passwords_from_one_address_do_not_block_the_user_at_another",
    ),
    Defect(
        "unlimited-password-queue",
        "a flood of sign-ins delays everybody's sign-in",
        "shared/fair_queue.py",
        "        if self.waiting >= self._max_waiting:",
        "        if self.waiting < 0:",
        f"{_SIGN_IN}::test_sign_in_with_a_full_queue_gets_429",
    ),
    Defect(
        "two-tabs-end-the-session",
        "two tabs that refresh at once sign the person out",
        "services/registry/authentication/session_refresh.py",
        "    successor = await sessions.recent_successor(session, refresh_token, token)\n",
        "    successor = None\n",
        f"{_SIGN_IN}::test_concurrent_refresh_within_grace_period_succeeds",
    ),
    Defect(
        "confirmation-code-for-anybody",
        "a stranger gets the confirmation code of a community and makes us call VK",
        "services/ingest/callbacks/receiver.py",
        "        if not expected:\n            raise self._rejection(known.page.network, sender)\n",
        "",
        f"{_CALLBACKS}::test_confirmation_without_a_pending_server_is_refused_without_a_call",
    ),
    Defect(
        "deep-nesting",
        "a deeply nested event reaches the parser of a whole batch",
        "shared/http/json_depth.py",
        '    if body.count(b"[") + body.count(b"{") <= most:',
        "    if len(body) > most:",
        f"{_CALLBACKS}::test_invalid_body_is_rejected_with_reason",
    ),
    Defect(
        "rejected-events-unlimited",
        "a stranger may guess the secret of a community without end",
        "services/ingest/callbacks/receiver.py",
        "        if self._refusals.exceeded(sender):\n            return TooManyRequests",
        "        if sender == network:\n            return TooManyRequests",
        f"{_CALLBACKS}::test_sender_of_many_rejected_events_gets_429",
    ),
    Defect(
        "quadratic-mentions",
        "a post of a citizen stalls the classification of all others",
        "services/appeals/classification/text/tokenizer.py",
        r"\d++(?::[^|\[\]]*+)?\|[^\[\]]*+\]",
        r"\d+(?::[^|\]]*)?\|[^\]]*\]",
        "tests/unit/appeals/test_hostile_texts.py::test_patterns_run_in_linear_time",
    ),
    Defect(
        "crashing-text-blocks-the-queue",
        "a text that crashes the classifier holds up all later texts",
        "services/appeals/classification/classifier_pool.py",
        "except BrokenProcessPool:\n            await self._in_process(load_info)\n            log.warning(",
        "except ZeroDivisionError:\n            await self._in_process(load_info)\n            log.warning(",
        "tests/integration/appeals/test_classifier_failures.py"
        "::test_text_that_crashes_the_classifier_goes_to_triage_and_the_next_is_assigned",
    ),
    Defect(
        "text-without-a-deadline",
        "a text that takes minutes of CPU time holds up all later texts",
        "services/appeals/classification/classifier_process.py",
        "    signal.setitimer(signal.ITIMER_PROF, deadline)\n",
        "",
        "tests/unit/appeals/test_classifier_pool.py"
        "::test_text_that_stops_the_classifier_is_left_to_a_person_and_the_next_classified",
    ),
    Defect(
        "any-service-may-publish",
        "the key of metrics can publish answers",
        "shared/auth/callers.py",
        "        if found.service not in named:",
        "        if not found.service:",
        "tests/integration/access/test_access_matrix.py::test_unlisted_service_is_refused_by_internal_routes",
    ),
    Defect(
        "service-token-for-any-route",
        "a service's token read from a log opens every internal route",
        "shared/auth/callers.py",
        'if claims.get("use") != tokens.route_claim(request.method, request.url.path):',
        'if not claims.get("use"):',
        "tests/integration/access/test_access_matrix.py::test_service_token_is_accepted_only_by_its_route",
    ),
    Defect(
        "no-quota-of-endpoints",
        "one organisation fills the tables of webhooks",
        "services/webhooks/endpoints/endpoints.py",
        "    if (count or 0) >= limit:\n        holder",
        "    if (count or 0) < 0:\n        holder",
        f"{_OWNERS}::test_endpoint_beyond_the_quota_is_refused",
    ),
    Defect(
        "no-quota-of-tests",
        "our server is used to flood another one with test deliveries",
        "services/webhooks/endpoints/direct_deliveries.py",
        "    if len(sent) >= limit:",
        "    if len(sent) < 0:",
        f"{_OWNERS}::test_test_deliveries_beyond_the_quota_are_refused",
    ),
    Defect(
        "formula-after-a-separator",
        "a cell of an export runs as a formula in the reader's spreadsheet",
        "shared/tabular/formula_escaping.py",
        "    return _MARK + inside if",
        "    inside = value\n    return _MARK + inside if",
        "tests/unit/shared/test_formula_escaping.py::test_no_cell_runs_as_a_formula_with_any_separator",
    ),
    Defect(
        "special-purpose-addresses",
        "a webhook reaches an internal address",
        "services/webhooks/endpoints/special_purpose_networks.py",
        '        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890\n',
        "",
        "tests/unit/webhooks/test_target_addresses.py::test_special_purpose_or_malformed_address_is_refused",
    ),
    Defect(
        "weak-key",
        "an installation runs with a key of one letter",
        "shared/settings.py",
        "    if len(set(value)) < MIN_DISTINCT_CHARACTERS:",
        "    if not value:",
        "tests/unit/shared/test_settings.py::test_weak_key_is_refused_by_every_service",
    ),
    Defect(
        "responses-may-be-cached",
        "a proxy stores citizens' messages",
        "shared/http/request_log.py",
        'API_HEADERS: Headers = (*NOSNIFF, (b"cache-control", b"no-store"))',
        "API_HEADERS: Headers = NOSNIFF",
        f"{_LIMITS}::test_responses_forbid_caching_and_content_sniffing",
    ),
    Defect(
        "sign-ins-not-logged",
        "nobody can say who signed in",
        "services/registry/authentication/sign_in.py",
        '    _log_security_event("signed_in", check)\n',
        "",
        f"{_LIMITS}::test_refusals_and_sign_ins_are_logged_without_secrets",
    ),
    # Contracts that say what happens.
    Defect(
        "last-type-wins",
        "a reader that asks for two types of events gets one",
        "services/webhooks/api/events.py",
        "for value in types or () for part",
        "for value in (types or ())[-1:] for part",
        f"{_FEED}::test_repeated_types_parameters_are_combined",
    ),
    Defect(
        "misspelt-type-ignored",
        "a misspelt type of events skips everything silently",
        "services/webhooks/feed/event_feed.py",
        "    if unknown := sorted(set(types) - EVENT_RIGHTS.keys()):",
        "    types = [kind for kind in types if kind in EVENT_RIGHTS]\n"
        "    if unknown := sorted(set(types) - EVENT_RIGHTS.keys()):",
        f"{_FEED}::test_misspelt_type_is_refused_and_named",
    ),
    Defect(
        "feed-and-webhook-share-no-id",
        "a receiver cannot recognise an event that it read in the feed",
        "services/webhooks/deliveries/dispatcher.py",
        '            "id": str(claim.event_id),',
        '            "id": str(claim.id),',
        f"{_FEED}::test_feed_and_webhook_use_the_same_event_id",
    ),
    Defect(
        "now-means-from-the-start",
        "a reader that asks for new events gets all old ones",
        "services/webhooks/api/events.py",
        "                start = await event_feed.last_position(session)\n",
        "                start = 0\n",
        f"{_FEED}::test_reader_that_starts_after_now_gets_all_later_events",
    ),
    Defect(
        "request-id-in-no-log",
        "a request id that a caller reports is found in no log",
        "shared/http/request_log.py",
        "        with bound_contextvars(request_id=identity):",
        "        with bound_contextvars():",
        "tests/unit/shared/test_request_log.py::test_request_id_sent_by_the_caller_is_logged",
    ),
)
