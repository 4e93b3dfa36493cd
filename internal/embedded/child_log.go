package embedded

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// openLog opens the log file for appending; one that has grown large is set aside first, over the one before.
func openLog(path string) (*os.File, int64, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, 0, err
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, 0, err
	}
	offset, err := log.Seek(0, io.SeekEnd)
	return log, offset, err
}

// output returns what this run of the process has written, its last part when that is much.
func (c *child) output(limit int64) string {
	file, err := os.Open(c.logPath)
	if err != nil {
		return ""
	}
	defer file.Close()
	start := c.logStart
	if size, err := file.Seek(0, io.SeekEnd); err == nil {
		start = max(start, size-limit)
	}
	text, _ := io.ReadAll(io.NewSectionReader(file, start, limit))
	return strings.TrimSpace(string(text))
}

func (c *child) failure(err error) error {
	return explain(fmt.Errorf("%w\nlast lines of %s:\n%s", err, c.logPath, c.output(logTailBytes)), c.dir)
}
