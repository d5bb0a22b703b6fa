package afxdp

// BestGeneric tells whether XDP does better on the kernel's generic path than in the driver of a device of that kind (as in ip link; see Device.Kind)
// with so many receive queues; parts is GenericParts of the kernel in question.
//
// A driver's own XDP is the better one because there is no skb yet. On veth there always is one, from the sender: its XDP copies the packet out of that
// as the generic path does, by a NAPI instance and a page pool that generic XDP does without, and while it is on, the peer
// must cut every packet to the MTU (veth_xdp_set takes NETIF_F_GSO_SOFTWARE from it). Figures: docs/performance.md. It takes a kernel
// that hands on packets which were not cut, and one queue: without its own XDP veth does not note by which of several a packet came (skb_record_rx_queue),
// and the generic path takes the sender's number of it, which begins with 0, for one that begins with 1.
func BestGeneric(kind string, queues int, parts bool) bool {
	return kind == "veth" && queues == 1 && parts
}

// GenericParts: since Linux 6.9 ("xdp: add multi-buff support for xdp running in generic mode") generic XDP takes packets that lie in many pages, as those are
// that GRO has joined or nobody has cut yet. Before, they were copied to one piece of memory, if there was one, and no frame of a umem held it.
func GenericParts() bool { return KernelAtLeast(6, 9) }
