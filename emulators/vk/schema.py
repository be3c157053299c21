"""Tables of the VK emulator."""

from pathlib import Path

from emulators.common.store import EmulatorStore

SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, screen_name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
    wall INTEGER NOT NULL DEFAULT 1, hidden INTEGER NOT NULL DEFAULT 0,
    last_wall_id INTEGER NOT NULL DEFAULT 0, last_message_id INTEGER NOT NULL,
    lp_enabled INTEGER NOT NULL, lp_version TEXT NOT NULL, lp_events TEXT NOT NULL,
    lp_ts INTEGER NOT NULL DEFAULT 0, lp_floor INTEGER NOT NULL DEFAULT 0,
    lp_key TEXT NOT NULL, lp_key_at REAL NOT NULL, lp_lost_key TEXT
);
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, kind TEXT NOT NULL, page INTEGER, user_id INTEGER, revoked INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS posts (
    page INTEGER NOT NULL, id INTEGER NOT NULL, from_id INTEGER NOT NULL, at REAL NOT NULL, edited REAL,
    text TEXT NOT NULL, attachments TEXT NOT NULL, post_type TEXT NOT NULL, closed INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS comments (
    page INTEGER NOT NULL, id INTEGER NOT NULL, post_id INTEGER NOT NULL, root_id INTEGER, reply_to INTEGER,
    from_id INTEGER NOT NULL, at REAL NOT NULL, edited REAL, text TEXT NOT NULL, attachments TEXT NOT NULL,
    by_api INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page, id)
);
CREATE INDEX IF NOT EXISTS comments_level ON comments (page, post_id, root_id, id);
CREATE TABLE IF NOT EXISTS messages (
    page INTEGER NOT NULL, id INTEGER NOT NULL, peer_id INTEGER NOT NULL, cmid INTEGER NOT NULL,
    from_id INTEGER NOT NULL, at REAL NOT NULL, edited REAL, text TEXT NOT NULL, attachments TEXT NOT NULL,
    random_id INTEGER NOT NULL DEFAULT 0, reply_to INTEGER, admin_id INTEGER, by_api INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS messages_peer ON messages (page, peer_id, cmid);
CREATE TABLE IF NOT EXISTS dialogs (
    page INTEGER NOT NULL, peer_id INTEGER NOT NULL, last_id INTEGER NOT NULL, last_cmid INTEGER NOT NULL,
    in_read INTEGER NOT NULL DEFAULT 0, out_read INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page, peer_id)
);
CREATE INDEX IF NOT EXISTS dialogs_last ON dialogs (page, last_id);
CREATE TABLE IF NOT EXISTS events (
    page INTEGER NOT NULL, ts INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (page, ts)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS callback_codes (page INTEGER PRIMARY KEY, code TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS callback_servers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, page INTEGER NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL,
    secret TEXT NOT NULL, creator_id INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'wait',
    active INTEGER NOT NULL DEFAULT 0, asked INTEGER NOT NULL DEFAULT 0, version TEXT NOT NULL DEFAULT '5.199',
    events TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0, paused_until REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS callback_servers_page ON callback_servers (page);
CREATE TABLE IF NOT EXISTS callback_queue (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, server INTEGER NOT NULL, event_id TEXT NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL, holds INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS callback_queue_server ON callback_queue (server, seq);
CREATE TABLE IF NOT EXISTS callback_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, page INTEGER NOT NULL, server INTEGER NOT NULL, event_id TEXT NOT NULL,
    kind TEXT NOT NULL, attempt INTEGER NOT NULL, at REAL NOT NULL, status INTEGER, answer TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS callback_log_page ON callback_log (page, id);
CREATE TABLE IF NOT EXISTS people_gone (id INTEGER PRIMARY KEY, deactivated TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS privacy (
    page INTEGER NOT NULL, author INTEGER NOT NULL, block TEXT NOT NULL, PRIMARY KEY (page, author)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused_peers (
    page INTEGER NOT NULL, peer INTEGER NOT NULL, code INTEGER NOT NULL, PRIMARY KEY (page, peer)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused_topics (
    page INTEGER NOT NULL, topic_id INTEGER NOT NULL, code INTEGER NOT NULL, PRIMARY KEY (page, topic_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (
    page INTEGER NOT NULL, id INTEGER NOT NULL, title TEXT NOT NULL, created_by INTEGER NOT NULL,
    at REAL NOT NULL, updated REAL NOT NULL, updated_by INTEGER NOT NULL, last_id INTEGER NOT NULL DEFAULT 0,
    closed INTEGER NOT NULL DEFAULT 0, fixed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS board_comments (
    page INTEGER NOT NULL, topic_id INTEGER NOT NULL, id INTEGER NOT NULL, reply_to INTEGER,
    from_id INTEGER NOT NULL, at REAL NOT NULL, edited REAL, text TEXT NOT NULL, attachments TEXT NOT NULL,
    by_api INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page, topic_id, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photo_uploads (
    key TEXT PRIMARY KEY, album INTEGER NOT NULL, page INTEGER, user_id INTEGER NOT NULL, photo TEXT, hash TEXT,
    content BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL, album INTEGER NOT NULL, access_key TEXT NOT NULL,
    at REAL NOT NULL, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dedupe (
    page INTEGER NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, result INTEGER NOT NULL, PRIMARY KEY (page, key)
) WITHOUT ROWID;
"""

ADDED_COLUMNS = (
    ("pages", "is_closed", "INTEGER NOT NULL DEFAULT 0"),
    ("pages", "deactivated", "TEXT"),
    ("pages", "comments", "TEXT NOT NULL DEFAULT 'open'"),
    ("pages", "links", "TEXT NOT NULL DEFAULT 'allowed'"),
    ("pages", "details", "TEXT NOT NULL DEFAULT '{}'"),
    ("posts", "signer_id", "INTEGER"),
    ("posts", "shared", "TEXT NOT NULL DEFAULT '{}'"),
    ("messages", "shared", "TEXT NOT NULL DEFAULT '{}'"),
)
"""Columns that files of an earlier version lack."""


def open_store(path: Path) -> EmulatorStore:
    """Open the network's file; create missing tables and columns."""
    store = EmulatorStore(path, SCHEMA)
    for table, column, kind in ADDED_COLUMNS:
        present = {row["name"] for row in store.all(f"PRAGMA table_info({table})")}
        if column not in present:
            store.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    return store
