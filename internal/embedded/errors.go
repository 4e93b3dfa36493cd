package embedded

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
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

// explain adds to err what its text or the server's own output says about a full disk or a port in use.
func explain(err error, output, dir string) error {
	if err == nil {
		return nil
	}
	text := strings.ToLower(err.Error() + output)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT),
		strings.Contains(text, "no space left on device"), strings.Contains(text, "disk quota exceeded"):
		return fmt.Errorf("%w: free some space on the disk that holds %s and start again: %w", ErrNoSpace, dir, err)
	case strings.Contains(text, "address already in use"):
		return fmt.Errorf("%w: %w", ErrPortInUse, err)
	}
	return err
}
