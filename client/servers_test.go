package client_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if program.folder != "" {
		_ = os.RemoveAll(program.folder)
	}
	if err := goleak.Find(goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// program is the command livesupport, built when the first example wants it.
var program struct {
	once   sync.Once
	folder string
	path   string
}

// servers starts chat server and lobby in a process of their own, and returns where they
// are and what ends them.
func servers() (chatServer, lobbyServer string, stop func()) {
	program.once.Do(func() {
		folder, err := os.MkdirTemp("", "livesupport-client")
		must(err)
		program.folder, program.path = folder, filepath.Join(folder, "livesupport.exe")
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program.path, "livesupport/cmd/livesupport").CombinedOutput()
		if err != nil {
			panic(string(out))
		}
	})
	run := exec.Command(program.path, "--chat-addr=127.0.0.1:0", "--lobby-addr=127.0.0.1:0", "--log-format=json", "--archive-url=off", "--files-url=off")
	log, err := run.StderrPipe()
	must(err)
	must(run.Start())
	give := time.AfterFunc(2*time.Minute, func() { _ = run.Process.Kill() })
	lines := bufio.NewScanner(log)
	for (chatServer == "" || lobbyServer == "") && lines.Scan() {
		var line struct{ Msg, Addr string }
		_ = json.Unmarshal(lines.Bytes(), &line)
		switch line.Msg {
		case "chat server listens":
			chatServer = "http://" + line.Addr
		case "lobby listens":
			lobbyServer = "http://" + line.Addr
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	return chatServer, lobbyServer, func() {
		give.Stop()
		_ = run.Process.Signal(os.Interrupt)
		<-drained
		_ = run.Wait()
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
