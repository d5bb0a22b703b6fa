package apps

// What the configurations of one program have in common. DIR stands for a folder of the program's own.
const (
	nginxAlways = `
daemon off;
pid DIR/pid;
error_log DIR/error.log notice;
events {}
`
	nginxHTTP = `
	access_log off;
	client_max_body_size 100m;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/f;
	uwsgi_temp_path DIR/u;
	scgi_temp_path DIR/s;
`
	haproxyAlways = `
global
	nbthread 2
defaults
	mode http
	timeout connect 10s
	timeout client 30s
	timeout server 30s
	option splice-auto
`
)
