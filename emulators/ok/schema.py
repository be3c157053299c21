"""The tables of the emulated network, in one SQLite file."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT OR IGNORE INTO counters (name, value) VALUES ('activity', 0);
CREATE TABLE IF NOT EXISTS application (
    key TEXT PRIMARY KEY, secret TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS people (
    uid TEXT PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
    administers_all INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS pages (
    uid TEXT PRIMARY KEY, name TEXT NOT NULL, screen_name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
    members_count INTEGER NOT NULL, created_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS admins (
    uid TEXT NOT NULL, page TEXT NOT NULL, PRIMARY KEY (uid, page)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, uid TEXT, page TEXT, session_secret TEXT,
    revoked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS topics (
    id INTEGER PRIMARY KEY, page TEXT NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL,
    attachments TEXT NOT NULL, created_ms INTEGER NOT NULL, activity_ms INTEGER NOT NULL,
    activity INTEGER NOT NULL, comments INTEGER NOT NULL DEFAULT 0, deleted_by TEXT
);
CREATE INDEX IF NOT EXISTS topics_of_page ON topics (page, created_ms, id);
CREATE INDEX IF NOT EXISTS topics_by_activity ON topics (activity_ms, activity);
CREATE TABLE IF NOT EXISTS comments (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, topic INTEGER NOT NULL, page TEXT NOT NULL,
    author TEXT NOT NULL, text TEXT NOT NULL, attachments TEXT NOT NULL, created_ms INTEGER NOT NULL,
    reply_to TEXT, via TEXT NOT NULL, deleted_by TEXT
);
CREATE INDEX IF NOT EXISTS comments_of_topic ON comments (topic, number);
CREATE INDEX IF NOT EXISTS comments_by_author ON comments (author, number);
CREATE TABLE IF NOT EXISTS marks (
    uid TEXT NOT NULL, topic INTEGER NOT NULL, number INTEGER NOT NULL, read_ms INTEGER NOT NULL,
    PRIMARY KEY (uid, topic)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chats (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, page TEXT NOT NULL, uid TEXT NOT NULL,
    title TEXT NOT NULL, created_ms INTEGER NOT NULL, activity_ms INTEGER NOT NULL,
    activity INTEGER NOT NULL, seen_ms INTEGER NOT NULL,
    UNIQUE (page, uid)
);
CREATE INDEX IF NOT EXISTS chats_by_activity ON chats (page, activity_ms, activity);
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, chat TEXT NOT NULL,
    page TEXT NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL, attachments TEXT NOT NULL,
    created_ms INTEGER NOT NULL, reply_to TEXT, via TEXT NOT NULL, deleted_by TEXT
);
CREATE INDEX IF NOT EXISTS messages_of_chat ON messages (chat, created_ms, number);
CREATE INDEX IF NOT EXISTS messages_by_sender ON messages (sender, number);
CREATE TABLE IF NOT EXISTS subscriptions (
    id INTEGER PRIMARY KEY, page TEXT NOT NULL, url TEXT NOT NULL, types TEXT NOT NULL,
    created_ms INTEGER NOT NULL, failing_ms INTEGER, UNIQUE (page, url)
);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, subscription INTEGER NOT NULL, body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_ms);
CREATE TABLE IF NOT EXISTS delivery_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, page TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
    attempt INTEGER NOT NULL, status INTEGER, at_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS photo_uploads (
    photo_id TEXT PRIMARY KEY, key TEXT NOT NULL, number INTEGER NOT NULL, uid TEXT NOT NULL, page TEXT,
    token TEXT, content BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS photo_uploads_by_key ON photo_uploads (key, number);
CREATE TABLE IF NOT EXISTS photo_upload_albums (key TEXT PRIMARY KEY, aid TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL, page TEXT, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS page_rules (
    page TEXT PRIMARY KEY, rules TEXT NOT NULL, lost INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS closed_topics (topic INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS people_states (uid TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bans (
    page TEXT NOT NULL, uid TEXT NOT NULL, PRIMARY KEY (page, uid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS permissions (
    page TEXT NOT NULL, uid TEXT NOT NULL, allowed INTEGER NOT NULL, PRIMARY KEY (page, uid)
) WITHOUT ROWID;
"""

# Orders events within one millisecond.
NEXT_ACTIVITY = "UPDATE counters SET value = value + 1 WHERE name = 'activity' RETURNING value"
