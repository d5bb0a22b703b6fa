// Package nginx writes the files with which tests, demo and benchmarks run
// Debian's nginx.
package nginx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// Path of Debian's binary.
const Path = "/usr/sbin/nginx"

// Site is one nginx with its directory.
type Site struct {
	Dir         string // everything is under it; made by Write
	Port        int
	Backend     int // port on 127.0.0.1 that /up/ is proxied to
	Workers     int
	Daemon      bool
	Connections int  // of a worker; default 4096
	NoLog       bool // no access log
	Own         bool // each worker has a listener of its own (SO_REUSEPORT)
}

// conf is shaped as Debian's: www-data, sendfile, an access log. The log
// adds the worker's pid, so that one sees who served.
var conf = template.Must(template.New("nginx").Parse(`
user www-data;
worker_processes {{.Workers}};
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log notice;
daemon {{if .Daemon}}on{{else}}off{{end}};
events { worker_connections {{if .Connections}}{{.Connections}}{{else}}4096{{end}}; }
http {
	sendfile on;
	tcp_nopush on;
	types_hash_max_size 2048;
	include /etc/nginx/mime.types;
	default_type application/octet-stream;
	log_format pids '$pid $status $request';
	access_log {{if .NoLog}}off{{else}}{{.Dir}}/access.log pids{{end}};
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	keepalive_timeout 65;
	server {
		listen {{.Port}} default_server{{if .Own}} reuseport{{end}};
		listen [::]:{{.Port}} default_server{{if .Own}} reuseport{{end}};
		root {{.Root}};
		location /up/ {
			client_max_body_size 200m;
			proxy_pass http://127.0.0.1:{{.Backend}};
		}
	}
}
`))

// Root is the directory of the pages.
func (s Site) Root() string { return filepath.Join(s.Dir, "www") }

// Write makes the directories, a 600-byte index.html and the configuration,
// whose path it returns.
func (s Site) Write() (string, error) {
	if err := os.MkdirAll(s.Root(), 0o755); err != nil {
		return "", err
	}
	if err := s.File("index.html", 600); err != nil {
		return "", err
	}
	var text strings.Builder
	if err := conf.Execute(&text, s); err != nil {
		return "", fmt.Errorf("nginx configuration: %w", err)
	}
	path := filepath.Join(s.Dir, "nginx.conf")
	return path, os.WriteFile(path, []byte(text.String()), 0o644)
}

// File makes a page of n bytes, the same ones whenever n is the same.
func (s Site) File(name string, n int) error {
	data := make([]byte, n)
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	return os.WriteFile(filepath.Join(s.Root(), name), data, 0o644)
}

// Master is the pid in the pid file, 0 if there is none.
func (s Site) Master() int {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "nginx.pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// WorkerPids lists the master's children.
func (s Site) WorkerPids() []int {
	master := s.Master()
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	var pids []int
	for _, f := range strings.Fields(string(text)) {
		pid, _ := strconv.Atoi(f)
		pids = append(pids, pid)
	}
	return pids
}

// Served counts the access log's lines by worker.
func (s Site) Served() map[int]int {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "access.log"))
	byPid := map[int]int{}
	for _, line := range strings.Split(string(text), "\n") {
		word, _, ok := strings.Cut(line, " ")
		if pid, err := strconv.Atoi(word); ok && err == nil {
			byPid[pid]++
		}
	}
	return byPid
}
