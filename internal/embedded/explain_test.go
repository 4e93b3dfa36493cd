package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }

func TestAFullDiskIsRecognised(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("write: %w", syscall.ENOSPC),
		errors.New("exit status 1\ninitdb: error: could not write file: No space left on device"),
		errors.New("exit status 1\nFATAL:  could not extend file\nHINT:  Check free disk space."),
		errors.New("unable to extract: no space left on device"),
	} {
		if got := explain(err, "there"); !errors.Is(got, ErrNoSpace) || !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		} else if again := explain(got, "elsewhere"); again.Error() != got.Error() {
			t.Errorf("explained twice: %v", again)
		}
	}
}

func TestAHalfFilledCacheIsFilledAgain(t *testing.T) {
	cache := t.TempDir()
	interrupted := errors.New("interrupted")
	fills := 0
	fill := func(result error) func(dir string) error {
		return func(dir string) error {
			fills++
			return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o644), result)
		}
	}
	if err := os.Mkdir(filepath.Join(cache, "tool.new-1"), 0o755); err != nil { // left by kill -9
		t.Fatal(err)
	}
	for i, result := range []error{interrupted, nil, nil} {
		if _, err := cached(context.Background(), cache, "tool", fill(result)); !errors.Is(err, result) {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	leftovers, _ := filepath.Glob(filepath.Join(cache, "tool.new-*"))
	if fills != 2 || len(leftovers) != 0 {
		t.Fatalf("filled %d times, left %v", fills, leftovers)
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := ensurePrograms(context.Background(), nil, kafkaPrograms)
	if !errors.Is(err, ErrMissing) || !contains(err, "apt-get install default-jre-headless maven") {
		t.Fatalf("got %v", err)
	}
}
