package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes reads the process table; processes that end meanwhile are left out.
func processes() []process {
	entries, _ := os.ReadDir("/proc")
	var table []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			table = append(table, p)
		}
	}
	return table
}

func readProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	text := string(stat)
	p := process{pid: pid}
	// The name in parentheses may hold anything, parentheses too; the state follows the last one.
	_, err = fmt.Sscanf(text[strings.LastIndexByte(text, ')')+1:], " %c %d", &p.state, &p.ppid)
	return p, err == nil
}

// serversIn returns the pids of the processes of a program that run in dir: a PostgreSQL server makes its data directory its
// working directory, and so do its children.
func serversIn(program, dir string) []int {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	var pids []int
	for _, p := range processes() {
		proc := fmt.Sprintf("/proc/%d/", p.pid)
		cwd, _ := os.Readlink(proc + "cwd")
		comm, _ := os.ReadFile(proc + "comm")
		if !p.dead() && cwd == dir && strings.TrimSpace(string(comm)) == program {
			pids = append(pids, p.pid)
		}
	}
	return pids
}
