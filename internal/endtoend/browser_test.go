// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// browser is a Chromium with one page. The test's goroutine uses it.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	said     []string // errors and warnings of its console, violations of the policy
	requests []string // URLs
}

// newBrowser starts Debian's Chromium, with a profile of its own.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	for _, flag := range []string{"no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	options = append(options, chromedp.ExecPath(lab.Tool(t, "chromium", "chromium")), chromedp.UserDataDir(profile(t)), chromedp.WindowSize(1280, 900))
	b := &browser{t: t}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // events that are newer than the library
	t.Cleanup(stop)
	b.ctx, stop = context.WithTimeout(ctx, 2*patience)
	t.Cleanup(stop)
	chromedp.ListenTarget(b.ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, ev.Request.URL)
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, ev.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			b.said = append(b.said, fmt.Sprint(ev.Type, ev.Args))
		case *log.EventEntryAdded:
			b.said = append(b.said, ev.Entry.Text)
		}
	})
	started := make(chan error)
	go func() { // the browser is sent a death signal when the thread that started it ends
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		started <- chromedp.Run(b.ctx, network.Enable(), log.Enable(), runtime.Enable())
		<-b.ctx.Done()
	}()
	if err := <-started; err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return b
}

// profile makes a folder for a browser. Processes of one that was ended write to it
// for a moment more.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "npxchromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "the browser's folder is gone", func() bool { return os.RemoveAll(dir) == nil })
	})
	return dir
}

func (b *browser) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v; the console: %q", what, err, b.said)
	}
}

// eval returns what a script says.
func eval[T any](b *browser, script string) (v T) {
	b.t.Helper()
	b.do(script, chromedp.Evaluate(script, &v))
	return v
}

// until waits for a script to be true.
func (b *browser) until(script string) {
	b.t.Helper()
	for end := time.Now().Add(patience); !eval[bool](b, "!!("+script+")"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("still not %s; the page: %s; the console: %q", script, eval[string](b, "document.body.innerText"), b.said)
		}
	}
}

// press types keys, where the focus is.
func (b *browser) press(keys string) {
	b.t.Helper()
	b.do("press", chromedp.KeyEvent(keys))
}

// slash presses /, which the page takes for itself: no text follows, as none would
// from a keyboard.
func (b *browser) slash() {
	b.t.Helper()
	b.do("press", input.DispatchKeyEvent(input.KeyRawDown).WithKey("/"), input.DispatchKeyEvent(input.KeyUp).WithKey("/"))
}

// shoot keeps a picture where NETPROBE_PICTURES names a folder.
func (b *browser) shoot(name string) {
	if dir := os.Getenv("NETPROBE_PICTURES"); dir != "" {
		var png []byte
		b.do("picture", chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			b.t.Error(err)
		}
	}
}

// markup is a name that would be a script where it were taken for markup.
const markup = `<img src=x onerror="window.hacked=1">'/&amp;%2f\?#`

// TestPage is what a person does at the page in a browser: finds the worst target,
// opens it, reads why, reloads the configuration; by keyboard alone, and on a small
// screen. Names and labels that are markup are text.
func TestPage(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.Host.DropAll(lab.Output, lab.Match{Proto: lab.TCP, Port: 65003}) // one of the ways back
	port := freePort(t)
	quoted := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	dir := folder(t, map[string]string{
		"netprobe.yaml": global(port) + groups + targets(
			`fine: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.3}`,
			`one-path: {type: TCPsyn, destination: 192.0.2.2, dst_port: 81, nb_packets: 10, timeout: 0.3}`,
			`nobody: {type: ICMPping, destination: 192.0.2.9, nb_packets: 2, timeout: 0.3}`),
		"settings.yaml": "api: {socket: \"\", token_file: token}\ninventories: {list: {file: list.jsonl}}\n",
		"token":         "hunter2\n",
		"list.jsonl": `{"hostname": ` + quoted(markup) + `, "type": "ICMPping", "destination": "192.0.2.2", "groups": ["g"], "labels": {"rack": ` +
			quoted(`"><script>window.hacked=2</script>`) + `}}` + "\n",
	})
	config := filepath.Join(dir, "netprobe.yaml")
	p := place{}.start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", config, "--settings", filepath.Join(dir, "settings.yaml"))
	p.waitFor("msg=probing")
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)

	text, err := fetch(nil, port, "/")
	if err != nil || !strings.HasPrefix(text, "netprobe-xdp\n/metrics") {
		t.Errorf("/ for curl: %q, %v", text, err)
	}

	br := newBrowser(t)
	br.do("open", chromedp.Navigate(origin+"/"))
	br.until(`document.querySelector('.row .name')?.textContent === 'nobody' && document.querySelector('.row .loss').textContent === '100 %'`)
	br.until(`[...document.querySelectorAll('.row')].length === 4 && [...document.querySelectorAll('.row')].every(r => /ok|loss|lost/.test(r.textContent))`)
	br.shoot("overview")

	// By keyboard alone: the worst one, then the filter.
	br.press(kb.ArrowDown)
	br.press(kb.Enter)
	br.until(`/^#\/target\/nobody$/.test(location.hash) && /no_neighbour/.test(document.getElementById('explain')?.textContent)`)
	br.until(`[...document.querySelectorAll('.big b')].some(b => b.textContent === '100 %')`)
	br.press(kb.Escape)
	br.until(`document.querySelectorAll('.row').length === 4`)
	br.slash()
	br.do("filter", chromedp.KeyEvent("one-p"))
	br.until(`document.querySelectorAll('.row').length === 1 && document.querySelector('.row .name').textContent === 'one-path'`)
	br.press(kb.ArrowDown)
	br.press(kb.Enter)
	br.until(`/1 of 10 source ports .*\(65003\).*parallel paths is broken/.test(document.getElementById('explain')?.textContent)`)
	br.until(`document.querySelectorAll('.port.broken').length === 1 && /65003/.test(document.querySelector('.port.broken').textContent)`)
	br.until(`document.querySelector('canvas').getAttribute('aria-label')?.includes('with loss')`)
	br.do("table", chromedp.Click("summary"))
	br.until(`document.querySelectorAll('.scroll tbody tr').length > 0`)
	br.shoot("target")
	br.do("back", chromedp.NavigateBack())
	br.until(`document.querySelectorAll('.row').length === 1`) // as it was filtered
	br.press(kb.Escape)
	br.until(`document.querySelectorAll('.row').length === 1 || document.querySelectorAll('.row').length === 4`)

	// A name that is markup, by its own address.
	name := "list_" + markup
	br.do("open", chromedp.Navigate(origin+"/#/target/"+url.PathEscape(name)))
	br.until(fmt.Sprintf(`document.querySelector('h1')?.textContent === %s && document.body.innerText.includes('<script>window.hacked=2</script>')`, quoted(name)))
	if eval[bool](br, `!!window.hacked || document.querySelector('#main img, #main script') !== null`) {
		t.Error("a name or a label became markup")
	}

	// Reload: a wrong token, then the right one.
	if err := os.WriteFile(config, append(must(os.ReadFile(config)), "  more: {type: ICMPping, destination: 192.0.2.2}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	br.do("reload", chromedp.Click("#reload"), chromedp.SendKeys("#token", "wrong"+kb.Enter))
	br.until(`/401: the token is not the prober's/.test(document.querySelector('.answer').textContent)`)
	br.do("reload", chromedp.Evaluate(`document.getElementById('token').value = ''`, nil), chromedp.SendKeys("#token", "hunter2"+kb.Enter))
	br.until(`/Reloaded.*Enabled: 1more.*Unchanged: 4/.test(document.querySelector('.answer').textContent)`)
	br.shoot("reload")
	br.press(kb.Escape)
	br.until(`!document.getElementById('dialog').open`)

	// A fault is shown where it is.
	if err := os.WriteFile(config, append(must(os.ReadFile(config)), "  bad: {type: ping}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	br.do("reload", chromedp.Click("#reload"), chromedp.Click("#go"))
	br.until(`/targets\.bad\.type/.test(document.querySelector('.answer').textContent)`)
	br.press(kb.Escape)

	// A page of another site.
	request, err := http.NewRequest(http.MethodPost, origin+"/api/v1/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://attacker.example"}, "Netprobe-Xdp-Token": {"hunter2"}}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a reload by another site: %s", answer.Status)
	}

	// A small screen.
	br.do("small", chromedp.EmulateViewport(360, 740))
	for _, hash := range []string{"#/", "#/target/one-path", "#/target/" + url.PathEscape(name)} {
		br.do("open", chromedp.Evaluate(`location.hash = `+quoted(hash), nil))
		br.until(`document.querySelector('.row, #explain') !== null`)
		if wide := eval[int](br, `document.documentElement.scrollWidth`); wide > 360 {
			t.Errorf("%s is %d px wide on a screen of 360", hash, wide)
		}
		br.shoot("small")
	}

	br.mu.Lock()
	for _, line := range br.said {
		// What was refused is said by the browser itself.
		if !strings.Contains(line, "the server responded with a status of 4") {
			t.Errorf("the console: %s", line)
		}
	}
	for _, asked := range br.requests {
		if !strings.HasPrefix(asked, origin+"/") {
			t.Errorf("asked somebody else: %s", asked)
		}
	}
	br.mu.Unlock()

	// The program ends: what is shown is old, and says so.
	p.kill()
	br.until(`!document.getElementById('stale').hidden && /cannot be reached; the figures below are/.test(document.getElementById('stale').textContent)`)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestPageManyTargets: of 10,000 targets only those in sight are in the page, however
// it is scrolled and filtered.
func TestPageManyTargets(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.Host.SetRoute("198.18.0.0/15", lab.Hop{Via: "192.0.2.2"})
	lab.AttachReflector(b, lab.ReflectorOptions{Prefixes: []string{"198.18.0.0/15"}})
	port := freePort(t)
	var lines []string
	for i := range 10_000 {
		lines = append(lines, fmt.Sprintf("host-%05d: {type: ICMPping, destination: 198.18.%d.%d}", i, i/250, 1+i%250))
	}
	dir := folder(t, map[string]string{
		"netprobe.yaml": strings.Replace(global(port), "interval: 1,", "interval: 5,", 1) + groups + targets(lines...),
		"settings.yaml": "api: {socket: \"\"}\n",
	})
	p := place{}.start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", filepath.Join(dir, "netprobe.yaml"), "--settings", filepath.Join(dir, "settings.yaml"))
	p.waitFor("msg=probing")
	br := newBrowser(t)
	br.do("open", chromedp.Navigate(fmt.Sprintf("http://127.0.0.1:%d/", port)))
	br.until(`/^10,000 targets/.test(document.querySelector('[role=status]')?.textContent) && document.querySelectorAll('.row .name').length > 10`)
	br.do("watch", chromedp.Evaluate(`window.long = []; new PerformanceObserver(l => l.getEntries().forEach(e => window.long.push(Math.round(e.duration)))).observe({type: 'longtask'}); document.querySelector('[data-sort=name]').click()`, nil))
	for i := range 20 {
		br.do("scroll", chromedp.Evaluate(fmt.Sprintf(`document.querySelector('.window').scrollTop = %d`, i*16_000), nil))
		if n := eval[int](br, `document.querySelectorAll('*').length`); n > 1500 {
			t.Fatalf("%d elements", n)
		}
	}
	br.until(`[...document.querySelectorAll('.row .name')].some(e => e.textContent === 'host-09505')`)
	br.slash()
	br.do("filter", chromedp.KeyEvent("host-0777"))
	br.until(`/^10 targets/.test(document.querySelector('[role=status]').textContent) && document.querySelectorAll('.row .name').length === 10`)
	t.Logf("tasks of more than 50 ms, in ms: %v", eval[[]int](br, `window.long`))
	if len(br.said) > 0 {
		t.Errorf("the console: %q", br.said)
	}
}
