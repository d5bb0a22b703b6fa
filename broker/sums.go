package broker

import "github.com/sluice-net/sluice/broker/proto"

// Packets are the packets received and sent through hidden queues since the
// broker began, by the programs of today and by those that ended.
func (s Status) Packets() (rx, tx uint64) {
	rx, tx = s.Ended["rx_packets"], s.Ended["tx_packets"]
	for _, l := range s.Leases {
		rx += l.Counters["rx_packets"]
		tx += l.Counters["tx_packets"]
	}
	return rx, tx
}

// Sum is one counter, by its name in proto.CounterNames, over the programs of
// today and those that ended.
func (s Status) Sum(counter string) uint64 {
	n := s.Ended[counter]
	for _, l := range s.Leases {
		n += l.Counters[counter]
	}
	return n
}

// QueuesByPID is how many queues each process holds.
func (s Status) QueuesByPID() map[int]int {
	held := map[int]int{}
	for _, l := range s.Leases {
		held[l.Pid] += len(l.Queues)
	}
	return held
}

// Queues is how many queues are held by anybody.
func (s Status) Queues() int {
	n := 0
	for _, l := range s.Leases {
		n += len(l.Queues)
	}
	return n
}

// remember adds the counters of a process that ends to those of the ended.
func (b *Broker) remember(m *proto.StateMap) {
	for i := range b.past {
		b.past[i] += m.Counter(i)
	}
}
