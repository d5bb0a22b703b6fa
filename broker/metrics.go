package broker

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-net/sluice/broker/proto"
)

// metrics exports what the broker sees without asking anybody: a scrape costs the programs nothing. Counters lag by at most a millisecond of a
// program's work. Those of ended programs go on under program "(ended)", so that sums never fall.
type metrics struct {
	b *Broker

	details  [len(proto.DetailNames)]*prometheus.Desc
	drops    *prometheus.Desc
	conns    *prometheus.Desc
	queues   *prometheus.Desc
	programs *prometheus.Desc
	device   *prometheus.Desc
	moves    *prometheus.Desc
	mirror   *prometheus.Desc
}

// Metrics is a collector of a running broker.
func (b *Broker) Metrics() prometheus.Collector {
	m := &metrics{b: b}
	who := []string{"program", "pid"}
	for i, name := range proto.DetailNames {
		group, short, _ := strings.Cut(name, ".")
		switch group {
		case "Drop":
		case "Sluice":
			m.details[i] = prometheus.NewDesc("sluice_"+snake(short)+"_total", "sluice netstat: "+short, who, nil)
		default: // as node_exporter names the kernel's
			m.details[i] = prometheus.NewDesc("sluice_netstat_"+group+"_"+short, "as "+group+" "+short+" in /proc/net", who, nil)
		}
	}
	m.drops = prometheus.NewDesc("sluice_drops_total", "Packets dropped, by the kernel's names of reasons.", append(who, "reason"), nil)
	m.conns = prometheus.NewDesc("sluice_connections", "Connections in the engine.", append(who, "state"), nil)
	m.queues = prometheus.NewDesc("sluice_queues", "Receive queues that are a program's.", append(who, "device"), nil)
	m.programs = prometheus.NewDesc("sluice_programs", "Programs that hold queues or may.", nil, nil)
	m.device = prometheus.NewDesc("sluice_xdp_packets_total", "What the XDP program of a device did with packets.", []string{"device", "netns", "what"}, nil)
	m.moves = prometheus.NewDesc("sluice_broker_total", "What the broker did with connections.", []string{"what"}, nil)
	m.mirror = prometheus.NewDesc("sluice_mirror_packets_total", "Packets shown on the mirror's interface, or lost on the way there.", []string{"what"}, nil)
	return m
}

// snake writes NeighWaits as neigh_waits.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Describe is prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(m.details[:], m.drops, m.conns, m.queues, m.programs, m.device, m.moves, m.mirror) {
		if d != nil {
			ch <- d
		}
	}
}

// Collect is prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	var all []prometheus.Metric // sent without the lock: who receives may be slow
	m.b.mu.Lock()
	all = m.gather(all)
	m.b.mu.Unlock()
	for _, x := range all {
		ch <- x
	}
}

func (m *metrics) gather(all []prometheus.Metric) []prometheus.Metric {
	programs := 0
	for c := range m.b.clients {
		if c.stateMap == nil {
			continue
		}
		programs++
		all = m.program(all, c)
	}
	all = m.values(all, func(i int) uint64 { return m.b.past[proto.FirstDetail+i] }, "(ended)", "0")
	all = append(all, prometheus.MustNewConstMetric(m.programs, prometheus.GaugeValue, float64(programs)))
	for _, s := range m.b.spaces {
		for _, d := range s.devices {
			counts, _ := d.prog.Counters()
			for what, n := range counts {
				all = append(all, counter(m.device, n, d.Name, strconv.FormatUint(s.inode, 10), what))
			}
		}
	}
	n := &m.b.count
	for what, v := range map[string]uint64{"handed_over": n.HandedOver, "taken_over": n.TakenOver, "orphans": n.Orphans, "resets": n.Resets, "strays": n.Strays, "nobodys": n.Nobodys} {
		all = append(all, counter(m.moves, v, what))
	}
	for _, o := range m.b.mirrors {
		if o.device != nil {
			s := o.status()
			all = append(all, counter(m.mirror, s.Packets, "shown"), counter(m.mirror, s.Dropped, "dropped"))
		}
	}
	return all
}

// program tells of one.
func (m *metrics) program(all []prometheus.Metric, c *client) []prometheus.Metric {
	pid := strconv.Itoa(c.pid)
	all = m.values(all, func(i int) uint64 { return c.stateMap.Counter(proto.FirstDetail + i) }, c.program, pid)
	states := map[int]int{}
	c.stateMap.Each(func(e proto.Entry) bool {
		states[e.State]++
		return true
	})
	for state, n := range states {
		all = append(all, prometheus.MustNewConstMetric(m.conns, prometheus.GaugeValue, float64(n), c.program, pid, stateName(state)))
	}
	if c.space != nil {
		for _, d := range c.space.devices {
			n := 0
			for _, o := range d.banks() {
				has, _ := o.owns(c)
				n += has
			}
			if n > 0 {
				all = append(all, prometheus.MustNewConstMetric(m.queues, prometheus.GaugeValue, float64(n), c.program, pid, d.Name))
			}
		}
	}
	return all
}

func (m *metrics) values(all []prometheus.Metric, value func(int) uint64, program, pid string) []prometheus.Metric {
	for i, name := range proto.DetailNames {
		if reason, ok := strings.CutPrefix(name, "Drop."); ok {
			all = append(all, counter(m.drops, value(i), program, pid, reason))
			continue
		}
		all = append(all, counter(m.details[i], value(i), program, pid))
	}
	return all
}

func counter(d *prometheus.Desc, v uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// stateName is ss's name for a state of the table.
func stateName(s int) string {
	names := [...]string{1: "established", "syn_sent", "syn_recv", "fin_wait_1", "fin_wait_2", "time_wait", "closed", "close_wait", "last_ack", "listen", "closing"}
	if s > 0 && s < len(names) {
		return names[s]
	}
	return "other"
}
