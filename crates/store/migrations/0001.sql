-- Format 1. A file that was released is never edited again: the next change is 0002.sql.

-- The rows of all journals in the order of their commits, so that a commit writes few pages;
-- the index finds those of one group.
CREATE TABLE journal (
    id       INTEGER PRIMARY KEY,
    group_id INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    events   BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX journal_of_group ON journal (group_id, first);

CREATE TABLE groups (
    id    INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    owner BLOB,
    ended INTEGER NOT NULL
) STRICT;
CREATE INDEX groups_unfinished ON groups (id) WHERE ended = 0;

CREATE TABLE documents (
    kind        TEXT    NOT NULL,
    id          INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    parent      INTEGER NOT NULL,
    unique_text TEXT,
    live        INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_of_parent ON documents (kind, parent, id);
CREATE UNIQUE INDEX documents_unique ON documents (kind, unique_text, parent)
    WHERE unique_text IS NOT NULL;
CREATE INDEX documents_live ON documents (kind, id) WHERE live = 1;

CREATE TABLE contents (
    digest BLOB PRIMARY KEY NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE ids (
    kind TEXT    PRIMARY KEY NOT NULL,
    next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
