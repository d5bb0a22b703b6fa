package apps

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// mosquitto tells one client what others say.
func TestMosquitto(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/mosquitto", "/usr/bin/mosquitto_pub"},
		serve: func(s *end) {
			s.start("/usr/sbin/mosquitto", "-c", s.file("mosquitto.conf", fmt.Sprintf("listener 1883 %s\nallow_anonymous true\n", s.addr())))
			s.listens("1883")
		},
		client: func(c *end) {
			at := " -h " + c.addr() + " "
			c.run("/bin/sh", "-c", "mosquitto_pub"+at+"-r -q 1 -t t/ready -m ready")
			heard := c.Dir + "/heard"
			sub := c.start("/bin/sh", "-c", "exec mosquitto_sub"+at+"-q 1 -t 't/#' -C 402 > "+heard)
			testrig.Until(c.T, "the subscription", func() bool {
				text, _ := os.ReadFile(heard)
				return string(text) == "ready\n"
			})
			c.run("/bin/sh", "-c", "seq 1 400 | mosquitto_pub"+at+"-q 2 -t t/numbers -l")
			c.run("/bin/sh", "-c", "mosquitto_pub"+at+"-q 1 -t t/file -f "+c.file("large", strings.Repeat("0123456789abcdef", 1<<17)))
			require.NoError(c.T, sub.Wait(testrig.Patience), sub.Output())
			c.sh("sha256sum < " + heard)
		},
	}.run(t)
}

// dnsmasq has a process for each client that asks by TCP.
func TestDnsmasq(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/dnsmasq", "/usr/bin/dig"},
		serve: func(s *end) {
			s.start("/usr/sbin/dnsmasq", "-k", "-C", "/dev/null", "-p", "5353", "--listen-address="+s.addr(), "--bind-interfaces", "--no-resolv", "--no-hosts", "--pid-file=",
				"--user=nobody", "--address=/some.test/192.0.2.7", "--txt-record=long.test,"+strings.Repeat("0123456789", 25))
			s.listens("5353")
		},
		client: func(c *end) {
			for range 5 {
				c.say("/usr/bin/dig", "-p", "5353", "@"+c.addr(), "+tcp", "+short", "some.test", "txt", "long.test", "a", "other.some.test")
				c.say("/usr/bin/dig", "-p", "5353", "@"+c.addr(), "+tcp", "+keepopen", "+short", "some.test", "a.some.test", "b.some.test")
			}
		},
	}.run(t)
}

// inetd gives a connection, or the listener, to a program as its standard input and output.
func TestInetd(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/inetd"},
		serve: func(s *end) {
			once := s.file("once.py", "import socket\ns = socket.socket(fileno=0)\nc, _ = s.accept()\nc.sendall(b'once ' + c.recv(100))\nc.shutdown(1)\nc.recv(1)\n")
			at := s.addr()
			s.start("/usr/sbin/inetd", "-i", s.file("inetd.conf", fmt.Sprintf("%[1]s:2007 stream tcp nowait root internal\n%[1]s:2001 stream tcp nowait root /bin/cat cat\n"+
				"%[1]s:2002 stream tcp nowait root /usr/bin/sha256sum sha256sum\n%[1]s:2003 stream tcp wait root %[2]s python3 %[3]s\n", at, python, once)))
			s.listens("2001", "2002", "2003")
		},
		client: func(c *end) {
			up := c.file("up", strings.Repeat("0123456789abcdef", 1<<16))
			for range 3 {
				c.sh("nc -N " + c.addr() + " 2001 < " + up + " | sha256sum")
				c.sh("nc -N " + c.addr() + " 2002 < " + up)
				c.sh("echo more | nc -N " + c.addr() + " 2003")
			}
		},
	}.run(t)
}

// git's daemon starts a program for each connection; the client clones, and pushes.
func TestGit(t *testing.T) {
	app{
		needs: []string{"/usr/bin/git"},
		serve: func(s *end) {
			dir := s.dir("git")
			work := s.Dir + "/work"
			for i := range 50 {
				s.dir("work")
				s.file(fmt.Sprintf("work/%d", i), strings.Repeat(fmt.Sprint(i*i*7919), 3000))
			}
			sh := "set -e; cd " + work + "; export GIT_CONFIG_GLOBAL=/dev/null; git init -q -b main; git add .; " +
				"GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000' git -c user.name=a -c user.email=a commit -qm one; git clone -q --bare . " + dir + "/repo.git"
			out, errs, err := tryHere("/bin/sh", "-c", sh)
			require.NoError(s.T, err, out+errs)
			s.start("/usr/bin/git", "daemon", "--listen="+s.addr(), "--port=9418", "--base-path="+dir, "--export-all", "--enable=receive-pack", "--reuseaddr")
			s.listens("9418")
		},
		client: func(c *end) {
			repo := "git://" + c.addr() + "/repo.git"
			for _, version := range []string{"0", "2"} {
				to := c.Dir + "/clone" + version
				c.run("/usr/bin/git", "-c", "protocol.version="+version, "clone", "-q", repo, to)
				c.sh("cd " + to + " && git log --format=%H && cat * | sha256sum")
			}
			c.run("/bin/sh", "-c", "cd "+c.Dir+"/clone2 && head -c 3000000 /dev/zero | tr '\\0' x > more && git add more && GIT_AUTHOR_DATE='1000000001 +0000' GIT_COMMITTER_DATE='1000000001 +0000' git -c user.name=a -c user.email=a commit -qm two && git push -q 2>&1")
			c.say("/usr/bin/git", "ls-remote", repo)
		},
	}.run(t)
}

// rsync's own daemon; the client's connection is used by two processes, one of which reads what the other asks for.
func TestRsyncDaemon(t *testing.T) {
	app{
		needs: []string{"/usr/bin/rsync"},
		serve: func(s *end) {
			s.site()
			conf := s.file("rsyncd.conf", fmt.Sprintf("use chroot = no\nuid = root\ngid = root\npid file = %[1]s/rsyncd.pid\nlog file = %[1]s/rsyncd.log\n[all]\npath = %[1]s\nread only = no\n", s.Dir))
			s.dir("pushed")
			s.start("/usr/bin/rsync", "--daemon", "--no-detach", "--config="+conf, "--address="+s.addr(), "--port=8730")
			s.listens("8730")
		},
		client: func(c *end) {
			url := "rsync://" + c.addr() + ":8730/all/"
			got := c.dir("pulled")
			c.run("/usr/bin/rsync", "-a", url+"site/", got+"/")
			c.sh("cd " + got + " && sha256sum *")
			c.run("/bin/sh", "-c", "for f in "+got+"/*; do echo more >> $f; done")
			c.run("/usr/bin/rsync", "-a", "--no-whole-file", got+"/", url+"pushed/")
			c.sh("cd " + c.Dir + "/pushed && sha256sum *")
			c.run("/usr/bin/rsync", "-a", "-c", "-z", "--no-whole-file", url+"site/", got+"/")
			c.sh("cd " + got + " && sha256sum *")
		},
	}.run(t)
}

// MariaDB has a thread for each connection.
func TestMariaDB(t *testing.T) {
	sample := t.TempDir() + "/db"
	app{
		needs: []string{"/usr/sbin/mariadbd", "/usr/bin/mysqlslap"},
		serve: func(s *end) {
			if _, err := os.Stat(sample); err != nil {
				out, errs, err := tryHere("/usr/bin/mariadb-install-db", "--no-defaults", "--datadir="+sample, "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root")
				require.NoError(s.T, err, out+errs)
				out, errs, err = tryHere("/bin/sh", "-c", "echo \"flush privileges;\\ncreate user 'all'@'%';\\ngrant all on *.* to 'all'@'%';\" | /usr/sbin/mariadbd --no-defaults --user=root --bootstrap --datadir="+sample)
				require.NoError(s.T, err, out+errs)
			}
			_, errs, err := tryHere("cp", "-a", sample, s.Dir+"/db")
			require.NoError(s.T, err, errs)
			s.start("/usr/sbin/mariadbd", "--no-defaults", "--user=root", "--datadir="+s.Dir+"/db", "--socket="+s.Dir+"/db/sock", "--bind-address="+s.addr(), "--skip-name-resolve",
				"--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M")
			s.listens("3306")
		},
		client: func(c *end) {
			sql := "mysql --no-defaults -h " + c.addr() + " -u all "
			c.run("/bin/sh", "-c", sql+"-e 'create database d; create table d.t (i int primary key, s longtext)'")
			var rows strings.Builder
			for i := range 3000 {
				fmt.Fprintf(&rows, "insert into t values (%d, repeat('%d', %d));\n", i, i%10, i)
			}
			c.run("/bin/sh", "-c", sql+"d < "+c.file("rows", "begin;\n"+rows.String()+"commit;\n"))
			c.sh(sql + "-N -e 'select * from t order by i' d | sha256sum")
			c.sh(sql + "-N -e \"select length(s) from (select repeat('x', 20000000) s) a\"")
			out := c.run("/usr/bin/mysqlslap", "--no-defaults", "-h", c.addr(), "-u", "all", "--concurrency=16", "--iterations=1", "--number-of-queries=2000", "--query=select count(*) from d.t where i < 100", "--create-schema=d")
			require.Contains(c.T, out, "Number of clients running queries: 16")
			c.sh(sql + "-e 'select * from d.none' 2>&1; echo $?")
		},
	}.run(t)
}
