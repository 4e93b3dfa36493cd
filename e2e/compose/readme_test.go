//go:build containers

package compose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var timestamp = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[\d:.]+Z"`)

// readmeSession runs the commands of the README's session in one shell, on a system
// that is new, and compares what they print, word by word except for times.
func readmeSession(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## A session")
	_, block, console := strings.Cut(section, "```console\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !console || !closed {
		t.Fatal("README.md has no console block in its section \"A session\"")
	}
	const mark = "=====\n"
	var script, want strings.Builder
	script.WriteString("set -e\n")
	commands := 0
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			script.WriteString("echo\necho '" + strings.TrimSpace(mark) + "'\n" + command)
			want.WriteString(mark)
			commands++
		} else if strings.TrimSpace(line) != "" {
			want.WriteString(line)
		}
	}
	c := exec.CommandContext(t.Context(), "bash")
	c.Stdin = strings.NewReader(script.String())
	got := run(t, c)
	got = regexp.MustCompile(`\n+`).ReplaceAllString(got, "\n")
	plain := func(s string) string {
		return strings.TrimSpace(timestamp.ReplaceAllString(s, `"a time"`))
	}
	if plain(got) != plain(want.String()) {
		t.Errorf("README.md promises\n%s\nand the answers are\n%s", plain(want.String()), plain(got))
	}
	t.Logf("%d commands of the README answered word by word", commands)
}
