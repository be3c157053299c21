"""Tables of the VK emulator."""

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
CREATE TABLE IF NOT EXISTS dedupe (
    page INTEGER NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, result INTEGER NOT NULL, PRIMARY KEY (page, key)
) WITHOUT ROWID;
"""
