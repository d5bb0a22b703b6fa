package apps

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// Apache with threads (event): files by sendfile, TLS, HTTP/2, and a graceful restart, after which others of its processes serve.
func TestApache(t *testing.T) {
	var master *testrig.Proc
	app{
		needs: []string{"/usr/sbin/apache2", "/usr/bin/ab", "/usr/bin/h2load"},
		serve: func(s *end) {
			key, cert := s.certificate()
			dir := s.dir("apache")
			conf := s.file("apache.conf", strings.NewReplacer("DIR", dir, "AT", s.addr(), "SITE", s.site(), "KEY", key, "CERT", cert).Replace(apacheConf))
			master = s.start("/usr/sbin/apache2", "-D", "FOREGROUND", "-f", conf)
			s.listens("8080", "8443")
		},
		client: func(c *end) {
			for _, part := range []string{"before", "after"} {
				fmt.Fprintln(&c.said, part)
				c.get("http://" + c.addr() + ":8080")
				c.get("https://"+c.addr()+":8443", "-k", "--http2")
				c.ab("-k", "http://"+c.addr()+":8080/1000")
				c.ab("http://" + c.addr() + ":8080/1")
				out := c.run("/usr/bin/h2load", "-n", "600", "-c", "6", "-m", "10", "https://"+c.addr()+":8443/100000")
				require.Contains(c.T, out, "600 succeeded, 0 failed, 0 errored, 0 timeout")
				if part == "before" {
					master.Signal(syscall.SIGUSR1)
					testrig.Until(c.T, "the restart", func() bool {
						out, _, _ := tryHere("grep", "-c", "resuming normal operations", c.Dir+"/apache/error.log")
						return out == "2\n"
					})
				}
			}
		},
	}.run(t)
}

// ab makes a thousand requests, thirty at a time; each connection must do.
func (e *end) ab(args ...string) {
	e.T.Helper()
	out := e.run(append([]string{"/usr/bin/ab", "-q", "-n", "1000", "-c", "30"}, args...)...)
	for _, line := range []string{"Complete requests:      1000\n", "Failed requests:        0\n"} {
		require.Contains(e.T, out, line)
	}
}

const apacheConf = `
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
ServerName here
ServerRoot DIR
DefaultRuntimeDir DIR
PidFile DIR/pid
ErrorLog DIR/error.log
LogLevel notice
User www-data
Group www-data
StartServers 2
ThreadsPerChild 50
DocumentRoot SITE
EnableSendfile On
Listen AT:8080
Listen AT:8443 https
<VirtualHost *:8443>
	SSLEngine on
	SSLCertificateFile CERT
	SSLCertificateKeyFile KEY
	Protocols h2 http/1.1
</VirtualHost>
`

// lighttpd sends files by sendfile; siege and wget keep their connections and read them each in its way.
func TestLighttpd(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/lighttpd", "/usr/bin/siege", "/usr/bin/wget"},
		serve: func(s *end) {
			dir := s.dir("lighttpd")
			s.start("/usr/sbin/lighttpd", "-D", "-f", s.file("lighttpd.conf", fmt.Sprintf(
				"server.document-root = \"%s\"\nserver.errorlog = \"%s/error.log\"\nserver.username = \"www-data\"\nserver.bind = \"%s\"\nserver.port = 8080\n", s.site(), dir, s.addr())))
			s.listens("8080")
		},
		client: func(c *end) {
			url := "http://" + c.addr() + ":8080"
			c.get(url)
			got := c.dir("got")
			c.sh(fmt.Sprintf("cd %s && seq 1 40 | sed s,^,%s/, | wget -q -i - && sha256sum *", got, url))
			c.sh(fmt.Sprintf("cd %s && head -c 3000000 ../site/5242880 > part && wget -q -c -O part %s/5242880 && sha256sum part", got, url))
			c.sh("wget -q -O - " + url + "/none; echo $?")
			out := c.run("/bin/sh", "-c", "HOME="+c.Dir+" siege -b -c 10 -r 30 "+url+"/100000 2>&1")
			require.Regexp(c.T, `"successful_transactions":\s+300,`, out)
			require.Regexp(c.T, `"failed_transactions":\s+0,`, out)
		},
	}.run(t)
}

// php-fpm, whose forked processes accept; nginx at the client's end asks them, and keeps some of the connections.
func TestPHP(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/php-fpm8.2", "/usr/sbin/nginx"},
		serve: func(s *end) {
			dir := s.dir("php")
			s.file("php/page.php", `<?php
if ($_SERVER['REQUEST_METHOD'] === 'PUT') { echo hash('sha256', file_get_contents('php://input')), "\n"; return; }
echo substr(str_repeat('0123456789abcdef', intdiv((int)$_GET['n'], 16) + 1), 0, (int)$_GET['n']);
`)
			conf := s.file("php.conf", fmt.Sprintf("[global]\nerror_log = %s/log\ndaemonize = no\n[www]\nuser = www-data\ngroup = www-data\nlisten = %s:9000\n"+
				"pm = static\npm.max_children = 4\npm.max_requests = 50\n", dir, s.addr()))
			s.start("/usr/sbin/php-fpm8.2", "-n", "-y", conf)
			s.listens("9000")
		},
		client: func(c *end) {
			conf := c.file("fpm.conf", strings.NewReplacer("DIR", c.dir("fpm"), "PAGE", c.Dir+"/php/page.php", "TO", c.addr()).Replace(phpNginx))
			c.start("/usr/sbin/nginx", "-c", conf, "-e", c.Dir+"/fpm/error.log")
			c.listens("8080")
			c.fetchFrom("http://127.0.0.1:8080")
		},
	}.run(t)
}

const phpNginx = "user root;\nworker_processes 1;" + nginxAlways + "http {" + nginxHTTP + `
	upstream php { server TO:9000; keepalive 2; }
	server {
		listen 127.0.0.1:8080;
		location ~ ^/(.*)$ {
			fastcgi_pass php;
			fastcgi_keep_conn on;
			fastcgi_param SCRIPT_FILENAME PAGE;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param QUERY_STRING n=$1;
		}
	}
}
`

// gunicorn's processes share its listener, and wait for it by select.
func TestGunicorn(t *testing.T) {
	for _, kind := range []string{"sync", "gthread"} {
		t.Run(kind, func(t *testing.T) {
			app{
				needs: []string{"/usr/bin/gunicorn"},
				serve: func(s *end) {
					dir := s.dir("wsgi")
					s.file("wsgi/app.py", `import hashlib


def app(env, start):
    body = env["wsgi.input"].read()
    if env["REQUEST_METHOD"] == "GET":
        n = int(env["PATH_INFO"][1:])
        out = (b"0123456789abcdef" * (n // 16 + 1))[:n]
    else:
        out = hashlib.sha256(body).hexdigest().encode() + b"\n"
    start("200 OK", [("Content-Length", str(len(out)))])
    return [out]
`)
					s.start("/usr/bin/gunicorn", "--chdir", dir, "-w", "3", "-k", kind, "--threads", "4", "--max-requests", "60", "-b", s.addr()+":8000", "app:app")
					s.listens("8000")
				},
				client: func(c *end) { c.fetch("8000") },
			}.run(t)
		})
	}
}

// TLS in front of what speaks none, at both ends: the client's programs speak plainly to a stunnel of theirs.
func TestStunnel(t *testing.T) {
	app{
		needs: []string{"/usr/bin/stunnel4"},
		serve: func(s *end) {
			key, cert := s.certificate()
			s.start(python, script(s.T, "serve.py"), "threads", "127.0.0.1", "8081")
			s.listens("8081")
			s.start("/usr/bin/stunnel4", s.file("stunnel.conf", fmt.Sprintf("foreground = yes\npid =\n[here]\naccept = %s:8443\nconnect = 127.0.0.1:8081\nkey = %s\ncert = %s\n", s.addr(), key, cert)))
			s.listens("8443")
		},
		client: func(c *end) {
			c.start("/usr/bin/stunnel4", c.file("stunnel-client.conf", fmt.Sprintf("foreground = yes\npid =\n[there]\nclient = yes\naccept = 127.0.0.1:8080\nconnect = %s:8443\n", c.addr())))
			c.listens("8080")
			c.fetchFrom("http://127.0.0.1:8080")
		},
	}.run(t)
}
