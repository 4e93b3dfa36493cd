package progress_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walletd/walletd/cmd/walletctl/internal/progress"
)

func TestLinesTellCountRateAndTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		start := time.Now()
		stop := progress.Start(progress.Options{To: &out, Title: "import", Unit: "rows", Total: 300},
			func() int64 { return int64(time.Since(start).Seconds()) * 10 })
		time.Sleep(11 * time.Second) // of the bubble's clock
		stop()
		stop()
		want := "import: 50 of 300 rows, 10/s, 25s left\n" +
			"import: 100 of 300 rows, 10/s, 20s left\n" +
			"import: 110 of 300 rows, 10/s, 19s left\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", &out, want)
		}
	})
}

func TestBarIsForTerminals(t *testing.T) {
	var out strings.Builder
	stop := progress.Start(progress.Options{To: &out, Terminal: true, Title: "import", Unit: "rows", Total: 4},
		func() int64 { return 4 })
	stop()
	if !strings.Contains(out.String(), "(4/4") || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("got %q", out.String())
	}
}
