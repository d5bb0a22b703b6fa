package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// secretOf is the key from which a program's stack derives initial sequence numbers and timestamps. In the kernel all programs of a network
// namespace share one, so that from a port that another program had a moment ago numbers go on rising, and a server that has its last connection
// in TIME-WAIT takes the new one (RFC 6191 §2; RFC 9293 §3.4.1). Here a user's programs do. Another user's must not know it: who does
// can guess the numbers of others' connections (RFC 6528 §1).
func (b *Broker) secretOf(c *client) []byte {
	m := hmac.New(sha256.New, b.key[:])
	fmt.Fprint(m, c.space.inode, " ", c.uid)
	return m.Sum(nil)[:16]
}
