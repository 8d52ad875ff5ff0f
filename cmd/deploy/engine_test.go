package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stack is a compose project on the local engine, with names, images and ports
// of its own.
type stack struct {
	t        *testing.T
	compose  []string // the program and what comes before every command
	env      []string
	services []string
	site     *site
}

const (
	buildTimeout   = 10 * time.Minute
	commandTimeout = 3 * time.Minute
)

// engine wants a container engine, if the tests are told to use it: they build
// images and take minutes.
func engine(t *testing.T) []string {
	t.Helper()
	if os.Getenv("LIVESUPPORT_REQUIRE_DOCKER") != "1" {
		t.Skip("LIVESUPPORT_REQUIRE_DOCKER=1 starts the compose files on the local engine")
	}
	for _, compose := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		version, err := exec.Command(compose[0], append(compose[1:], "version", "--short")...).Output()
		if err == nil && !strings.HasPrefix(string(version), "1.") { // that one cannot read the files
			return compose
		}
	}
	t.Fatal("no docker compose of version 2 or later")
	return nil
}

// newStack prepares a stack of these files; what it leaves behind is removed.
func newStack(t *testing.T, services []string, files ...string) *stack {
	t.Helper()
	compose := engine(t)
	name := fmt.Sprintf("livesupport-test-%d", time.Now().UnixNano())
	chat, lobby := freePort(t), freePort(t)
	s := &stack{
		t: t, services: services,
		compose: append(slices.Clone(compose), "--project-directory", ".", "-p", name),
		site:    plain("http://127.0.0.1:"+chat, "http://127.0.0.1:"+lobby),
		env: append(os.Environ(),
			"DOCKER_BUILDKIT=1", "COMPOSE_DOCKER_CLI_BUILD=1", "VERSION=test-1",
			"CHAT_PORT=127.0.0.1:"+chat, "LOBBY_PORT=127.0.0.1:"+lobby),
	}
	if slices.Contains(services, "proxy") {
		s.env = append(s.env, "CHAT_PORT=127.0.0.1:0", "LOBBY_PORT=127.0.0.1:0",
			"PUBLIC_CHAT_PORT=127.0.0.1:"+chat, "PUBLIC_LOBBY_PORT=127.0.0.1:"+lobby)
	}
	for _, file := range files {
		s.compose = append(s.compose, "-f", file)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.try(commandTimeout, "ps"))
			t.Log(s.try(commandTimeout, "logs", "--tail=60"))
		}
		t.Log(s.try(commandTimeout, "down", "-v", "--remove-orphans", "-t", "20"))
	})
	s.do(buildTimeout, "build")
	return s
}

// set sets a variable for the commands that follow.
func (s *stack) set(variable, value string) { s.env = append(s.env, variable+"="+value) }

// try runs a compose command and returns what it has written, failed or not.
func (s *stack) try(limit time.Duration, args ...string) string {
	out, err := s.command(limit, append(slices.Clone(s.compose), args...)...)
	if err != nil {
		return fmt.Sprintf("%v: %v\n%s", args, err, out)
	}
	return out
}

// do runs a compose command, which must succeed.
func (s *stack) do(limit time.Duration, args ...string) string {
	s.t.Helper()
	out, err := s.command(limit, append(slices.Clone(s.compose), args...)...)
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

func (s *stack) command(limit time.Duration, line ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.Env = "../..", s.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// docker runs a command of the engine itself.
func (s *stack) docker(args ...string) string {
	s.t.Helper()
	out, err := s.command(commandTimeout, append([]string{"docker"}, args...)...)
	if err != nil {
		s.t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return out
}

// container is what matters of docker inspect.
type container struct {
	ID     string
	Config struct{ User string }
	State  struct {
		Running bool
		Health  struct{ Status string }
	}
	HostConfig struct {
		ReadonlyRootfs bool
		Memory         int64
		RestartPolicy  struct{ Name string }
		LogConfig      struct{ Config map[string]string }
		PortBindings   map[string][]any
	}
}

func (s *stack) containers(service string) []container {
	s.t.Helper()
	ids := strings.Fields(s.do(commandTimeout, "ps", "-q", service))
	if len(ids) == 0 {
		return nil
	}
	var all []container
	if err := json.Unmarshal([]byte(s.docker(append([]string{"inspect"}, ids...)...)), &all); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// up starts the stack and waits until every container says that it is healthy.
func (s *stack) up(args ...string) {
	s.t.Helper()
	s.do(commandTimeout, append([]string{"up", "-d", "--no-build"}, args...)...)
	s.healthy()
}

func (s *stack) healthy() {
	s.t.Helper()
	within(s.t, 90*time.Second, "every container is healthy", func() bool {
		for _, service := range s.services {
			all := s.containers(service)
			for _, c := range all {
				if !c.State.Running || service != "proxy" && c.State.Health.Status != "healthy" {
					return false
				}
			}
			if len(all) == 0 {
				return false
			}
		}
		return true
	})
	within(s.t, 30*time.Second, "the published ports are ready", s.site.ready)
}

// expectHardened looks at what the compose file has promised.
func (s *stack) expectHardened() {
	s.t.Helper()
	published := 0
	for _, service := range s.services {
		for _, c := range s.containers(service) {
			ours := service == "chatserver" || service == "subscriber"
			if ours && c.Config.User != "65532:65532" {
				s.t.Errorf("%s runs as %q", service, c.Config.User)
			}
			if h := c.HostConfig; !h.ReadonlyRootfs || h.Memory == 0 || h.RestartPolicy.Name != "unless-stopped" || h.LogConfig.Config["max-size"] == "" {
				s.t.Errorf("%s: %+v", service, h)
			}
			for _, bindings := range c.HostConfig.PortBindings {
				published += len(bindings)
			}
		}
	}
	if published != 2 {
		s.t.Errorf("%d ports are published", published)
	}
}

// version is what the running servers of a service are.
func (s *stack) version(service string) []string {
	s.t.Helper()
	var all []string
	for _, c := range s.containers(service) {
		all = append(all, strings.Fields(s.docker("exec", c.ID, "/"+service, "--version"))[1])
	}
	return all
}

// TestCompose: both files come up healthy, serve a conversation on the published
// ports, and lose nothing that was seen, whatever is stopped, killed, replaced.
func TestCompose(t *testing.T) {
	for file, services := range map[string][]string{
		"docker-compose.redis.yml": {"chatserver", "subscriber", "redis", "postgres"},
		"docker-compose.yml":       {"chatserver", "subscriber", "nats", "redis", "postgres"},
	} {
		t.Run(file, func(t *testing.T) {
			s := newStack(t, services, file)
			if got := strings.Fields(s.do(commandTimeout, "config", "--services")); len(got) != len(services) {
				t.Errorf("services %v, want %v", got, services)
			}
			s.up()
			s.expectHardened()
			s.site.converse(t)

			talks := s.site.talks(t, 5)
			const soon = 30 * time.Second
			talks.flows("at first", soon)
			for _, service := range services[2:] {
				s.do(commandTimeout, "restart", service)
				talks.flows("restart "+service, soon)
				s.do(commandTimeout, "kill", service)
				s.do(commandTimeout, "start", service)
				talks.flows("kill and start "+service, soon)
			}
			s.do(commandTimeout, "kill", "chatserver")
			s.do(commandTimeout, "start", "chatserver")
			talks.flows("kill and start chatserver", soon)

			s.set("VERSION", "test-2")
			s.do(buildTimeout, "build")
			for _, service := range services[:2] {
				s.do(commandTimeout, "up", "-d", "--no-build", "--no-deps", service)
				talks.flows("a new version of "+service, soon)
				if got := s.version(service); !slices.Equal(got, []string{"test-2"}) {
					t.Errorf("%s is %v", service, got)
				}
			}
			s.set("VERSION", "test-1")
			s.do(commandTimeout, "up", "-d", "--no-build", "--no-deps", "chatserver")
			talks.flows("the old version again", soon)
			if got := s.version("chatserver"); !slices.Equal(got, []string{"test-1"}) {
				t.Errorf("chatserver is %v", got)
			}

			s.do(commandTimeout, "down")
			s.up()
			talks.flows("down and up", soon)
			s.site.converse(t)
			talks.settle()
		})
	}
}

// TestComposeScaled: several of each behind the proxy, none of which a client has
// to come back to.
func TestComposeScaled(t *testing.T) {
	s := newStack(t, []string{"chatserver", "subscriber", "nats", "redis", "postgres", "proxy"}, "docker-compose.yml", "cmd/deploy/compose.scale.yml")
	scale := []string{"--scale", "chatserver=3", "--scale", "subscriber=2"}
	s.up(scale...)
	if chats, lobbies := len(s.containers("chatserver")), len(s.containers("subscriber")); chats != 3 || lobbies != 2 {
		t.Fatalf("%d chat servers, %d subscribers", chats, lobbies)
	}
	for range 6 {
		s.site.converse(t)
	}
	talks := s.site.talks(t, 10)
	const soon = 30 * time.Second
	talks.flows("at first", soon)
	s.expectSpread("chatserver", 20)

	s.docker("kill", s.containers("chatserver")[0].ID)
	talks.flows("one chat server killed", soon)
	s.up(scale...)
	talks.flows("and back", soon)
	s.set("VERSION", "test-2")
	s.do(buildTimeout, "build")
	s.do(commandTimeout, "up", "-d", "--no-build", "--no-deps", "--scale", "chatserver=3", "chatserver")
	talks.flows("a new version of chatserver", soon)
	if got := s.version("chatserver"); !slices.Equal(got, []string{"test-2", "test-2", "test-2"}) {
		t.Errorf("chatserver is %v", got)
	}
	s.up("--scale", "chatserver=1", "--scale", "subscriber=1")
	talks.flows("one of each", soon)
	talks.settle()
}

// expectSpread wants every server of a service to have some of the sockets.
func (s *stack) expectSpread(service string, sockets int) {
	s.t.Helper()
	all := s.containers(service)
	for _, c := range all {
		address := strings.TrimSpace(s.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", c.ID))
		_, text := s.site.body(s.t, "http://"+net.JoinHostPort(address, "9100")+"/metrics")
		count := 0.0
		for line := range strings.Lines(text) {
			var n float64
			if _, err := fmt.Sscanf(line, `livesupport_connections{role="user"} %g`, &n); err == nil {
				count += n
			}
			if _, err := fmt.Sscanf(line, `livesupport_connections{role="support"} %g`, &n); err == nil {
				count += n
			}
		}
		if count < float64(sockets/len(all)/2) {
			s.t.Errorf("a %s has %v of %d sockets", service, count, sockets)
		}
	}
}
