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

// TestSwaggerInABrowser opens the page in a real browser that reaches nothing but
// this machine, and makes a wallet with its "Try it out".
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
	const block = `//div[contains(@class,"opblock-post")][.//*[@data-path="/api/v1/wallet/create"]]`
	const live = block + `//table[contains(@class,"live-responses-table")]`
	began := time.Now()
	if err := chromedp.Do(ctx, chromedp.Navigate(base+"/api/v1/swagger/index.html")); err != nil {
		t.Fatal(err)
	}
	// The browser lives as long as the context of the first action; the others are bounded.
	page, timeout := context.WithTimeout(ctx, patience)
	defer timeout()
	if err := chromedp.Do(page,
		chromedp.WaitVisible(block),
		chromedp.Click(block+`//button[contains(@class,"opblock-summary-control")]`),
		chromedp.WaitVisible(block+`//button[contains(@class,"try-out__btn")]`),
		chromedp.Click(block+`//button[contains(@class,"try-out__btn")]`),
		chromedp.WaitVisible(block+`//button[contains(@class,"execute")]`),
		chromedp.Click(block+`//button[contains(@class,"execute")]`),
		chromedp.WaitVisible(live+`//tr[@class="response"]//td[contains(@class,"response-col_status")]`),
	); err != nil {
		t.Fatal(err)
	}
	title := must[string](t)(chromedp.Run(page, chromedp.Title()))
	code := must[string](t)(chromedp.Run(page, chromedp.Text(live+`//tr[@class="response"]//td[contains(@class,"response-col_status")]`)))
	body := must[string](t)(chromedp.Run(page, chromedp.Text(live)))
	asked := must[[]string](t)(chromedp.Run(page, chromedp.Evaluate[[]string](`performance.getEntriesByType("resource").map(e => e.name)`)))
	t.Logf("%q shown and tried in %s: answered %s", title, time.Since(began).Round(time.Millisecond), strings.TrimSpace(code))
	if !strings.HasPrefix(strings.TrimSpace(code), "201") || !strings.Contains(body, `"walletId"`) || !strings.Contains(title, "walletd") {
		t.Errorf("title %q, answer %s: %s", title, code, body)
	}
	if n := s.count("SELECT count(*) FROM wallets"); n != 1 {
		t.Errorf("%d wallets were made", n)
	}
	for _, url := range asked {
		if !strings.HasPrefix(url, base) && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asked for %s", url)
		}
	}
}
