//go:build chaos

package e2e_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The README shows every fault, so that its table is made anew when there is another.
func TestTheReadmeHasEveryFault(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "\n| fault | sent |")
	table, _, _ = strings.Cut(table, "\n\n")
	var shown []string
	for _, row := range strings.Split(table, "\n")[2:] {
		shown = append(shown, strings.TrimSpace(strings.Split(row, "|")[1]))
	}
	want := []string{topicRecreated}
	for _, c := range chaosFaults() {
		want = append(want, c.name)
	}
	slices.Sort(shown)
	slices.Sort(want)
	if !slices.Equal(shown, want) {
		t.Errorf("it has\n%s\nand there are\n%s", shown, want)
	}
}
