package proto

import (
	"encoding/json"
	"reflect"
	"sync/atomic"
	"testing"
	"unsafe"
)

// bodies are what messages may carry.
func bodies() []any {
	return []any{&Hello{}, &Welcome{}, &Listen{}, &Grant{}, &Ready{}, &Unlisten{}, &Connect{}, &Disconnect{}, &Queued{}, &Handover{},
		&Sockets{}, &Handed{}, &Taken{}, &Orphan{}, &Asked{}, &Want{}, &Stray{}, &Owned{}, &SYN{}, &Adopt{}, &Yield{}, &VIs{}, &Accepted{}, &Give{}, &Gone{}, &Bound{}}
}

// FuzzMessage: any bytes as an envelope and as the body of every message. What can be read can be sent, and reads as the
// same.
func FuzzMessage(f *testing.F) {
	for _, b := range bodies() {
		raw, err := Encode(Envelope{ID: 7, Op: OpReply}, b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"id":1,"op":"handover","body":{"conns":[{"state":{"local":"192.0.2.1:80","remote":"[::ffff:1.2.3.4]:1","state":1},"recv_off":-1,"recv_len":-5}]}}`))
	f.Add([]byte(`{"op":"give","body":{"handle":-1,"local":"[fe80::1%eth0]:1"}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var env Envelope
		if json.Unmarshal(in, &env) != nil {
			return
		}
		for _, b := range bodies() {
			if env.Into(b) != nil {
				continue
			}
			raw, err := Encode(Envelope{ID: env.ID, Op: "x"}, b)
			if err != nil {
				continue // too big
			}
			again := reflect.New(reflect.TypeOf(b).Elem()).Interface()
			var env2 Envelope
			if err := json.Unmarshal(raw, &env2); err != nil {
				t.Fatalf("%T: %s does not read: %v", b, raw, err)
			}
			if err := env2.Into(again); err != nil {
				t.Fatalf("%T: %s does not read: %v", b, raw, err)
			}
			if raw2, _ := Encode(Envelope{ID: env.ID, Op: "x"}, again); string(raw2) != string(raw) {
				t.Fatalf("%T: %s became %s", b, raw, raw2)
			}
		}
	})
}

// FuzzControl: any control messages, as the kernel would hand them over. Descriptors in them are not real: none may be
// closed.
func FuzzControl(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Add([]byte{28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{17, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		p := &Packet{Pidfd: -1}
		_ = p.Control(in)
		if len(p.FDs) > len(in)/4 {
			t.Fatalf("%d descriptors in %d bytes", len(p.FDs), len(in))
		}
	})
}

// FuzzState: the table of connections is in memory that a program may scribble over. The broker reads what is there,
// within bounds, and no more entries than there are slots.
func FuzzState(f *testing.F) {
	f.Add([]byte{}, uint32(0), uint32(stateMagic))
	f.Add(make([]byte, 3*stateSlot), uint32(1<<31), uint32(stateMagic))
	f.Add([]byte{1, 0, 0, 0, 80, 0, 1, 1, 2, 3}, uint32(4), uint32(0))
	f.Fuzz(func(t *testing.T, in []byte, used, magic uint32) {
		const slots = 64
		words := make([]uint64, (stateTable+slots*stateSlot)/8)
		mem := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
		copy(mem[stateTable:], in)
		m := &StateMap{mem: mem, head: (*header)(unsafe.Pointer(&mem[0])),
			counters: (*[NumCounters]atomic.Uint64)(unsafe.Pointer(&mem[stateCounters])),
			slots:    unsafe.Slice((*slot)(unsafe.Pointer(&mem[stateTable])), slots)}
		m.head.magic, m.head.version, m.head.slots = magic, stateVersion, StateSlots
		m.head.used.Store(used)
		if err := m.check(); (err == nil) != (magic == stateMagic) {
			t.Fatalf("magic %#x: %v", magic, err)
		}
		n := 0
		m.Each(func(e Entry) bool {
			n++
			_, _ = e.Local.String(), e.Remote.String()
			return true
		})
		if n > slots {
			t.Fatalf("%d entries in %d slots", n, slots)
		}
	})
}
