package redisdb_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"livesupport/broker/redisdb"
)

func TestOpenURL(t *testing.T) {
	for _, url := range []string{
		"redis://127.0.0.1:1",
		"redis://127.0.0.1:1/3?read_timeout=1s&pool_size=3",
		"redis://user:p%40ss%2Fword@127.0.0.1:1/0",
		"rediss://:password@[::1]:1",
		"unix:///nowhere/redis.sock?db=1",
		"redis://127.0.0.1:1/0?master_name=main&addr=127.0.0.1:2&password=secret",
		"redis://127.0.0.1:1?addr=127.0.0.1:2&addr=127.0.0.1:3",
	} {
		db, err := redisdb.Open(url, nil)
		if err != nil {
			t.Errorf("Open(%q): %v", url, err)
			continue
		}
		_, isCluster := db.Client().(*redis.ClusterClient)
		if want := strings.Contains(url, "?addr="); isCluster != want {
			t.Errorf("Open(%q): Cluster %v, want %v", url, isCluster, want)
		}
		if db.Ready() == nil {
			t.Errorf("Open(%q): ready although nothing is there", url)
		}
		if err := db.Close(); err != nil {
			t.Errorf("Close of %q: %v", url, err)
		}
	}
}

func TestOpenMalformedURL(t *testing.T) {
	for _, url := range []string{
		"",
		"s3cret",
		"127.0.0.1:6379",
		"http://:s3cret@127.0.0.1",
		"redis://:s3cret@127.0.0.1:port",
		"redis://:s3cret@127.0.0.1:1/db",
		"redis://:s3cret@127.0.0.1:1/1/2",
		"redis://:s3cret@127.0.0.1:1?no_such_option=1",
		"redis://:s3cret@127.0.0.1:1?read_timeout=soon",
		"redis://:s3cret@127.0.0.1:1?addr=nowhere",
		"redis://:s3cret@127.0.0.1:1?master_name=main&no_such_option=1",
		"redis://127.0.0.1:1?master_name=main&password=x&s3cret",
		"unix://:s3cret@",
		// passwords that should have been percent-encoded
		"redis://user:/s3cret@127.0.0.1",
		"redis://user:1/s3cret@127.0.0.1",
		"redis://user:1?s3cret@127.0.0.1",
		"redis://user:1#s3cret@127.0.0.1",
		"redis://user:%s3cret@127.0.0.1",
	} {
		db, err := redisdb.Open(url, nil)
		if err == nil {
			t.Errorf("Open(%q) succeeds", url)
			_ = db.Close()
			continue
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open(%q): %v", url, err)
		}
	}
}
