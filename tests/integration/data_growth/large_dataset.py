"""A region's rows after years of use, generated in the database so that an inefficient list reads all of them.

Rare values (an unused network, urgent appeals, failed replies, direct messages, history) are in the oldest rows:
a list that reads the newest rows first and filters them reads the whole table before it finds a match.
"""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

ORGANISATIONS = 200
# The number of oldest rows that have rare values.
RARE = 40
# The number of newest appeals, all open, whatever the total; a few old appeals are open too.
OPEN = 100
# The parent of the organisation that has the rare rows.
PARENT_ID = UUID(int=3)

_SEED = """
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at, lineage)
    SELECT id, 'Организация ' || i, 'организация ' || i, 'institution', true, 1, now(), now(), ARRAY[id]
    FROM (SELECT i, gen_random_uuid() AS id FROM generate_series(1, {organisations}) i) made;
INSERT INTO pages (id, organisation_id, network, external_id, name, sort_key, url, go_live_at, active, version,
        created_at, updated_at)
    SELECT gen_random_uuid(), id, CASE WHEN n = 1 THEN 'ok' ELSE 'vk' END, n::text, 'Страница ' || n,
        'страница ' || n, 'https://network.example/' || n, now() - interval '20 years', true, 1, now(), now()
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM organisations) numbered;
CREATE TEMP TABLE page AS
    SELECT id, organisation_id, row_number() OVER (ORDER BY network = 'vk', id) AS n FROM pages;
CREATE TEMP TABLE topic AS
    SELECT id, row_number() OVER (ORDER BY code) AS n FROM topics WHERE group_id IS NOT NULL;
-- The organisation of the rare rows has a parent without rows.
INSERT INTO organisations (id, name, sort_key, kind, active, version, created_at, updated_at, lineage)
    SELECT {parent}, 'Отдел', 'отдел', 'department', true, 1, now(), now(), ARRAY[{parent}];
UPDATE organisations SET parent_id = {parent}, lineage = ARRAY[{parent}, id]
    WHERE id = (SELECT organisation_id FROM page WHERE n = 1);
-- One row per appeal, the newest last. A few open appeals are old and overdue. The first page, in the unused
-- network, has the rare rows.
CREATE TEMP TABLE made AS
    SELECT i, i <= {rare} AS rare, i > {n} - {open} OR i % ({n} / 8) = 100 AS open,
        gen_random_uuid() AS message_id, gen_random_uuid() AS appeal_id, gen_random_uuid() AS reply_id,
        now() - ({n} - i) * interval '9 minutes' - interval '1 hour' AS at,
        CASE WHEN i <= {rare} THEN 1 ELSE 2 + i % ({organisations} - 1) END AS page,
        1 + i::bigint * 7919 % (SELECT count(*) FROM topic) AS topic
    FROM generate_series(1, {n}) i;
CREATE TEMP TABLE source AS
    SELECT made.i, made.rare, made.open, made.message_id, made.appeal_id, made.reply_id, made.at,
        page.id AS page_id, page.organisation_id, topic.id AS topic_id,
        CASE WHEN made.rare THEN 'ok' ELSE 'vk' END AS network
    FROM made JOIN page ON page.n = made.page JOIN topic ON topic.n = made.topic;
ANALYZE source;
INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key, author_key,
        from_community, publication_id, text, attachments, url, history, source_kind, written_at, received_at,
        version, raw)
    -- A quarter are our own publications.
    SELECT message_id, network, CASE WHEN rare THEN 'message' WHEN i % 3 = 0 THEN 'comment' ELSE 'wall_post' END,
        i || '/1', page_id, organisation_id, network || ':' || i / 3, 'author' || i % 50000, false,
        CASE WHEN i % 4 = 0 THEN message_id END,
        'Когда починят дорогу у дома ' || i || '? ' || repeat(md5(i::text), 4), '[]',
        'https://network.example/' || i,
        rare, 'poll', at, at + interval '1 minute', 1, json_build_object('id', i, 'text', repeat(md5(i::text), 4))
    FROM source ORDER BY i;
INSERT INTO appeals (id, version, status, urgency, organisation_id, assignee_id, incident_id, topic_id, language,
        transfers, returns, page_id, network, thread_key, author_key, url, text, written_at, opened_at,
        assigned_at, first_response_due_at, first_response_at, first_response_working_seconds,
        overdue_recorded_at, next_escalation_at, route, created_at, updated_at)
    SELECT appeal_id, 1, CASE WHEN open THEN 'assigned' WHEN rare THEN 'closed' ELSE 'answered' END,
        CASE WHEN rare THEN 'high' ELSE 'normal' END, organisation_id,
        -- One person has worked on half of all appeals.
        CASE WHEN i % 2 = 0 THEN '00000000-0000-0000-0000-000000000001'::uuid END,
        CASE WHEN rare THEN '00000000-0000-0000-0000-000000000001'::uuid
            -- Fifty appeals per incident.
            WHEN i % 20 = 0 THEN md5('incident' || i / 1000)::uuid END,
        topic_id, 'ru', 0, 0, page_id, network,
        network || ':' || i / 3, 'author' || i % 50000, 'https://network.example/' || i,
        'Когда починят дорогу у дома ' || i || '? ' || repeat(md5(i::text), 4), at, at + interval '1 minute', at,
        at + interval '4 days',
        CASE WHEN open THEN NULL ELSE at + interval '20 hours' END,
        CASE WHEN open THEN NULL ELSE i::bigint * 7919 % 100000 END,
        CASE WHEN open AND i % 2 = 0 THEN at + interval '4 days' ELSE NULL END,
        CASE WHEN open THEN at + interval '4 days' END,
        '{{"reason": "topic", "rule_id": null, "confidence": 1}}', at, at
    FROM source ORDER BY i;
INSERT INTO personal_data_reads (id, read_at, service, actor, role, organisation_id, action, subject_kind,
        subject_ids, subject_count)
    SELECT gen_random_uuid(), at, 'appeals', CASE WHEN rare THEN 'rare' ELSE 'person' || i % 500 END, 'executor',
        organisation_id, CASE WHEN rare THEN 'export_appeals_csv' ELSE 'get_appeal' END, 'appeal',
        ARRAY[appeal_id], 1 FROM source ORDER BY i;
INSERT INTO appeal_counts (organisation_id, assignee_id, status, urgency, appeals)
    SELECT organisation_id, assignee_id, status, urgency, count(*) FROM appeals GROUP BY 1, 2, 3, 4;
INSERT INTO sla_clocks (id, appeal_id, kind, state, written_at, received_at, policy_id, target_seconds, unit,
        started_at, due_at, stopped_at, next_warning_at, calendar_id, started_by, start_recorded_at, created_at,
        updated_at)
    SELECT gen_random_uuid(), appeal_id, kind, CASE WHEN open THEN 'running' ELSE 'stopped' END, at, at,
        (SELECT id FROM sla_policies WHERE urgency = 'normal'), 32400, 'working', at, at + interval '4 days',
        CASE WHEN open THEN NULL ELSE at + interval '20 hours' END,
        CASE WHEN open THEN at + interval '2 days' ELSE NULL END, (SELECT id FROM calendars WHERE is_default),
        'system', at, at, at
    FROM source CROSS JOIN (VALUES ('first_response'), ('final_answer')) kinds (kind) ORDER BY i;
INSERT INTO sla_clock_events (clock_id, sequence, kind, at, actor, recorded_at)
    SELECT id, 2, 'stopped', stopped_at, 'system', stopped_at FROM sla_clocks WHERE stopped_at IS NOT NULL;
INSERT INTO appeal_messages SELECT message_id, appeal_id, at FROM source;
INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, publication_id, published_at, version,
        created_at, updated_at, in_reply_to)
    SELECT reply_id, appeal_id, 'gospablik', 'final', 'Ответ ' || repeat(md5(i::text), 4),
        CASE WHEN rare THEN 'queued' ELSE 'published' END, 'person',
        CASE WHEN rare THEN NULL ELSE gen_random_uuid() END, at, 1, at, at, message_id
    FROM source ORDER BY i;
INSERT INTO grading_samples (id, week, rubric_id, seed, size, second_share, answers, created_by, created_at)
    SELECT gen_random_uuid(), week, id, 'x', 1, 0, 1, 'x', now() FROM grading_rubrics
    CROSS JOIN (SELECT DISTINCT to_char(at, 'IYYY-"W"IW') FROM source) weeks (week);
-- A fifth of all answers is in samples; the newest of these still wait for the second of two graders.
INSERT INTO grading_items (id, sample_id, position, reply_id, organisation_id, kind, published_at, edits,
        stratum_size, graders_wanted, scores, graded_at, created_at)
    SELECT message_id, grading_samples.id, i, reply_id, organisation_id, 'final', at, 0, 1, 2,
        '{{}}', CASE WHEN i > {n} - 5 * {open} THEN NULL ELSE at END, at
    FROM source JOIN grading_samples ON week = to_char(at, 'IYYY-"W"IW') WHERE i % 5 = 0 ORDER BY i;
INSERT INTO grading_grades (id, item_id, number, grader, claimed_until, scores, graded_at, created_at)
    SELECT gen_random_uuid(), id, 1, CASE WHEN graded_at IS NULL THEN 'one' ELSE 'another' END, created_at, '{{}}',
        created_at, created_at FROM grading_items ORDER BY created_at;
INSERT INTO grading_objections (id, item_id, organisation_id, version, status, ground, former_scores, requested_by,
        created_at, updated_at)
    SELECT gen_random_uuid(), id, organisation_id, 1,
        CASE WHEN position <= {rare} THEN 'open' ELSE 'rejected' END, '', '{{}}',
        'x', created_at, created_at FROM grading_items WHERE graded_at IS NOT NULL;
INSERT INTO promises (id, appeal_id, organisation_id, reply_id, promised_at, made_at, status, created_at,
        updated_at)
    SELECT gen_random_uuid(), appeal_id, organisation_id, reply_id, at + interval '4 days', at,
        CASE WHEN i > {n} - {open} THEN 'open' WHEN rare THEN 'moved' WHEN i % 5 = 0 THEN 'broken' ELSE 'kept' END,
        at, at
    FROM source WHERE rare OR open OR i % 4 = 0 ORDER BY i;
INSERT INTO publications (id, reply_id, page_id, organisation_id, network, kind, thread_key, reply_to, text,
        on_behalf_of, status, attempts, external_id, url, published_at, version, created_at, updated_at, part,
        parts)
    SELECT message_id, reply_id, page_id, organisation_id, network, 'comment', network || ':' || i, 'x',
        'Ответ ' || repeat(md5(i::text), 4), 'person', CASE WHEN rare THEN 'failed' ELSE 'published' END, 1,
        'p' || i, 'https://network.example/p' || i, at, 1, at, at, 0, 1
    FROM source ORDER BY i;
INSERT INTO appeal_search_documents (id, appeal_id, kind, organisation_id, number, words)
    SELECT id, id, 'appeal', organisation_id, number, to_tsvector('russian', text) FROM appeals ORDER BY number;
-- One person watches the oldest appeals, other people watch a tenth of all; nobody has read them.
INSERT INTO appeal_watchers (appeal_id, person_id, added_by, created_at)
    SELECT appeal_id, CASE WHEN rare THEN '00000000-0000-0000-0000-000000000001' ELSE md5(i::text) END::uuid,
        'person', at
    FROM source WHERE rare OR i % 10 = 0 ORDER BY i;
INSERT INTO unread_appeals (person_id, appeal_id, reason, last_at)
    SELECT person_id, appeal_id, 'message', created_at FROM appeal_watchers;
INSERT INTO appeal_tags (id, appeal_id, organisation_id, tag, added_by, created_at)
    SELECT gen_random_uuid(), appeal_id, organisation_id, CASE WHEN rare THEN 'крыльцо' ELSE 'к' || i % 50 END,
        'person', at
    FROM source WHERE rare OR i % 10 = 0
    UNION ALL
    SELECT gen_random_uuid(), appeal_id, organisation_id, 'частая', 'person', at FROM source WHERE i % 2 = 0;
INSERT INTO quarantine (id, network, page_id, source_kind, reason, raw, created_at)
    SELECT gen_random_uuid(), network, page_id, 'poll', 'no parser', repeat('x', 300), at
    FROM source WHERE rare OR i % 10 = 0 ORDER BY i;
INSERT INTO alerts (id, kind, appeal_id, why, seen_at, seen_by, created_at)
    SELECT gen_random_uuid(), CASE WHEN rare THEN 'repeated_transfers' ELSE 'urgent' END, appeal_id, 'слова', at,
        'person', at
    FROM source WHERE rare OR i % 10 = 0 ORDER BY i;
INSERT INTO events (id, position, type, subject_id, organisation_id, actor, occurred_at, created_at, data)
    SELECT gen_random_uuid(), i, CASE WHEN rare THEN 'promise.broken' ELSE 'appeal.opened' END, appeal_id,
        organisation_id, 'appeals', at, at, '{{}}'
    FROM source ORDER BY i;
INSERT INTO webhook_endpoints (id, organisation_id, url, description, event_types, secret, active, created_by,
        version, created_at, updated_at)
    SELECT gen_random_uuid(), id, 'https://system.example', '', '[]', '', true, 'person', 1, now(), now()
    FROM organisations ORDER BY id LIMIT 2;
INSERT INTO webhook_deliveries (id, endpoint_id, event_id, event_type, organisation_id, payload, status,
        attempts, next_attempt_at, created_at)
    SELECT gen_random_uuid(), webhook_endpoints.id, events.id, events.type, webhook_endpoints.organisation_id,
        '{{}}',
        CASE WHEN position <= {rare} THEN 'failed' WHEN position <= 2 * {rare} THEN 'pending' ELSE 'delivered' END,
        1, occurred_at, occurred_at
    FROM events CROSS JOIN webhook_endpoints ORDER BY position;
SET session_replication_role = origin;
"""


@dataclass(frozen=True)
class Region:
    """The organisation and page whose lists are read; they have as many rows as any other."""

    organisation_id: UUID
    page_id: UUID


# Indexes without a constraint are dropped and created again after the tables are filled: this is three times as
# fast.
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = ANY('{messages,appeals,appeal_messages,replies,promises,publications,quarantine,alerts,events,
        webhook_deliveries,appeal_search_documents}'::regclass[])
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


async def fill(connection: asyncpg.Connection, appeals: int) -> Region:
    """Fill an empty, migrated database as superuser. Return an organisation and a page in it."""
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute(
        _SEED.format(n=appeals, rare=RARE, open=OPEN, organisations=ORGANISATIONS, parent=f"'{PARENT_ID}'::uuid"),
        timeout=600,
    )
    for index in indexes:
        await connection.execute(index["definition"], timeout=600)
    # Dead rows and missing statistics must not affect the plans.
    await connection.execute("VACUUM (ANALYZE)", timeout=600)
    row = await connection.fetchrow("SELECT organisation_id, id FROM page WHERE n = 7")
    return Region(organisation_id=row[0], page_id=row[1])
