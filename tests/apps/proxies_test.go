package apps

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is a program that passes on what comes to port 8080 of an address to port 8081 of another.
// In its configuration and its arguments DIR, CONF, AT and TO stand for a folder of its own, the file, and the two addresses.
type proxy struct {
	args string
	conf string
}

// start starts the proxy at an end.
func (p proxy) start(e *end, name, at, to string) {
	dir := e.dir(name)
	path := e.Dir + "/" + name + ".conf"
	here := strings.NewReplacer("DIR", dir, "CONF", path, "AT", at, "TO", to)
	e.file(name+".conf", here.Replace(p.conf))
	require.NoError(e.T, os.Chmod(path, 0o755)) // ncat's is a script
	e.start(strings.Fields(here.Replace(p.args))...)
	e.listens("8080")
}

// Proxies at the server's end, with what they ask on the same host.
func TestProxies(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(proxies)) {
		t.Run(name, func(t *testing.T) {
			app{
				needs: []string{strings.Fields(proxies[name].args)[0], "/usr/bin/wrk"},
				serve: func(s *end) {
					s.start(python, script(s.T, "serve.py"), "threads", "127.0.0.1", "8081")
					s.listens("8081")
					proxies[name].start(s, name, s.addr(), "127.0.0.1")
				},
				client: func(c *end) { c.fetch("8080"); c.load("http://" + c.addr() + ":8080") },
			}.run(t)
		})
	}
}

// Proxies at the client's end: what they connect to upstream is the other end's, and kept open by those that can.
func TestUpstream(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(proxies)) {
		t.Run(name, func(t *testing.T) {
			app{
				needs: []string{strings.Fields(proxies[name].args)[0], "/usr/bin/wrk"},
				serve: func(s *end) {
					s.start(python, script(s.T, "serve.py"), "threads", s.addr(), "8081")
					s.listens("8081")
				},
				client: func(c *end) {
					proxies[name].start(c, name, "127.0.0.1", c.addr())
					c.fetchFrom("http://127.0.0.1:8080")
					c.load("http://127.0.0.1:8080")
				},
			}.run(t)
		})
	}
}

// load asks for a small and a larger page over twenty connections, a second each.
func (e *end) load(url string) {
	e.T.Helper()
	for _, page := range []string{"1", "30000"} {
		out := e.run("/usr/bin/wrk", "-t", "2", "-c", "20", "-d", "1", "--timeout", "15", url+"/"+page)
		require.Contains(e.T, out, "Requests/sec")
		require.NotContains(e.T, out, "Socket errors")
		require.NotContains(e.T, out, "Non-2xx")
	}
	fmt.Fprintln(&e.said, "loaded")
}

var proxies = map[string]proxy{
	"nginx": {"/usr/sbin/nginx -c CONF -e DIR/error.log", "user root;\nworker_processes 1;" + nginxAlways + "http {" + nginxHTTP + `
	upstream other { server TO:8081; keepalive 8; }
	server {
		listen AT:8080;
		location / { proxy_pass http://other; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
`},
	"haproxy": {"/usr/sbin/haproxy -f CONF -db", haproxyAlways + `
	http-reuse always
frontend f
	bind AT:8080
	default_backend b
backend b
	server one TO:8081
`},
	"apache": {"/usr/sbin/apache2 -D FOREGROUND -f CONF", `
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
ServerName here
ServerRoot DIR
PidFile DIR/pid
ErrorLog DIR/error.log
User www-data
Group www-data
StartServers 2
Listen AT:8080
ProxyPass / http://TO:8081/
`},
	"lighttpd": {"/usr/sbin/lighttpd -D -f CONF", `
server.modules = ( "mod_proxy" )
server.document-root = "DIR"
server.errorlog = "DIR/error.log"
server.upload-dirs = ( "DIR" )
server.username = "www-data"
server.bind = "AT"
server.port = 8080
proxy.server = ( "" => ( ( "host" => "TO", "port" => 8081 ) ) )
`},
	// Squid 5 takes a full buffer of its own for the end of an upload (its bug 5405), by the kernel, too, if one is larger than the buffer may be.
	"squid": {"/usr/sbin/squid -N -d 1 -f CONF", `
http_port AT:8080 accel defaultsite=here no-vhost
cache_peer TO parent 8081 0 no-query originserver name=other
cache_peer_access other allow all
http_access allow all
cache deny all
client_request_buffer_max_size 16 MB
access_log none
cache_log DIR/log
pid_filename DIR/pid
coredump_dir DIR
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname here
`},
	"varnish": {"/usr/sbin/varnishd -F -a AT:8080 -b TO:8081 -n DIR/varnish -s malloc,32m", ""},
	// A process for each connection; two for each; and one that is given the listener by its parent, and splices.
	"socat":   {"/usr/bin/socat TCP4-LISTEN:8080,bind=AT,fork,reuseaddr,backlog=100 TCP4:TO:8081", ""},
	"ncat":    {"/usr/bin/ncat -l AT 8080 -k -m 100 --exec CONF", "#!/bin/sh\nexec ncat TO 8081\n"},
	"systemd": {"/usr/bin/systemd-socket-activate -E LD_PRELOAD -E SLUICE_LISTEN -E SLUICE_CONNECT -E SLUICE_BROKER -l AT:8080 /lib/systemd/systemd-socket-proxyd TO:8081", ""},
}
