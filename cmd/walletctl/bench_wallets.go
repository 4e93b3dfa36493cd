package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/walletd/walletd/internal/wallet"
)

// maxFileWallets bounds the wallets of a file: 100 bytes of memory each.
const maxFileWallets = 2_000_000

// readIDs reads wallet ids, one a line.
func readIDs(path string) ([]uuid.UUID, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var ids []uuid.UUID
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		id, ok := wallet.ParseID(lines.Text())
		if !ok || len(ids) == maxFileWallets {
			return nil, fmt.Errorf("--wallets-file: line %d of %s is not a wallet id, or more than %d are there", len(ids)+1, path, maxFileWallets)
		}
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("--wallets-file: %s has no wallet", path)
	}
	return ids, nil
}
