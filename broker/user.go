package broker

import "github.com/sluice-net/sluice/broker/policy"

// What the policy says of a client.

func (c *client) mayListen(k key) func(device string) error {
	return func(device string) error { return c.b.cfg.Policy.Listen(c.uid, device, k.port) }
}

func (c *client) mayConnect(device string) error { return c.b.cfg.Policy.Connect(c.uid, device) }

// limits are those of the client's user. Root has none: it could do all of this without a broker.
func (b *Broker) limits(c *client) policy.Limits {
	if b.cfg.Policy == nil || c.uid == 0 {
		return policy.Limits{}
	}
	return b.cfg.Policy.Limits
}

// overProcesses says that a user has too many channels, the new one included.
func (b *Broker) overProcesses(c *client) error {
	limit := b.limits(c).Processes
	if limit == 0 {
		return nil
	}
	n := 0
	for o := range b.clients {
		if o.uid == c.uid && o.pid != 0 {
			n++
		}
	}
	if n > limit {
		return refuse("uid %d has %d programs here already, as many as the policy allows", c.uid, n-1)
	}
	return nil
}

// overMemory says that one more umem is more than a user may have.
func (b *Broker) overMemory(c *client) error {
	limit := b.limits(c).Memory
	if limit == 0 {
		return nil
	}
	frames := c.frames
	for o := range b.clients {
		if o.uid == c.uid && o.umem != nil {
			frames += o.frames
		}
	}
	if have := (frames*frameSize + 1<<20 - 1) >> 20; have > limit {
		return refuse("uid %d would have %d MiB of packet memory, and the policy allows %d", c.uid, have, limit)
	}
	return nil
}
