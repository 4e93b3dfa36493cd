-- +goose Up

-- What operators did to the ledger and the journal, each written with the change
-- that it tells of. Nothing reads it to decide on money.
CREATE TABLE interventions (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    who     text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL,
    reason  text        NOT NULL,
    detail  jsonb       NOT NULL
);
CREATE INDEX interventions_subject ON interventions (subject);

-- How often an operator has accepted what the journal lacks: replicas that run see
-- it change, and meet the journal anew.
ALTER TABLE journal ADD COLUMN generation integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE journal DROP COLUMN generation;
DROP TABLE interventions;
