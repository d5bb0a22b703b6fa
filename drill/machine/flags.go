package machine

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseFlags reads packetdrill's --so_flags: "mtu=1500,local=192.168.0.1". Both may be left out.
func ParseFlags(s string) (c Config, err error) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, val, _ := strings.Cut(f, "=")
		switch name {
		case "mtu":
			if c.MTU, err = strconv.Atoi(val); err != nil || c.MTU < 576 {
				return c, fmt.Errorf("--so_flags: mtu %q", val)
			}
		case "local":
			a, err := netip.ParseAddr(val)
			if err != nil {
				return c, fmt.Errorf("--so_flags: %w", err)
			}
			if a.Is4() {
				c.Local4 = a
			} else {
				c.Local6 = a
			}
		default:
			return c, fmt.Errorf("--so_flags: %q is not known", name)
		}
	}
	return c, nil
}
