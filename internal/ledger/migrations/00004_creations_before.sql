-- +goose Up

-- The wallets that are there already get their create record too. In a transaction
-- of its own: it locks nothing that a commit needs.
INSERT INTO unjournaled (wallet_id, operation_id, sequence)
SELECT id, id, 0 FROM wallets ON CONFLICT DO NOTHING;

-- +goose Down
DELETE FROM unjournaled WHERE wallet_id = operation_id;
