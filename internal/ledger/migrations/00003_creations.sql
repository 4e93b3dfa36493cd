-- +goose Up

-- Whoever inserts a wallet without a create record of the journal has it noted, so
-- that the record is written: under its own id, and sequence 0, which no operation has.
-- walletd.journaled is set in transactions that insert what the journal has.
-- +goose StatementBegin
CREATE FUNCTION note_creation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('walletd.journaled', true) IS DISTINCT FROM 'yes' THEN
        INSERT INTO unjournaled (wallet_id, operation_id, sequence) VALUES (NEW.id, NEW.id, 0) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER wallets_created AFTER INSERT ON wallets FOR EACH ROW EXECUTE FUNCTION note_creation();

-- +goose Down
DROP TRIGGER wallets_created ON wallets;
DROP FUNCTION note_creation();
DELETE FROM unjournaled WHERE wallet_id = operation_id;
