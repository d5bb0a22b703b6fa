package apps

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proxies at the client's end: what they connect to upstream is the other end's, and kept open.
func TestUpstream(t *testing.T) {
	for name, proxy := range map[string]struct {
		program, conf string
		args          func(dir, conf string) []string
	}{
		"nginx":   {"/usr/sbin/nginx", upstreamNginx, func(dir, conf string) []string { return []string{"-c", conf, "-e", dir + "/error.log"} }},
		"haproxy": {"/usr/sbin/haproxy", upstreamHAProxy, func(_, conf string) []string { return []string{"-f", conf, "-db"} }},
	} {
		t.Run(name, func(t *testing.T) {
			app{
				needs: []string{proxy.program, "/usr/bin/wrk"},
				serve: func(s *end) {
					s.start(python, script(s.T, "serve.py"), "threads", s.addr(), "8081")
					s.listens("8081")
				},
				client: func(c *end) {
					dir := c.dir(name)
					conf := c.file(name+".conf", fmt.Sprintf(proxy.conf, dir, c.addr()))
					c.start(append([]string{proxy.program}, proxy.args(dir, conf)...)...)
					c.listens("8080")
					for _, n := range []int{0, 1, 1000, 100000, 5 << 20} {
						c.say("/bin/sh", "-c", fmt.Sprintf("curl -s -S -f --max-time 60 http://127.0.0.1:8080/%d | sha256sum", n))
					}
					c.say("/bin/sh", "-c", "curl -s -S -f --max-time 60 -Z -w '%{http_code} %{size_download}\\n' -o /dev/null 'http://127.0.0.1:8080/[1-40]' | sort")
					for _, page := range []string{"1", "30000"} {
						out := c.run("/usr/bin/wrk", "-t", "2", "-c", "20", "-d", "2", "--timeout", "15", "http://127.0.0.1:8080/"+page)
						require.Contains(c.T, out, "Requests/sec")
						require.NotContains(c.T, out, "Socket errors")
						require.NotContains(c.T, out, "Non-2xx")
					}
				},
			}.run(t)
		})
	}
}

const upstreamNginx = `
daemon off;
user root;
worker_processes 1;
pid %[1]s/pid;
error_log %[1]s/error.log notice;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/f;
	uwsgi_temp_path %[1]s/u;
	scgi_temp_path %[1]s/s;
	upstream other { server %[2]s:8081; keepalive 8; }
	server {
		listen 8080;
		location / { proxy_pass http://other; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
`

// Its first line takes the folder that it does not need.
const upstreamHAProxy = `# %[1]s
global
	nbthread 2
defaults
	mode http
	timeout connect 10s
	timeout client 30s
	timeout server 30s
	option splice-auto
	http-reuse always
frontend f
	bind :8080
	default_backend b
backend b
	server one %[2]s:8081
`
