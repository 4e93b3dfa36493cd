package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	readyTimeout = 60 * time.Second
	readyPoll    = 50 * time.Millisecond
	stopTimeout  = 30 * time.Second
)

// process is a child of this program that serves HTTP.
type process struct {
	*exec.Cmd
	url    string
	exited chan struct{}
}

// launch starts a program and waits until it is ready. Its output goes to a
// file in dir; it dies with this program.
func launch(ctx context.Context, dir, name, address, path string, env []string, program string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{Cmd: exec.Command(program, args...), url: "http://" + address, exited: make(chan struct{})}
	p.Env, p.Stdout, p.Stderr = append(os.Environ(), env...), log, log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.Wait(); close(p.exited) }()
	if err := p.ready(ctx, path); err != nil {
		p.stop()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(said))
	}
	return p, nil
}

// ready waits until path is answered, without saying that anything is down.
func (p *process) ready(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if p.answers(ctx, path) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("it ended")
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", ctx.Err())
		}
	}
}

func (p *process) answers(ctx context.Context, path string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	return err == nil && response.StatusCode != http.StatusServiceUnavailable && !bytes.Contains(body.Bytes(), []byte(`"down"`))
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		_ = p.Process.Kill()
		<-p.exited
	}
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// usage is what a process and its children have used.
type usage struct {
	CPU time.Duration
	RSS int64 // bytes; shared pages of several processes count more than once
}

// clockTick is the unit of /proc/PID/stat (USER_HZ), which Linux fixes for programs.
const clockTick = 10 * time.Millisecond

// used adds up a process and its children; what a dead child used counts with its parent.
func used(pid int) (u usage) {
	for _, p := range append(children(pid), pid) {
		fields := statFields(p)
		if len(fields) < 22 {
			continue
		}
		u.CPU += ticks(fields[11:15]) // utime, stime, cutime, cstime
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		u.RSS += pages * int64(os.Getpagesize())
	}
	return u
}

// ticks adds up.
func ticks(fields []string) (sum time.Duration) {
	for _, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += time.Duration(n) * clockTick
	}
	return sum
}

// statFields returns /proc/PID/stat from its third field on.
func statFields(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.Fields(rest)
}

func children(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		list, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(list)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(append(all, child), children(child)...)
			}
		}
	}
	return all
}
