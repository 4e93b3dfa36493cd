package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Certificates are what a component is reached by TLS with: PEM files, read when a
// client is made.
type Certificates struct {
	CAFile   string `env:"CA_FILE"`   // of whoever signed the server's certificate; "": the system's authorities
	CertFile string `env:"CERT_FILE"` // the client's own, for a server that asks for one
	KeyFile  string `env:"KEY_FILE"`
}

// onOff is what a variable that turns TLS on may be.
var onOff = []string{"off", "on"}

// TLSConfig returns how brokers are reached by TLS; nil if they are reached without.
func (k Kafka) TLSConfig() (*tls.Config, error) { return k.client(k.TLS) }

// TLSConfig returns how Redis is reached by TLS; nil if it is reached without.
func (r Redis) TLSConfig() (*tls.Config, error) { return r.client(r.TLS) }

func (c Certificates) client(turned string) (*tls.Config, error) {
	if turned != "on" {
		return nil, nil
	}
	return c.load()
}

// load reads the files. Errors begin with the variable, without its prefix.
func (c Certificates) load() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := read(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA_FILE: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("CA_FILE: the file has no certificate")
		}
	}
	if c.CertFile == "" {
		return config, nil
	}
	cert, err := read(c.CertFile)
	if err != nil {
		return nil, fmt.Errorf("CERT_FILE: %w", err)
	}
	key, err := read(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("KEY_FILE: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("CERT_FILE: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// read is os.ReadFile, but its error does not quote the name: it may be a password
// that was put into the wrong variable.
func read(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return text, err
}

// check names the variable of each fault. While the files are not used, naming one
// is a fault that says which setting it needs.
func (c Certificates) check(prefix string, used bool, needs string) (faults []error) {
	given := []struct{ variable, file string }{{"CA_FILE", c.CAFile}, {"CERT_FILE", c.CertFile}, {"KEY_FILE", c.KeyFile}}
	for _, g := range given {
		if g.file != "" && !used {
			faults = append(faults, fmt.Errorf("%s%s: needs %s%s", prefix, g.variable, prefix, needs))
		}
	}
	if !used {
		return faults
	}
	switch {
	case c.CertFile == "" && c.KeyFile != "":
		return []error{fmt.Errorf("%sCERT_FILE: is missing beside %sKEY_FILE", prefix, prefix)}
	case c.CertFile != "" && c.KeyFile == "":
		return []error{fmt.Errorf("%sKEY_FILE: is missing beside %sCERT_FILE", prefix, prefix)}
	}
	if _, err := c.load(); err != nil {
		return []error{fmt.Errorf("%s%w", prefix, err)}
	}
	return nil
}
