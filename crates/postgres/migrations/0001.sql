-- Format 1. A step that was released is never edited again: the next change is 0002.sql.

-- The rows of all journals. Those of transactions that are over, in the order of their numbers, are
-- the feed that nodes follow.
CREATE TABLE journal (
    group_id bigint NOT NULL,
    first    bigint NOT NULL,
    count    bigint NOT NULL,
    epoch    bigint NOT NULL,
    at       bigint NOT NULL,
    events   bytea  NOT NULL,
    tx       xid8   NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (group_id, first)
);
CREATE INDEX journal_feed ON journal (tx);

-- Where each journal ends, under which epoch, and who drives it. Written with every row, so that
-- pages have room for the next version of their rows.
CREATE TABLE groups (
    id    bigint  PRIMARY KEY,
    epoch bigint  NOT NULL,
    next  bigint  NOT NULL,
    owner uuid,
    ended boolean NOT NULL
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX groups_unfinished ON groups (owner, id) WHERE NOT ended;

-- Unique texts are kept as digests: they are only compared, and have any length and any bytes.
CREATE TABLE documents (
    kind     text COLLATE "C" NOT NULL,
    id       bigint  NOT NULL,
    revision bigint  NOT NULL,
    parent   bigint  NOT NULL,
    text     bytea,
    live     boolean NOT NULL,
    body     bytea   NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX documents_of_parent ON documents (kind, parent, id);
CREATE UNIQUE INDEX documents_text ON documents (kind, text, parent) WHERE text IS NOT NULL;
CREATE INDEX documents_live ON documents (kind, id) WHERE live;

CREATE TABLE contents (
    digest bytea PRIMARY KEY,
    bytes  bytea NOT NULL
);

CREATE TABLE ids (
    kind text COLLATE "C" PRIMARY KEY,
    next bigint NOT NULL
);

-- Who is live, by the clock of the database. A node that is not here is not.
CREATE TABLE nodes (
    id          uuid        PRIMARY KEY,
    lease_until timestamptz NOT NULL
);

-- The last transaction of each store, which it writes itself: so it finds out whether a COMMIT
-- happened whose answer was lost.
CREATE TABLE writers (
    id  uuid        PRIMARY KEY,
    seq bigint      NOT NULL,
    at  timestamptz NOT NULL
) WITH (fillfactor = 20);
