//go:build containers

// Package compose_test runs the compose files as a user does, in containers, and
// kills what can be killed while they are under load: make e2e. It needs Docker,
// curl, and the ports free that both files publish: 8080 to 8082, 8181, 8182, 8281,
// 8282, 8404 and 9090.
package compose_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// walletctl is the client, built for this run.
var walletctl string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "walletd-compose-")
	if err == nil {
		walletctl = filepath.Join(dir, "walletctl")
		build := exec.Command("go", "build", "-o", walletctl, "./cmd/walletctl")
		build.Dir, build.Stderr = root, os.Stderr
		err = build.Run()
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}
