-- The tables of format 2 of a Stead store in PostgreSQL. `%s` stands for the quoted name of the schema.
-- docs/src/formats/postgres.md says what every column means.

CREATE TABLE %s.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    product text NOT NULL CHECK (product = 'stead'),
    format integer NOT NULL,
    lineage bytea NOT NULL CHECK (octet_length(lineage) = 16),
    floor bigint NOT NULL DEFAULT 0,
    listening timestamptz,
    ceiling bigint NOT NULL DEFAULT 0,
    started timestamptz,
    syncs bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 25);

CREATE TABLE %s.entries (
    key bytea PRIMARY KEY,
    value bytea NOT NULL,
    revision bigint NOT NULL,
    deadline bigint
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05, fillfactor = 90);

CREATE INDEX entries_deadline ON %s.entries (deadline) WHERE deadline IS NOT NULL;

-- The newest row holds the store's totals, so that no row is updated by every commit: the dead versions of such a row
-- would pile up under a long snapshot, and every commit would have to walk over them.
CREATE TABLE %s.changes (
    revision bigint PRIMARY KEY,
    entries bigint NOT NULL,
    bytes bigint NOT NULL,
    keys bytea[] NOT NULL,
    kinds bytea
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE %s.requests (
    id bytea PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    time bigint NOT NULL,
    fingerprint bytea NOT NULL,
    outcome smallint NOT NULL,
    revision bigint,
    place integer,
    found bigint
);

CREATE UNIQUE INDEX requests_number ON %s.requests (number);

INSERT INTO %s.changes VALUES (0, 0, 0, '{}', NULL);

