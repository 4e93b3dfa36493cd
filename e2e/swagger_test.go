package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium finds the browser; run by root on a Debian system it is installed.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Geteuid() == 0 {
		for _, args := range [][]string{{"update", "-q"}, {"install", "-q", "-y", "--no-install-recommends", "chromium"}} {
			install := exec.Command("apt-get", args...)
			install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			if output, err := install.CombinedOutput(); err != nil {
				t.Logf("apt-get %s: %v\n%s", args[0], err, output[max(0, len(output)-2000):])
			}
		}
		if path, err := exec.LookPath("chromium"); err == nil {
			return path
		}
	}
	t.Fatal("chromium is missing: install it first, apt-get install chromium (or your system's package of that kind)")
	return ""
}

// block is what the page shows of a POST request; it has one button for each step.
type block string

func blockOf(path string) block {
	return block(`//div[contains(@class,"opblock-post")][.//*[@data-path="` + path + `"]]`)
}

func (b block) in(rest string) string      { return string(b) + rest }
func (b block) button(class string) string { return b.in(`//button[contains(@class,"` + class + `")]`) }
func (b block) live(rest string) string {
	return b.in(`//table[contains(@class,"live-responses-table")]` + rest)
}

// try opens the block, fills in what the steps do, sends it, and returns the answer's
// status and all that is shown of it.
func (b block) try(t *testing.T, page context.Context, steps ...chromedp.Action[chromedp.Void]) (status, answer string) {
	t.Helper()
	const code = `//tr[@class="response"]//td[contains(@class,"response-col_status")]`
	all := []chromedp.Action[chromedp.Void]{
		chromedp.WaitVisible(string(b)),
		chromedp.Click(b.button("opblock-summary-control")),
		chromedp.WaitVisible(b.button("try-out__btn")), chromedp.Click(b.button("try-out__btn")),
		chromedp.WaitVisible(b.button("execute")),
	}
	all = append(append(all, steps...), chromedp.Click(b.button("execute")), chromedp.WaitVisible(b.live(code)))
	if err := chromedp.Do(page, all...); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	status = strings.TrimSpace(must[string](t)(chromedp.Run(page, chromedp.Text(b.live(code)))))
	return status, must[string](t)(chromedp.Run(page, chromedp.Text(b.live(""))))
}

// TestSwaggerInABrowser opens the page in a real browser that reaches nothing but
// this machine, makes a wallet with its "Try it out", and sends the example of a bulk
// with an operation on each line as it stands there.
func TestSwaggerInABrowser(t *testing.T) {
	t.Parallel()
	s := startStack(t, 1)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	base := s.replicas[0].url("")
	began := time.Now()
	if err := chromedp.Do(ctx, chromedp.Navigate(base+"/api/v1/swagger/index.html")); err != nil {
		t.Fatal(err)
	}
	// The browser lives as long as the context of the first action; the others are bounded.
	page, timeout := context.WithTimeout(ctx, patience)
	defer timeout()
	title := must[string](t)(chromedp.Run(page, chromedp.Title()))
	code, answer := blockOf("/api/v1/wallet/create").try(t, page)
	t.Logf("%q shown and tried in %s: answered %s", title, time.Since(began).Round(time.Millisecond), code)
	if !strings.HasPrefix(code, "201") || !strings.Contains(answer, `"walletId"`) || !strings.Contains(title, "walletd") {
		t.Errorf("title %q, answer %s: %s", title, code, answer)
	}
	if n := s.count("SELECT count(*) FROM wallets"); n != 1 {
		t.Errorf("%d wallets were made", n)
	}
	bulk := blockOf("/api/v1/wallets/{walletId}/operations")
	id, walletID := s.wallet().String(), bulk.in(`//tr[@data-param-name="walletId"]//input`)
	code, answer = bulk.try(t, page,
		chromedp.SetValue(walletID, id[:35]), chromedp.SendKeys(walletID, id[35:]), // the page notices keys only
		chromedp.SendKeys(bulk.in(`//div[contains(@class,"body-param-content-type")]//select`), "application/x-ndjson"),
	)
	if !strings.HasPrefix(code, "200") || strings.Count(answer, `"operation":`) != 3 {
		t.Errorf("the example of a bulk by lines was answered %s: %s", code, answer)
	}
	for _, url := range must[[]string](t)(chromedp.Run(page, chromedp.Evaluate[[]string](`performance.getEntriesByType("resource").map(e => e.name)`))) {
		if !strings.HasPrefix(url, base) && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asked for %s", url)
		}
	}
}
