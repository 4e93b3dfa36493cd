package embedded

import (
	"encoding/json"
	"net"
	"os"
	"strconv"
)

// devPorts is what ports.json keeps, so that a client's settings hold over restarts; 0 is none.
type devPorts struct {
	Postgres int `json:"postgres"`
	Kafka    int `json:"kafka"`
	Redis    int `json:"redis"`
}

// readPorts returns the ports of the last run. A file that is missing or damaged is no error: the ports are free to choose.
func readPorts(path string) (ports devPorts) {
	content, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(content, &ports) != nil {
		return devPorts{}
	}
	return ports
}

// writePorts replaces the file as a whole.
func writePorts(path string, ports devPorts) error {
	content, err := json.Marshal(ports)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(content, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (d *Dev) ports() devPorts {
	return devPorts{
		Postgres: d.postgres.Port(),
		Kafka:    portIn(d.Brokers()[0]),
		Redis:    portIn(d.RedisAddr()),
	}
}

// portIn is the port of host:port.
func portIn(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	return number
}
