package apps

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nginx beyond static pages: TLS, HTTP/2, a proxy with web sockets behind it, plain TCP passed on (stream).
func TestNginx(t *testing.T) {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	app{
		needs: []string{"/usr/sbin/nginx", module},
		serve: func(s *end) {
			key, cert := s.certificate()
			s.start(python, script(s.T, "serve.py"), "threads", "127.0.0.1", "8081")
			s.start(python, script(s.T, "websocket.py"), "serve", "127.0.0.1", "8083")
			s.listens("8081", "8083")
			dir := s.dir("nginx")
			conf := strings.NewReplacer("MODULE", module, "DIR", dir, "KEY", key, "CERT", cert).Replace(nginxConf)
			s.start("/usr/sbin/nginx", "-c", s.file("nginx.conf", conf), "-e", dir+"/error.log")
			s.listens("8080", "8443", "8082")
		},
		client: func(c *end) {
			c.fetch("8080") // by the proxy
			c.fetch("8082") // by the stream
			for _, version := range []string{"--http1.1", "--http2"} {
				for _, n := range []int{1, 100000, 5 << 20} {
					c.sh(fmt.Sprintf("curl -s -S -f -k %s --max-time 60 -w '%%{http_version}\\n' -o %s https://%s:8443/%d && sha256sum < %s",
						version, filepath.Join(c.Dir, "got"), c.addr(), n, filepath.Join(c.Dir, "got")))
				}
			}
			c.sh("curl -s -S -f -k --http2 --max-time 60 -Z -w '%{http_code} %{size_download}\\n' -o /dev/null 'https://" + c.addr() + ":8443/[1-60]' | sort")
			c.say(python, script(c.T, "websocket.py"), "ask", c.addr(), "8080")
			require.Contains(c.T, c.said.String(), "echoed")
		},
	}.run(t)
}

const nginxConf = "load_module MODULE;\nuser www-data;\nworker_processes 2;" + nginxAlways + "http {" + nginxHTTP + `
	map $http_upgrade $connection_upgrade { default upgrade; '' close; }
	server {
		listen 8080;
		listen 8443 ssl http2;
		ssl_session_cache shared:tls:1m;
		ssl_certificate_key KEY;
		ssl_certificate CERT;
		location / { proxy_pass http://127.0.0.1:8081; proxy_http_version 1.1; }
		location /ws {
			proxy_pass http://127.0.0.1:8083;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
		}
	}
}
stream {
	server { listen 8082; proxy_pass 127.0.0.1:8081; }
}
`
