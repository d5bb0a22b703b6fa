package apps

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// redis saves in the background (fork) and rewrites its log under load, and a replica follows.
func TestRedis(t *testing.T) {
	app{
		needs: []string{"/usr/bin/redis-server", "/usr/bin/redis-cli", "/usr/bin/redis-benchmark"},
		serve: func(s *end) {
			s.start("/usr/bin/redis-server", "--bind", s.addr(), "--protected-mode", "no", "--dir", s.dir("redis"), "--appendonly", "yes", "--save", "")
			s.listens("6379")
		},
		client: func(c *end) {
			cli := func(args ...string) []string { return append([]string{"/usr/bin/redis-cli", "-h", c.addr()}, args...) }
			c.say(cli("SET", "greeting", "hello")...)
			c.say(cli("GET", "greeting")...)
			var fill strings.Builder
			for i := range 20000 {
				fmt.Fprintf(&fill, "SET key:%d %s\n", i, strings.Repeat(fmt.Sprint(i%10), 1+i%400))
			}
			c.sh("redis-cli -h " + c.addr() + " --pipe < " + c.file("fill", fill.String()) + " | tail -1")
			c.replica()
			load := c.start("/usr/bin/redis-benchmark", "-h", c.addr(), "-q", "-n", "60000", "-c", "20", "-r", "1000", "-t", "set,get,lpush,lpop")
			c.run(cli("BGSAVE")...)
			testrig.Until(c.T, "the save", func() bool { return strings.Contains(c.run(cli("INFO", "persistence")...), "rdb_bgsave_in_progress:0") })
			c.run(cli("BGREWRITEAOF")...)
			require.NoError(c.T, load.Wait(4*testrig.Patience), load.Output())
			testrig.Until(c.T, "the rewrite", func() bool {
				return strings.Contains(c.run(cli("INFO", "persistence")...), "aof_rewrite_in_progress:0")
			})
			status := c.run(cli("INFO", "persistence")...)
			require.Contains(c.T, status, "rdb_last_bgsave_status:ok")
			require.Contains(c.T, status, "aof_last_bgrewrite_status:ok")
			c.say(cli("GET", "key:399")...)
			c.sameData()
		},
	}.run(t)
}

// replica starts a redis at the client's end that follows the server's.
func (e *end) replica() {
	e.start("/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", "6380", "--dir", e.dir("replica"), "--save", "", "--replicaof", e.addr(), "6379")
	e.listens("6380")
	testrig.Until(e.T, "the replica to follow", func() bool {
		return strings.Contains(e.run("/usr/bin/redis-cli", "-p", "6380", "INFO", "replication"), "master_link_status:up")
	})
}

// sameData waits until server and replica hold the same.
func (e *end) sameData() {
	testrig.Until(e.T, "the replica to have the same data", func() bool {
		return e.run("/usr/bin/redis-cli", "-h", e.addr(), "DEBUG", "DIGEST") == e.run("/usr/bin/redis-cli", "-p", "6380", "DEBUG", "DIGEST")
	})
}
