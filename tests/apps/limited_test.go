package apps

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vsftpd has a process for each session, which limits its address space and much else; the data come by connections of their own, both ways.
func TestVsftpd(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/vsftpd", "/usr/bin/curl"},
		serve: func(s *end) {
			s.site()
			dir := s.dir("ftp")
			require.NoError(s.T, os.Mkdir(dir+"/up", 0o777))
			require.NoError(s.T, os.Chmod(dir+"/up", 0o777))
			require.NoError(s.T, os.Chmod(dir, 0o755))
			out, errs, err := tryHere("cp", "-r", s.Dir+"/site", dir+"/site")
			require.NoError(s.T, err, out+errs)
			empty := s.dir("empty")
			require.NoError(s.T, os.Chmod(empty, 0o555))
			s.start("/usr/sbin/vsftpd", s.file("vsftpd.conf", fmt.Sprintf("listen=YES\nlisten_ipv6=NO\nlisten_address=%s\nbackground=NO\nanonymous_enable=YES\nanon_root=%s\nno_anon_password=YES\n"+
				"nopriv_user=nobody\nwrite_enable=YES\nanon_upload_enable=YES\nanon_umask=022\nsecure_chroot_dir=%s\nconnect_from_port_20=NO\npasv_promiscuous=NO\n", s.addr(), dir, empty)))
			s.listens("21")
		},
		client: func(c *end) {
			url := "ftp://" + c.addr()
			up := c.file("up", strings.Repeat("0123456789abcdef", 1<<18))
			for i, mode := range []string{"--disable-epsv", "--ftp-pasv", "-P -"} {
				c.sh("curl -s -S --max-time 60 " + mode + " " + url + "/site/ | awk '{print $5, $9}' | sort")
				c.sh("curl -s -S --max-time 60 " + mode + " " + url + "/site/5242880 | sha256sum")
				c.sh(fmt.Sprintf("curl -s -S --max-time 60 %s -T %s %s/up/%d && sha256sum < %s/ftp/up/%d", mode, up, url, i, c.Dir, i))
			}
			c.sh("curl -s -S --max-time 60 " + url + "/none 2>&1; echo $?")
			c.sh("for i in $(seq 12); do curl -s -S --max-time 60 " + url + "/site/100000 | sha256sum & done; wait")
		},
	}.run(t)
}

// dovecot's first process polls its listeners, and starts others that accept, which may have no threads; these give the connections to further ones.
func TestDovecot(t *testing.T) {
	app{
		needs: []string{"/usr/sbin/dovecot"},
		serve: func(s *end) {
			s.dir("mail")
			conf := s.file("dovecot.conf", fmt.Sprintf("protocols = imap\nlisten = %[1]s\nbase_dir = %[2]s/run\nlog_path = %[2]s/log\nssl = no\ndisable_plaintext_auth = no\n"+
				"first_valid_uid = 1\nmail_location = maildir:%[2]s/mail/%%u\npassdb {\n driver = static\n args = password=secret\n}\nuserdb {\n driver = static\n"+
				" args = uid=65534 gid=65534 home=%[2]s/mail/%%u\n}\nservice imap-login {\n inet_listener imap {\n  port = 2143\n }\n inet_listener imaps {\n  port = 0\n }\n}\n", s.addr(), s.Dir))
			s.start("/usr/sbin/dovecot", "-F", "-c", conf)
			s.listens("2143")
			s.T.Cleanup(func() {
				if log, _ := os.ReadFile(s.Dir + "/log"); s.T.Failed() {
					s.T.Logf("dovecot's log:\n%s", log)
				}
			})
		},
		client: func(c *end) {
			c.say(python, script(c.T, "imap.py"), c.addr(), "2143")
		},
	}.run(t)
}
