package suites

import (
	"bufio"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Tcl's tests of its sockets and of its HTTP client, whose server is a thread or process of theirs.
func TestTcl(t *testing.T) {
	for file, atLeast := range map[string]int{"socket": 150, "http": 60, "http11": 35, "httpold": 25} {
		t.Run(file, func(t *testing.T) {
			dir := filepath.Join(root(t), "tcl/tests")
			needs(t, dir+"/socket.test")
			suite{atLeast: atLeast, run: func(m *mirror, w way, _ []string) verdicts {
				return tcltest(m.run("tcl-"+file, w, dir, nil, "/usr/bin/tclsh8.6", file+".test", "-verbose", "bpste"))
			}}.compare(t)
		})
	}
}

var (
	tclLine = regexp.MustCompile(`^(\+\+\+\+|====) (\S+)(?: .*)? (PASSED|FAILED|SKIPPED)\b`)
	tapLine = regexp.MustCompile(`^(not )?ok (\d+)(?: - )?(.*)$`)
)

func tcltest(out string) verdicts {
	v := verdicts{}
	for line := range strings.Lines(out) {
		if f := tclLine.FindStringSubmatch(line); f != nil && v[f[2]] != failed {
			v[f[2]] = strings.ToLower(f[3])
		}
	}
	return v
}

// Perl's tests of IO::Socket, IO::Socket::IP, IO::Select, IO::Poll, Socket and of the calls themselves.
func TestPerl(t *testing.T) {
	dir := filepath.Join(root(t), "perl")
	needs(t, dir+"/t/io/socket.t")
	suite{atLeast: 250, run: func(m *mirror, w way, _ []string) verdicts {
		v := verdicts{}
		for _, at := range strings.Fields(perlTests) {
			folder, file, _ := strings.Cut(at, "/t/")
			var args []string
			if folder == "." {
				folder, file, args = "t", strings.TrimPrefix(file, "/"), []string{"-I../lib"}
			} else {
				file = "t/" + file
			}
			out := m.run("perl-"+filepath.Base(file), w, dir+"/"+folder, nil, append(append([]string{"/usr/bin/perl"}, args...), file)...)
			tap(v, file, out)
		}
		return v
	}}.compare(t)
}

// Where each of them is run, and what.
const perlTests = `
cpan/IO-Socket-IP/t/01local-client-v4.t cpan/IO-Socket-IP/t/02local-server-v4.t cpan/IO-Socket-IP/t/03local-cross-v4.t
cpan/IO-Socket-IP/t/04local-client-v6.t cpan/IO-Socket-IP/t/05local-server-v6.t cpan/IO-Socket-IP/t/06local-cross-v6.t
cpan/IO-Socket-IP/t/11sockopts.t cpan/IO-Socket-IP/t/12port-fallback.t cpan/IO-Socket-IP/t/14fileno.t cpan/IO-Socket-IP/t/15io-socket.t
cpan/IO-Socket-IP/t/16v6only.t cpan/IO-Socket-IP/t/18fdopen.t cpan/IO-Socket-IP/t/19no-addrs.t cpan/IO-Socket-IP/t/20subclass.t
cpan/IO-Socket-IP/t/21as-inet.t cpan/IO-Socket-IP/t/22timeout.t cpan/IO-Socket-IP/t/30nonblocking-connect.t
dist/IO/t/io_sock.t dist/IO/t/io_sel.t dist/IO/t/io_poll.t dist/IO/t/io_multihomed.t dist/IO/t/io_sock_errstr.t dist/IO/t/cachepropagate-tcp.t
cpan/Socket/t/Socket.t cpan/Socket/t/socketpair.t cpan/libnet/t/datasend.t cpan/libnet/t/time.t
./t/io/socket.t ./t/io/socketpair.t ./t/op/sselect.t
`

// tap reads the lines of the Test Anything Protocol.
func tap(v verdicts, file, out string) {
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		f := tapLine.FindStringSubmatch(lines.Text())
		if f == nil {
			continue
		}
		name := file + " " + f[2]
		switch directive := strings.ToLower(f[3]); {
		case strings.Contains(directive, "# skip"):
			v[name] = skipped
		case f[1] != "" && !strings.Contains(directive, "# todo"):
			v[name] = failed
		default:
			v[name] = passed
		}
	}
	if v[file+" 1"] == "" {
		v[file+" 0"] = skipped // all of it, or it did not start
	}
}

// libuv's own tests, each a process with helpers of its own.
func TestLibuv(t *testing.T) {
	dir := filepath.Join(root(t), "libuv")
	needs(t, dir+"/run-tests")
	suite{atLeast: 300, run: func(m *mirror, w way, _ []string) verdicts {
		v := verdicts{}
		out := m.run("libuv", w, dir, []string{"UV_RUN_AS_ROOT=1"}, "./run-tests")
		for line := range strings.Lines(out) {
			if f := tapLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); f != nil {
				name, directive, _ := strings.Cut(f[3], " ")
				v[name] = map[bool]string{true: failed, false: passed}[f[1] != ""]
				if strings.Contains(directive, "# SKIP") || strings.HasPrefix(directive, "# skip") {
					v[name] = skipped
				}
			}
		}
		return v
	}}.compare(t)
}
