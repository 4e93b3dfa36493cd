-- +goose Up

-- A wallet's version is the sequence of its last operation: whoever changes the
-- row writes an operation, in the same transaction. The fill factor leaves room
-- for updates that touch no index.
CREATE TABLE wallets (
    id         uuid        PRIMARY KEY,
    balance    bigint      NOT NULL CHECK (balance BETWEEN 0 AND 9007199254740991),
    version    bigint      NOT NULL CHECK (version >= 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);

-- Partitioned by wallet, never by time: the primary key is what makes an
-- operation happen once, and a unique key must contain the partition key.
-- type: 1 deposit, 2 withdraw; status: 1 applied, 2 failed; reason: 0 none,
-- 1 insufficient funds, 2 balance overflow, 3 wallet not found; origin:
-- 0 journal, 1 direct.
CREATE TABLE operations (
    wallet_id      uuid        NOT NULL,
    operation_id   uuid        NOT NULL,
    sequence       bigint,
    type           smallint    NOT NULL,
    amount         bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    status         smallint    NOT NULL,
    reason         smallint    NOT NULL,
    origin         smallint    NOT NULL,
    balance_after  bigint,
    accepted_at    timestamptz NOT NULL,
    applied_at     timestamptz NOT NULL,
    partition      integer,
    journal_offset bigint,
    PRIMARY KEY (wallet_id, operation_id)
) PARTITION BY HASH (wallet_id);

-- +goose StatementBegin
DO $$
BEGIN
    FOR i IN 0..7 LOOP
        EXECUTE format('CREATE TABLE operations_%s PARTITION OF operations FOR VALUES WITH (MODULUS 8, REMAINDER %s)', i, i);
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE UNIQUE INDEX operations_sequence ON operations (wallet_id, sequence);

-- The one journal that this ledger follows. A topic's name may be given to another
-- topic, its id never is. The number of partitions never changes, for it decides
-- which partition a wallet's operations are in.
CREATE TABLE journal (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    topic      text    NOT NULL,
    topic_id   uuid    NOT NULL,
    partitions integer NOT NULL CHECK (partitions > 0)
);

-- The fence: moved by each batch, in its own transaction, from where it began.
CREATE TABLE journal_offsets (
    topic_id    uuid    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 50);

-- Wallets that were set aside, and their operations in order.
CREATE TABLE requeued_lists (
    wallet_id  uuid        PRIMARY KEY,
    partition  integer     NOT NULL,
    length     integer     NOT NULL,
    attempt    integer     NOT NULL,
    refusals   integer     NOT NULL,
    not_before timestamptz NOT NULL,
    last_error text        NOT NULL
);
CREATE INDEX requeued_lists_partition ON requeued_lists (partition);

CREATE TABLE requeued (
    wallet_id      uuid        NOT NULL,
    position       bigint      GENERATED ALWAYS AS IDENTITY,
    kind           smallint    NOT NULL,
    operation_id   uuid        NOT NULL,
    type           smallint    NOT NULL,
    amount         bigint      NOT NULL,
    accepted_at    timestamptz NOT NULL,
    partition      integer     NOT NULL,
    journal_offset bigint      NOT NULL,
    PRIMARY KEY (wallet_id, position)
);
CREATE INDEX requeued_operation ON requeued (wallet_id, operation_id);

-- Direct operations whose backfill record the journal has not acknowledged yet.
CREATE TABLE unjournaled (
    wallet_id    uuid   NOT NULL,
    operation_id uuid   NOT NULL,
    sequence     bigint NOT NULL,
    PRIMARY KEY (wallet_id, operation_id)
);
CREATE INDEX unjournaled_order ON unjournaled (wallet_id, sequence);

-- expect ends the transaction with the given SQLSTATE unless two counts agree.
-- With it a batch is one pipelined implicit transaction: no statement of ours
-- ever leaves a transaction open while it waits for the client.
-- +goose StatementBegin
CREATE FUNCTION expect(actual bigint, expected bigint, state text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF actual <> expected THEN
        RAISE EXCEPTION 'expected % rows, found %', expected, actual USING ERRCODE = state;
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION expect(bigint, bigint, text);
DROP TABLE unjournaled, requeued, requeued_lists, journal_offsets, journal, operations, wallets;
