package statement

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// reader is the state of reading one file.
type reader struct {
	csv      *csv.Reader
	columns  Columns
	at       places
	accounts map[string]int // index in the statement
	lines    map[string]int // of row ids
	result   Statement
	faults   Faults
}

// Read reads a whole file, which is kept in memory. The error is Faults, all of
// the file's, or that of the reader. A header that lacks a column ends the
// reading: the rows under it would only repeat that fault.
func Read(from io.Reader, columns Columns) (*Statement, error) {
	r := &reader{columns: columns, csv: csv.NewReader(withoutMark(from)),
		accounts: map[string]int{}, lines: map[string]int{}}
	r.csv.FieldsPerRecord = -1 // counted here, so that every short row is named
	r.csv.ReuseRecord = true
	r.result.HasBalances = columns.Balance != ""
	if err := r.header(); err != nil {
		return nil, err
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return r.rows()
}

// withoutMark skips the byte order mark that spreadsheets put first: it would be
// part of the first column's name.
func withoutMark(from io.Reader) io.Reader {
	b := bufio.NewReader(from)
	if mark, _ := b.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = b.Discard(3)
	}
	return b
}

func (r *reader) header() error {
	header, err := r.csv.Read()
	if errors.Is(err, io.EOF) {
		return Faults{{Line: 1, Detail: "the file is empty"}}
	}
	if err != nil {
		return r.malformed(err)
	}
	r.at, r.faults = place(header, r.columns)
	return nil
}

func (r *reader) rows() (*Statement, error) {
	for {
		record, err := r.csv.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err := r.malformed(err); err != nil {
				return nil, err
			}
			continue
		}
		r.row(record)
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return &r.result, nil
}

// malformed notes a line that is no CSV and lets the reading go on after it.
func (r *reader) malformed(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	r.faults = append(r.faults, Fault{Line: parse.Line, Column: parse.Column, Detail: parse.Err.Error()})
	if r.at.names == nil { // it is the header
		return r.faults
	}
	return nil
}

func (r *reader) row(record []string) {
	line, _ := r.csv.FieldPos(0)
	if width := len(r.at.names); len(record) != width {
		r.faults = append(r.faults, Fault{Line: line,
			Detail: fmt.Sprintf("%d fields where the header has %d", len(record), width)})
		return
	}
	before := len(r.faults)
	row := r.parse(line, record)
	r.unique(line, row.ID)
	if len(r.faults) == before {
		r.add(record[r.at.account], row)
	}
}

// unique notes an id that an earlier row has: as the rows' idempotency keys come
// from their ids, the second row would never be applied.
func (r *reader) unique(line int, id string) {
	if id == "" {
		return
	}
	if first, ok := r.lines[id]; ok {
		r.fault(r.at.id, fmt.Sprintf("%q is also the id of line %d", id, first))
		return
	}
	r.lines[id] = line
}

func (r *reader) add(account string, row Row) {
	i, ok := r.accounts[account]
	if !ok {
		account = strings.Clone(account) // a field keeps its whole line in memory
		i = len(r.result.Accounts)
		r.accounts[account] = i
		r.result.Accounts = append(r.result.Accounts, Account{Name: account})
	}
	r.result.Accounts[i].Rows = append(r.result.Accounts[i].Rows, row)
	r.result.Rows++
}

func (r *reader) fault(field int, detail string) {
	line, column := r.csv.FieldPos(field)
	r.faults = append(r.faults, Fault{Line: line, Column: column, Name: r.at.names[field], Detail: detail})
}
