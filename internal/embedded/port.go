package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

const loopback = "127.0.0.1"

// portAttempts bounds how often a server that was given a free port is started again because another program took that port
// in between.
const portAttempts = 3

// address is the TCP address of a port on this machine.
func address(port int) string {
	return net.JoinHostPort(loopback, strconv.Itoa(port))
}

// freePorts returns n different ports that nothing listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", address(0))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close()
		ports = append(ports, portIn(listener.Addr().String()))
	}
	return ports, nil
}

// checkPort returns ErrPortInUse when something listens on the port.
func checkPort(name string, port int) error {
	listener, err := net.Listen("tcp", address(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s cannot listen on %s: stop what listens there or choose another port",
			ErrPortInUse, name, address(port))
	}
	if err != nil {
		return fmt.Errorf("%s cannot listen on %s: %w", name, address(port), err)
	}
	return listener.Close()
}

// listenPreferring listens on the port, or on a free one when it is 0 or taken.
func listenPreferring(port int) (net.Listener, error) {
	if listener, err := net.Listen("tcp", address(port)); err == nil {
		return listener, nil
	}
	return net.Listen("tcp", address(0))
}

// onFreePorts calls start with n free ports, again when one of them was taken by another program meanwhile.
func onFreePorts(n int, start func(ports []int) (*child, error)) (*child, error) {
	for attempt := 1; ; attempt++ {
		ports, err := freePorts(n)
		if err != nil {
			return nil, err
		}
		child, err := start(ports)
		if !errors.Is(err, ErrPortInUse) || attempt == portAttempts {
			return child, err
		}
	}
}
