//go:build unix

package archivetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// RequirePostgres is the variable that, if set to 1, makes tests fail instead of being
// skipped if PostgreSQL is missing.
const RequirePostgres = "LIVESUPPORT_REQUIRE_POSTGRES"

// administrator may do everything on the server. user owns the databases, and has no other
// rights, as in a deployment.
const administrator, user = "postgres", "livesupport"

// Postgres is a server of its own on a free port.
type Postgres struct {
	t         testing.TB
	bin, dir  string
	settings  []string
	port      int
	cmd       *exec.Cmd
	ended     chan struct{}
	databases atomic.Int32
}

// StartPostgres starts Debian's PostgreSQL for the duration of a test. If it is not
// installed, StartPostgres skips the test, or fails it if RequirePostgres is set. The settings
// are those of the server, such as fsync=on.
func StartPostgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	// Not t.TempDir, whose folders only this user can read, because the server runs as
	// another user.
	return StartPostgresIn(t, os.TempDir(), settings...)
}

// StartPostgresIn is StartPostgres with the server's files in a folder below dir, which other
// users must be able to enter.
func StartPostgresIn(t testing.TB, dir string, settings ...string) *Postgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		if os.Getenv(RequirePostgres) == "1" {
			t.Fatalf("%s=1, but there is no PostgreSQL", RequirePostgres)
		}
		t.Skip("no PostgreSQL installed (package postgresql)")
	}
	p := &Postgres{t: t, bin: filepath.Dir(found[len(found)-1]), settings: settings}
	var err error
	if p.dir, err = os.MkdirTemp(dir, "postgres"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.dir) })
	p.own()
	data := filepath.Join(p.dir, "data")
	if out, err := p.command("initdb", "-D", data, "-U", administrator, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.port = freePort(t)
	t.Cleanup(p.Stop)
	p.Start()
	p.execute("CREATE ROLE " + user + " LOGIN")
	return p
}

// own makes the server's user the owner of the folder.
func (p *Postgres) own() {
	if credential := p.credential(); credential != nil {
		if err := os.Chown(p.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// credential returns a user other than root, because PostgreSQL does not run as root.
func (p *Postgres) credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	other, err := osuser.Lookup("postgres")
	if err != nil {
		p.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(other.Uid)
	gid, _ := strconv.Atoi(other.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// command returns a program of the server, to run as the server's user.
func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential()}
	return cmd
}

// Shell returns a line for the shell of an administrator, who has the programs of the server's
// version, such as pg_dump, and may do everything on the server.
func (p *Postgres) Shell(line string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-ec", line)
	cmd.Env = append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"),
		"PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(p.port), "PGUSER="+administrator)
	return cmd
}

// Start starts the server again after Stop or Kill, and returns when it answers.
func (p *Postgres) Start() {
	p.t.Helper()
	args := []string{"-D", filepath.Join(p.dir, "data"), "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100", "-c", "fsync=off"}
	for _, s := range p.settings {
		args = append(args, "-c", s)
	}
	p.cmd = p.command("postgres", args...)
	log := &strings.Builder{}
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	p.ended = ended
	go func() {
		_ = p.cmd.Wait() // it fails after Stop and Kill
		close(ended)
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		conn, err := pgx.Connect(ctx, p.url(administrator, "postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Stop()
			p.t.Fatalf("PostgreSQL does not answer: %v\n%s", err, log)
		}
	}
}

// Stop shuts the server down fast. A second call does nothing.
func (p *Postgres) Stop() { p.end(syscall.SIGINT) }

// Kill ends the server at once, without a clean shutdown.
func (p *Postgres) Kill() { p.end(syscall.SIGQUIT) }

func (p *Postgres) end(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Error("PostgreSQL does not end")
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Runs reports whether the server is running.
func (p *Postgres) Runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// URL returns the URL of a database for its owner, who has no other rights.
func (p *Postgres) URL(database string) string { return p.url(user, database) }

func (p *Postgres) url(user, database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", user, p.port, database)
}

// Addr returns the server's host:port.
func (p *Postgres) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// NewDatabase makes an empty database and returns its URL.
func (p *Postgres) NewDatabase() string {
	p.t.Helper()
	name := fmt.Sprintf("archive%d", p.databases.Add(1))
	p.execute("CREATE DATABASE " + name + " OWNER " + user)
	return p.URL(name)
}

// execute executes a statement as the administrator.
func (p *Postgres) execute(statement string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url(administrator, "postgres"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		p.t.Fatal(err)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
