package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/walletd/walletd/client"
)

// lister shows operations as they come.
type lister interface {
	add([]client.Operation) error
	end(nextCursor string) error
}

// document is one JSON document, as the API's list.
type document struct {
	to      io.Writer
	written bool
}

func (d *document) add(ops []client.Operation) error {
	for _, op := range ops {
		content, err := json.Marshal(op)
		if err != nil {
			return err
		}
		lead := ","
		if !d.written {
			lead, d.written = `{"operations":[`, true
		}
		if _, err := fmt.Fprintf(d.to, "%s\n%s", lead, content); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) end(next string) error {
	if !d.written {
		fmt.Fprint(d.to, `{"operations":[`)
	}
	if next != "" {
		_, err := fmt.Fprintf(d.to, "\n],\"nextCursor\":%q}\n", next)
		return err
	}
	_, err := fmt.Fprint(d.to, "\n]}\n")
	return err
}
