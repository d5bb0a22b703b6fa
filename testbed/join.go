package testbed

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// The devices of the node in the middle, by where they lead.
const (
	ToServer = "toServer"
	ToClient = "toClient"
)

// join makes the veth pairs, each end in its namespace from the start.
func (b *Bed) join(cfg Config) error {
	if b.Middle == nil {
		return pair(cfg, b.Server, b.Server.Device, b.Client, b.Client.Device)
	}
	if err := pair(cfg, b.Server, b.Server.Device, b.Middle, ToServer); err != nil {
		return err
	}
	if err := pair(cfg, b.Client, b.Client.Device, b.Middle, ToClient); err != nil {
		return err
	}
	return b.Middle.Do(func() error { return raise(ToServer, ToClient) })
}

func pair(cfg Config, n *Node, device string, peer *Node, peerDevice string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.TxQLen = device, cfg.MTU, 1000
	attrs.NumTxQueues, attrs.NumRxQueues = cfg.Queues, cfg.Queues
	attrs.Namespace = netlink.NsFd(n.fd)
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: peerDevice, PeerNamespace: netlink.NsFd(peer.fd), PeerMTU: uint32(cfg.MTU),
		PeerNumTxQueues: uint32(cfg.Queues), PeerNumRxQueues: uint32(cfg.Queues), PeerTxQLen: 1000,
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make veth pair: %w", err)
	}
	return nil
}

// raise sets devices up that are to have no address and no opinion.
func raise(devices ...string) error {
	for _, name := range devices {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0o644)
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	return nil
}
