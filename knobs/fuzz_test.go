package knobs

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzRules: a list that is taken has as many rules as entries, each with a range of ports that is none or more, and a
// rule for one address selects that address.
func FuzzRules(f *testing.F) {
	for _, s := range []string{"*", "none", "80", "8000-8100", "192.0.2.1:443", "[2001:db8::1]:443", "10.0.0.0/8:6379", "0.0.0.0/0:*",
		"[2001:db8::/32]:80", "80,443,*:1-2", "[::ffff:1.2.3.4]:80", "[fe80::1%eth0]:80", "1.2.3.4/33:1", ":80", "[]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		for name, parse := range map[string]func(string) ([]Rule, error){"SLUICE_LISTEN": ParseListen, "SLUICE_CONNECT": ParseConnect} {
			rules, err := parse(v)
			if bad := Validate([]string{name + "=" + v}); (err != nil) != (len(bad) > 0) {
				t.Fatalf("%s=%q: %v, but Validate says %v", name, v, err, bad)
			}
			if err != nil {
				continue
			}
			if n := strings.Count(v, ",") + 1; v != "none" && len(rules) != n || len(rules) > MaxRules {
				t.Fatalf("%s=%q has %d rules", name, v, len(rules))
			}
			for _, r := range rules {
				if r.Low == 0 || r.Low > r.Top {
					t.Fatalf("%s=%q: ports %d to %d", name, v, r.Low, r.Top)
				}
				if a := r.Net.Addr(); r.Net.IsValid() && !r.Match(netip.AddrPortFrom(a, r.Top)) {
					t.Fatalf("%s=%q does not select %v", name, v, a)
				}
			}
		}
	})
}
