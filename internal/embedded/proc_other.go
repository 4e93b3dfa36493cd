//go:build unix && !linux

package embedded

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// processes reads the process table.
func processes() []process {
	output, _ := exec.Command("ps", "-axo", "pid=,ppid=,state=").Output()
	var table []process
	for line := range strings.Lines(string(output)) {
		var p process
		if _, err := fmt.Sscanf(line, "%d %d %c", &p.pid, &p.ppid, &p.state); err == nil {
			table = append(table, p)
		}
	}
	return table
}

// serversIn returns the pids of the processes of a program that were started with "-D dir".
func serversIn(program, dir string) []int {
	output, _ := exec.Command("ps", "-axo", "pid=,command=").Output()
	var pids []int
	for line := range strings.Lines(string(output)) {
		number, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(number)
		if err == nil && strings.Contains(rest, program) && strings.Contains(rest, " -D "+dir+" ") {
			pids = append(pids, pid)
		}
	}
	return pids
}
