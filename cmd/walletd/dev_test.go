//go:build !production

package main

import (
	"os"
	"testing"
)

func TestDevNeedsNoConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	if c, err := loadDev(""); err != nil || c.HTTPAddress != "127.0.0.1:8080" {
		t.Errorf("%q, %v", c.HTTPAddress, err)
	}
	t.Setenv("WALLETD_HTTP_ADDRESS", "127.0.0.1:9090")
	if c, err := loadDev(""); err != nil || c.HTTPAddress != "127.0.0.1:9090" {
		t.Errorf("of the environment: %q, %v", c.HTTPAddress, err)
	}
	if err := os.WriteFile("config.env", []byte("WALLETD_KAFKA_TOPIC=mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadDev(""); err == nil {
		t.Error("a file that is there, and lacks what is required, is no fault")
	}
}
