package embedded

import (
	"errors"
	"fmt"
	"strings"
)

// The reasons for which a component does not start; errors of this package wrap one of them where it applies, and their text
// says what to do.
var (
	ErrPortInUse    = errors.New("port in use")
	ErrDirInUse     = errors.New("directory in use")
	ErrOtherVersion = errors.New("data of another version")
	ErrHalfWritten  = errors.New("half-written data directory")
	ErrNoSpace      = errors.New("no disk space")
	ErrFetch        = errors.New("download failed")
	ErrMissing      = errors.New("program missing")
	ErrPermission   = errors.New("permission denied")
)

// fullDisk is how programs say it: the system, PostgreSQL, and the disk of a quota.
var fullDisk = []string{"no space left on device", "check free disk space", "disk quota exceeded"}

// explain adds to err what its text, which may have the server's own output, says about a full disk or a port in use, once.
func explain(err error, dir string) error {
	if err == nil || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrPortInUse) {
		return err
	}
	text := strings.ToLower(err.Error())
	for _, words := range fullDisk {
		if strings.Contains(text, words) {
			return fmt.Errorf("%w: free some space on the disk that holds %s and start again: %w", ErrNoSpace, dir, err)
		}
	}
	if strings.Contains(text, "address already in use") {
		return fmt.Errorf("%w: %w", ErrPortInUse, err)
	}
	return err
}
