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
