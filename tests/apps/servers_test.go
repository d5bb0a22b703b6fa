package apps

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

const python = "/usr/bin/python3"

// memcached's threads take connections from one that accepts.
func TestMemcached(t *testing.T) {
	app{
		needs: []string{"/usr/bin/memcached"},
		serve: func(s *end) {
			s.start("/usr/bin/memcached", "-u", "nobody", "-t", "4", "-l", s.addr())
			s.listens("11211")
		},
		client: func(c *end) { c.say(python, script(c.T, "memcached.py"), c.addr()) },
	}.run(t)
}

// haproxy with two threads passes on what nginx says, by splice where it can.
func TestHAProxy(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/haproxy"},
		serve: func(s *end) {
			s.start(python, script(s.T, "serve.py"), "threads", "127.0.0.1", "8081")
			s.listens("8081")
			conf := s.file("haproxy.cfg", haproxyAlways+`
frontend f
	bind :8080
	default_backend b
backend b
	server one 127.0.0.1:8081
frontend raw
	mode tcp
	bind :8082
	default_backend r
backend r
	mode tcp
	server one 127.0.0.1:8081
`)
			s.start("/usr/sbin/haproxy", "-f", conf, "-db")
			s.listens("8080", "8082")
		},
		client: func(c *end) { c.fetch("8080"); c.fetch("8082") },
	}.run(t)
}

// fetch gets pages of several sizes and puts one, by curl, and says their sums.
func (e *end) fetch(port string) {
	e.T.Helper()
	e.fetchFrom("http://" + e.addr() + ":" + port)
}

func (e *end) fetchFrom(url string) {
	e.T.Helper()
	up := e.file("up", strings.Repeat("0123456789abcdef", 1<<16))
	e.get(url)
	e.sh(fmt.Sprintf("curl -s -S -f --max-time 60 -T %s %s/up", up, url))
}

// get gets pages.
func (e *end) get(url string, flags ...string) {
	e.T.Helper()
	curl := "curl -s -S -f --max-time 60 " + strings.Join(flags, " ")
	for _, n := range sizes {
		e.sh(fmt.Sprintf("%s %s/%d | sha256sum", curl, url, n))
	}
	e.sh(fmt.Sprintf("%s -Z -w '%%{http_code} %%{size_download}\\n' -o /dev/null '%s/[1-40]' | sort", curl, url))
}

var sizes = []int{0, 1, 1000, 100000, 5 << 20}

// site makes a folder with a file for each page of these and of those from 1 to 40, as large as its name says.
func (e *end) site() string {
	dir := e.dir("site")
	for _, n := range append(numbers(40), sizes...) {
		e.file(fmt.Sprintf("site/%d", n), strings.Repeat("0123456789abcdef", n/16+1)[:n])
	}
	return dir
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// Python's servers: a thread or a process for each connection, and asyncio; their clients are urllib, asyncio and curl.
func TestPython(t *testing.T) {
	for i, kind := range []string{"threads", "forks", "asyncio"} {
		t.Run(kind, func(t *testing.T) {
			port := fmt.Sprint(8090 + i)
			app{
				serve:  func(s *end) { s.start(python, script(s.T, "serve.py"), kind, s.addr(), port); s.listens(port) },
				client: func(c *end) { c.fetch(port); c.say(python, script(c.T, "clients.py"), c.addr(), port) },
			}.run(t)
		})
	}
}

func TestNode(t *testing.T) {
	app{
		needs:  []string{"/usr/bin/node"},
		serve:  func(s *end) { s.start("/usr/bin/node", script(s.T, "http.js"), s.addr(), "8100"); s.listens("8100") },
		client: func(c *end) { c.fetch("8100"); c.say("/usr/bin/node", script(c.T, "client.js"), c.addr(), "8100") },
	}.run(t)
}

// Java's NIO: a selector with many channels.
func TestJava(t *testing.T) {
	classes := t.TempDir()
	require.NoError(t, os.Chmod(classes, 0o755))
	app{
		needs: []string{"/usr/bin/java", "/usr/bin/javac"},
		serve: func(s *end) {
			_, errs, err := tryHere("/usr/bin/javac", "-d", classes, script(s.T, "Echo.java"))
			require.NoError(s.T, err, errs)
			s.start("/usr/bin/java", "-Xmx256m", "-Xint", "-cp", classes, "Echo", "serve", s.addr(), "8110")
			s.listens("8110")
		},
		client: func(c *end) {
			c.say("/usr/bin/java", "-Xmx256m", "-Xint", "-cp", classes, "Echo", "ask", c.addr(), "8110")
		},
	}.run(t)
}

// iperf3 compares what was sent with what arrived; four streams each way, some of them small.
func TestIperf3(t *testing.T) {
	app{
		needs: []string{"/usr/bin/iperf3"},
		serve: func(s *end) { s.start("/usr/bin/iperf3", "-s", "-B", s.addr()); s.listens("5201") },
		client: func(c *end) {
			for _, args := range [][]string{{"-n", "50M"}, {"-n", "50M", "-R"}, {"-n", "10M", "-P", "4"}, {"-n", "1M", "-l", "100", "-N"}, {"-n", "10M", "--bidir"}, {"-n", "10M", "-Z"}} {
				out := c.run(append([]string{"/usr/bin/iperf3", "-c", c.addr(), "-J"}, args...)...)
				require.NotContains(c.T, out, `"error"`)
				fmt.Fprintf(&c.said, "%q done\n", args)
			}
		},
	}.run(t)
}

func TestSockperf(t *testing.T) {
	app{
		needs: []string{"/usr/bin/sockperf"},
		serve: func(s *end) {
			s.start("/usr/bin/sockperf", "server", "--tcp", "-i", s.addr(), "-p", "11111")
			s.listens("11111")
		},
		client: func(c *end) {
			// Under load "dropped" is what was not answered when the time was over: a busy machine's, on either path.
			for mode, whole := range map[string]string{"ping-pong": "dropped messages = 0; # ", "under-load": ""} {
				out := c.run("/usr/bin/sockperf", mode, "--tcp", "-i", c.addr(), "-p", "11111", "-t", "1", "-m", "64")
				require.Contains(c.T, out, whole+"duplicated messages = 0; # out-of-order messages = 0")
			}
			fmt.Fprintln(&c.said, "done")
		},
	}.run(t)
}

// openssl's own server and client.
func TestOpenSSL(t *testing.T) {
	app{
		needs: []string{"/usr/bin/openssl"},
		serve: func(s *end) {
			key, cert := s.certificate()
			big := filepath.Join(s.dir("www"), "big")
			require.NoError(s.T, os.WriteFile(big, []byte(strings.Repeat("0123456789abcdef", 1<<17)), 0o644))
			s.start("/bin/sh", "-c", fmt.Sprintf("cd %s && exec openssl s_server -quiet -WWW -key %s -cert %s -accept %s:4433", filepath.Dir(big), key, cert, s.addr()))
			s.listens("4433")
		},
		client: func(c *end) {
			for range 5 {
				c.sh("curl -s -S -k --max-time 60 https://" + c.addr() + ":4433/big | sha256sum")
			}
			c.sh("printf 'GET /big HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -ign_eof -connect " + c.addr() + ":4433 2>/dev/null | sha256sum")
		},
	}.run(t)
}

// certificate makes a key and a certificate of its own.
func (e *end) certificate() (key, cert string) {
	key, cert = e.Dir+"/tls.key", e.Dir+"/tls.crt"
	out, errs, err := tryHere("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=sluice")
	require.NoError(e.T, err, out+errs)
	require.NoError(e.T, os.Chmod(key, 0o644))
	return key, cert
}

// sshd forks for each connection and gives it to a program of its own; rsync runs over it.
func TestRsyncOverSSH(t *testing.T) {
	app{
		needs: []string{"/usr/bin/rsync", "/usr/sbin/sshd"},
		serve: func(s *end) {
			s.keys()
			s.start("/usr/sbin/sshd", "-D", "-e", "-p", "2222", "-h", s.Dir+"/ssh/host", "-f", "/dev/null", "-o", "AuthorizedKeysFile="+s.Dir+"/ssh/user.pub",
				"-o", "StrictModes=no", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes")
			s.listens("2222")
		},
		client: func(c *end) {
			ssh := "ssh -p 2222 -i " + c.Dir + "/ssh/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
			c.sh(ssh + " root@" + c.addr() + " 'echo there; exit 3'; echo $?")
			src := c.dir("src")
			for i := range 50 {
				require.NoError(c.T, os.WriteFile(fmt.Sprintf("%s/%d", src, i), []byte(strings.Repeat(fmt.Sprint(i), i*5000)), 0o644))
			}
			dst := c.dir("dst")
			c.run("/usr/bin/rsync", "-a", "-e", ssh, src+"/", "root@"+c.addr()+":"+dst+"/")
			c.sh("cd " + dst + " && sha256sum *")
			c.sh("head -c 3000000 " + src + "/49 | " + ssh + " root@" + c.addr() + " sha256sum")
		},
	}.run(t)
}

func (e *end) keys() {
	dir := e.Dir + "/ssh"
	require.NoError(e.T, os.Mkdir(dir, 0o700))
	require.NoError(e.T, os.MkdirAll("/run/sshd", 0o755))
	for _, k := range []string{"host", "user"} {
		_, errs, err := tryHere("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/"+k)
		require.NoError(e.T, err, errs)
	}
}

// postgres forks for each connection; pgbench compares its own sums.
func TestPostgres(t *testing.T) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		bins = []string{"/usr/lib/postgresql/none"}
	}
	bin := bins[len(bins)-1]
	times := regexp.MustCompile(`(?m)^(latency|initial|tps|number of transactions per|pgbench).*\n`)
	app{
		needs: []string{bin + "/postgres", bin + "/pgbench", "/usr/bin/setpriv"},
		serve: func(s *end) {
			data := s.dir("pg")
			as := []string{"/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}
			require.NoError(s.T, os.Chmod(s.Dir, 0o777))
			_, errs, err := tryHere(append(as, bin+"/initdb", "-D", data+"/d", "-A", "trust", "-N", "--locale=C")...)
			require.NoError(s.T, err, errs)
			f, err := os.OpenFile(data+"/d/pg_hba.conf", os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(s.T, err)
			fmt.Fprintln(f, "host all all 10.77.0.0/24 trust")
			f.Close()
			p := s.start(append(as, bin+"/postgres", "-D", data+"/d", "-h", s.addr(), "-k", data, "-c", "fsync=off")...)
			s.T.Cleanup(func() { p.Signal(syscall.SIGINT) })
			// It listens before it can serve: "the database system is starting up".
			testrig.Until(s.T, "the database", func() bool {
				_, _, err := testrig.Try(s.node, nil, bin+"/pg_isready", "-q", "-h", s.addr())
				return err == nil
			})
		},
		client: func(c *end) {
			db := []string{"-h", c.addr(), "-U", "postgres"}
			c.run(append([]string{bin + "/pgbench", "-i", "-q"}, append(db, "postgres")...)...)
			out := c.run(append([]string{bin + "/pgbench", "-c", "8", "-j", "2", "-t", "200"}, append(db, "postgres")...)...)
			c.said.WriteString(times.ReplaceAllString(out, ""))
			c.run(append([]string{bin + "/pgbench", "-C", "-c", "4", "-t", "20"}, append(db, "postgres")...)...)
			c.say(append([]string{bin + "/psql", "-At", "-c", "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches), count(*) from pgbench_history"}, append(db, "postgres")...)...)
			c.sh(bin + "/psql -At -h " + c.addr() + " -U postgres -c \"select md5(string_agg(repeat(i::text, 100), ',')) from generate_series(1, 20000) i\" postgres")
			c.sh(bin + "/psql -At -h " + c.addr() + " -U postgres -c \"select repeat(i::text, 200) from generate_series(1, 10000) i\" postgres | sha256sum")
		},
	}.run(t)
}
