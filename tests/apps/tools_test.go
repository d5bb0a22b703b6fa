package apps

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Connections that come to nothing: what the program says of it, and its exit code.
func TestFailures(t *testing.T) {
	app{
		serve: func(s *end) {
			s.start(python, script(s.T, "fails.py"), s.addr())
			s.listens("9001", "9002", "9003")
		},
		client: func(c *end) {
			c.connect = "10.77.0.0/24:*"
			at := c.addr()
			for _, cmd := range []string{
				"curl -sS http://AT:9/", "wget -nv -t 1 http://AT:9/", "nc -z AT 9", "redis-cli -h AT -p 9 PING", "bash -c 'echo > /dev/tcp/AT/9'", "ssh -o BatchMode=yes -p 9 AT",
				"rsync rsync://AT:9/x/", "git ls-remote git://AT:9/x", "openssl s_client -connect AT:9", "socat -u TCP:AT:9 -", "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(\"AT:9\") or die \"$!\"'",
				"/usr/bin/python3 -c 'import socket; socket.create_connection((\"AT\", 9))'",                                                     // nobody listens
				"curl -sS --max-time 10 http://AT:9001/", "wget -nv -t 1 http://AT:9001/", "echo x | socat - TCP:AT:9001", "echo x | nc AT 9001", // reset
				"curl -sS --max-time 10 -o /dev/null http://AT:9002/", "wget -nv -t 1 -T 1 -O /dev/null http://AT:9002/ 2>&1 | sed 's/ *([0-9.]* .B.s)//'", // ends early
				"curl -sS --max-time 1 http://AT:9003/", "wget -nv -t 1 -T 1 http://AT:9003/", "timeout 1 nc AT 9003", // says nothing
				"curl -sS http://10.77.0.9/", "nc -w 10 -z 10.77.0.9 80", // nobody is there
			} {
				out := c.run("/bin/sh", "-c", "("+strings.ReplaceAll(cmd, "AT", at)+") </dev/null 2>&1; echo $?")
				fmt.Fprintf(&c.said, "%s\n%s", cmd, volatile.ReplaceAllString(out, "#"))
			}
		},
	}.run(t)
}

// Pipes to and from the net: both directions at once, half-closed, by programs that poll, select or fork.
func TestPipes(t *testing.T) {
	app{
		needs: []string{"/usr/bin/socat", "/usr/bin/ncat", "/usr/bin/nc"},
		serve: func(s *end) {
			at := s.addr()
			s.start("/usr/bin/socat", "-t", "20", "TCP4-LISTEN:7001,bind="+at+",fork,reuseaddr", "EXEC:cat")
			s.start("/usr/bin/socat", "-t", "20", "TCP4-LISTEN:7002,bind="+at+",fork,reuseaddr", "SYSTEM:sha256sum")
			// nc ends with its peer's data, whatever it has still to send: so each has something to say in one direction only.
			s.start("/bin/sh", "-c", "exec nc -N -l "+at+" 7006 < "+s.file("page", strings.Repeat("0123456789abcdef", 1<<16)))
			s.start("/bin/sh", "-c", "exec nc -d -l "+at+" 7007 > "+s.Dir+"/heard")
			s.listens("7001", "7002", "7006", "7007")
		},
		client: func(c *end) {
			up := c.file("up", strings.Repeat("fedcba9876543210", 1<<16))
			at := c.addr()
			for _, cmd := range []string{
				"nc -N AT 7001 <UP | sha256sum", "nc -N AT 7002 <UP",
				"socat -t 10 - TCP:AT:7001 <UP | sha256sum", "socat -t 10 - TCP:AT:7002 <UP", "socat -t 10 OPEN:UP TCP:AT:7002", "ncat AT 7001 <UP | sha256sum",
				"bash -c 'exec 3<>/dev/tcp/AT/7001; echo one >&3; read -r line <&3; echo $line; (echo two >&3); head -1 <&3'",
				"/usr/bin/python3 -c 'import socket,sys; s=socket.create_connection((\"AT\",7001)); f=s.makefile(\"rw\"); f.write(\"x\\n\"*9); f.flush(); s.shutdown(1); print(f.read())'",
				"perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(\"AT:7001\") or die; if (!fork) { print $s \"line\\n\" x 1000; $s->flush; shutdown $s,1; exit } wait; @l=<$s>; print scalar(@l), \"\\n\"'",
				"nc -d AT 7006 | sha256sum", "nc -N AT 7007 <UP", "sha256sum < DIR/heard",
				"tar -C DIR -c up | nc -N AT 7001 | tar -t", "seq 1 100000 | nc -N AT 7001 | tail -1",
				"for i in 1 2 3 4 5 6 7 8; do nc -N AT 7001 <UP | sha256sum & done; wait",
			} {
				c.sh(strings.NewReplacer("AT", at, "UP", up, "DIR", c.Dir).Replace(cmd))
			}
		},
	}.run(t)
}

// volatile is what another run says otherwise: times, ports, folders.
var volatile = regexp.MustCompile(`\d+ (ms|milliseconds)|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|/tmp/\S+|[0-9A-F]{16}|socat\[\d+\]|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`)
