package deploy

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var figure = regexp.MustCompile(`livesupport_[a-z_]+`)

// TestFiguresExist: whatever speaks of a metric speaks of one that there is, with its
// kind and labels, and README.md and the dashboard have all of them.
func TestFiguresExist(t *testing.T) {
	all := startServers(t)
	_, shown := plain("", "").body(t, "http://"+all.backends[0].MetricsAddr()+"/metrics")
	types := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (livesupport_\S+) (\S+)$`).FindAllStringSubmatch(shown, -1) {
		types[line[1]] = line[2]
	}
	if len(types) < 25 {
		t.Fatalf("only %d metrics: %v", len(types), types)
	}
	for name, kind := range types {
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
	}
	for _, file := range []string{
		"alerts.yml", "alerts_test.yml", "dashboard.json",
		"kubernetes/chatserver.yaml", "kubernetes/subscriber.yaml", "README.md",
	} {
		text := read(t, file)
		named := map[string]bool{}
		for _, name := range figure.FindAllString(text, -1) {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if whole := strings.TrimSuffix(name, part); types[whole] == "histogram" {
					name = whole
				}
			}
			named[name] = true
			if types[name] == "" {
				t.Errorf("%s names %s, which there is not", file, name)
			}
		}
		for name := range types {
			if file == "dashboard.json" && !named[name] {
				t.Errorf("%s does not show %s", file, name)
			}
		}
	}
	expectMetricsTable(t, types, shown)
}

// expectMetricsTable compares README.md's table with what a process shows: names,
// kinds, and the labels of those that have a value by now.
func expectMetricsTable(t *testing.T, types map[string]string, shown string) {
	t.Helper()
	listed := map[string]bool{}
	compared := 0
	for _, row := range table(t, "README.md", "metric", "kind", "meaning") {
		kinds := strings.Split(row[1], ", ")
		for i, cell := range codeSpan.FindAllString(row[0], -1) {
			name, labels, _ := strings.Cut(strings.Trim(cell, "`}"), "{")
			if listed[name] {
				t.Errorf("README.md lists %s twice", name)
			}
			listed[name] = true
			if kind := kinds[min(i, len(kinds)-1)]; kind != types[name] {
				t.Errorf("README.md says that %s is a %s, but it is a %s", name, kind, types[name])
			}
			if has, ok := labelsOf(shown, name); ok && has != labels {
				t.Errorf("README.md gives %s the labels %q, but it has %q", name, labels, has)
			} else if ok && labels != "" {
				compared++
			}
		}
	}
	for name := range types {
		if !listed[name] {
			t.Errorf("README.md does not list %s", name)
		}
	}
	if compared < 5 {
		t.Errorf("only %d metrics with labels", compared)
	}
}

// labelsOf are the labels of a metric's values, joined by commas; ok is false while
// it has none.
func labelsOf(shown, name string) (labels string, ok bool) {
	values := regexp.MustCompile(`(?m)^` + name + `(?:_sum)?(?:\{(.*)\})? \S+$`).FindStringSubmatch(shown)
	if values == nil {
		return "", false
	}
	var names []string
	for _, label := range regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`).FindAllStringSubmatch(values[1], -1) {
		names = append(names, label[1])
	}
	return strings.Join(names, ","), true
}

// TestAlertsAreExplained: README.md says what each alert means, and of no other.
func TestAlertsAreExplained(t *testing.T) {
	alerts := map[string]bool{}
	for _, alert := range regexp.MustCompile(`alert: (\S+)`).FindAllStringSubmatch(read(t, "alerts.yml"), -1) {
		alerts[alert[1]] = true
	}
	explained := map[string]bool{}
	for _, row := range table(t, "README.md", "alert", "what it means", "what to do") {
		for _, cell := range codeSpan.FindAllString(row[0], -1) {
			name := strings.Trim(cell, "`")
			explained[name] = true
			if !alerts[name] {
				t.Errorf("README.md explains %s, which there is not", name)
			}
		}
	}
	for name := range alerts {
		if !explained[name] {
			t.Errorf("README.md does not explain %s", name)
		}
	}
}

func TestAlertRules(t *testing.T) {
	promtool := tool(t, "promtool")
	run(t, ".", promtool, "check", "config", "prometheus.yml") // and alerts.yml
	run(t, ".", promtool, "test", "rules", "alerts_test.yml")
}

// board is what matters here of a dashboard.
type board struct {
	Title, UID string
	Panels     []struct {
		ID      int
		Type    string
		Title   string
		Targets []struct{ Expr string }
	}
}

func readBoard(t *testing.T) board {
	t.Helper()
	var b board
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// query is a panel's, as Grafana sends it.
func query(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$job", "livesupport").Replace(expr)
}

// TestDashboard: the file is what Grafana imports, and its queries are right.
func TestDashboard(t *testing.T) {
	board := readBoard(t)
	ids := map[int]bool{}
	rules := &strings.Builder{}
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			expr, err := json.Marshal(query(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(rules, "  - {record: panel%d, expr: %s}\n", p.ID, expr)
		}
	}
	if board.UID == "" || len(ids) < 20 {
		t.Errorf("%q with %d panels", board.UID, len(ids))
	}
	promtool := tool(t, "promtool")
	file := filepath.Join(t.TempDir(), "rules.yml")
	write(t, file, rules.String())
	run(t, ".", promtool, "check", "rules", file)
}

// TestDashboardShowsConversation: Prometheus reads the servers, a visitor waits,
// others have a conversation, and the panels show it.
func TestDashboardShowsConversation(t *testing.T) {
	prometheus := tool(t, "prometheus")
	all := startServers(t)
	dir, addr := t.TempDir(), "127.0.0.1:"+freePort(t)
	conf := filepath.Join(dir, "prometheus.yml")
	write(t, conf, fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"+
		"scrape_configs:\n- job_name: livesupport\n  static_configs: [{targets: [%q, %q]}]\n",
		all.backends[0].MetricsAddr(), all.backends[1].MetricsAddr()))
	startProgram(t, prometheus, "--config.file="+conf, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)

	// Visitors and agents are on different servers where that can be.
	s := plain("http://"+all.chats[0], "http://"+all.lobbies[1])
	ask := func(expr string) (values []float64) {
		status, text := s.body(t, "http://"+addr+"/api/v1/query?query="+url.QueryEscape(expr))
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", expr, status, text)
		}
		for _, one := range answer.Data.Result {
			if value, err := strconv.ParseFloat(one.Value[1].(string), 64); err == nil && !math.IsNaN(value) {
				values = append(values, value)
			}
		}
		return values
	}
	positive := func(value float64) bool { return value > 0 }
	expect := func(expected map[string]func(float64) bool) {
		t.Helper()
		for _, panel := range readBoard(t).Panels {
			fits := expected[panel.Title]
			if fits == nil {
				continue
			}
			delete(expected, panel.Title)
			within(t, 30*time.Second, panel.Title, func() bool { return slices.ContainsFunc(ask(query(panel.Targets[0].Expr)), fits) })
		}
		for title := range expected {
			t.Errorf("no panel %q", title)
		}
	}
	eventually(t, "Prometheus has read both servers twice", func() bool {
		res, err := s.client.Get("http://" + addr + "/-/ready")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK && slices.Equal(ask(`count(count_over_time(up{job="livesupport"}[1m]) > 1)`), []float64{2})
	})

	join := func(base, path, kind string, args map[string]any, answer string) {
		line, err := s.dial(t.Context(), base, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(line.close)
		if err := line.send(t.Context(), kind, args); err != nil {
			t.Fatal(err)
		}
		line.await(t, answer)
	}
	v := s.register(t, "Lina")
	join(s.chat, "/chat/"+v.ChatID, "Join", map[string]any{"userId": v.UserID, "from": "User"}, "UserJoined")
	one := func(value float64) bool { return value == 1 }
	expect(map[string]func(float64) bool{"Users waiting": one, "Longest wait": positive, "Chats open": one})

	join(s.lobby, "/users", "Load", map[string]any{"batch": true}, "PendingUsers")
	s.converse(t)
	s.talks(t, 1)
	two := func(value float64) bool { return value == 2 }
	several := func(value float64) bool { return value >= 2 } // the conversation's sockets may be closed by now
	expect(map[string]func(float64) bool{
		"Users waiting": one, "Chats open": several, "Agents": positive, "Connections": several,
		"Claims a second": positive, "Wait until claimed": positive, "Registration to first answer": positive,
		"Messages a second": positive, "Delivery": positive, "Sockets a second": positive,
		"Reachable": one, "Redis pipeline": positive, "Calls in a pipeline": positive, "Broker": positive,
		"Events received a second": positive, "Versions": two, "Memory": positive, "Goroutines": positive,
	})
}
