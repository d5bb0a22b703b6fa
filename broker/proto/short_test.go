package proto

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/fallback/repair"
)

// fillIn gives every field that a message carries a value of its own, so that one left out of the short form is missed.
func fillIn(t *testing.T, v reflect.Value, n *int) {
	for i := range v.NumField() {
		f := v.Field(i)
		name, carried := v.Type().Field(i).Tag.Lookup("json")
		if !carried || strings.HasPrefix(name, "-") {
			continue
		}
		*n++
		switch p := f.Addr().Interface().(type) {
		case *netip.AddrPort:
			*p = netip.AddrPortFrom(netip.MustParseAddr("fe80::1%eth0"), uint16(*n))
		case *string:
			*p = strings.Repeat("s", *n)
		case *bool:
			*p = true
		default:
			switch {
			case f.Kind() == reflect.Struct:
				fillIn(t, f, n)
			case f.CanInt():
				f.SetInt(int64(*n))
			case f.CanUint():
				f.SetUint(uint64(*n))
			default:
				t.Fatalf("%s: %s", v.Type().Field(i).Name, f.Kind())
			}
		}
	}
}

// TestShortFormCarriesAll: what goes in by the short form comes out, each field of it.
func TestShortFormCarriesAll(t *testing.T) {
	var q Queued
	fillIn(t, reflect.ValueOf(&q).Elem(), new(int))
	most := Queued{State: repair.State{Local: netip.MustParseAddrPort("[::ffff:1.2.3.4]:1"), SndUna: 1<<32 - 1, MSS: 1<<16 - 1, SndWScale: 255, RcvBuf: -1}, RecvOff: -5, SendLen: 1<<63 - 1}
	for _, body := range []any{&Handover{Conns: []Queued{q, most, {}}, Ahead: true}, &Sockets{Conns: []int{0, 31}}, &Handed{Errors: []string{"", "no", ""}}, &Taken{Conn: q}, &Taken{Conn: most}} {
		for v, i := reflect.ValueOf(body).Elem(), 0; i < v.NumField(); i++ {
			require.False(t, v.Field(i).IsZero(), "%T without %s shows nothing of it", body, v.Type().Field(i).Name)
		}
		env := Envelope{ID: 1<<64 - 1, Op: OpHandover, Until: 1 << 60, Error: "why"}
		b, err := EncodeFor(Short, env, reflect.ValueOf(body).Elem().Interface())
		require.NoError(t, err)
		require.Equal(t, byte(Short), b[0])
		var got Envelope
		require.NoError(t, got.decode(b))
		clear(b) // a buffer is used again
		again := reflect.New(reflect.TypeOf(body).Elem()).Interface()
		require.NoError(t, got.Into(again))
		require.Equal(t, body, again)
		require.Error(t, got.Into(&Grant{}), "another body")
		got.Body, got.short = nil, false
		require.Equal(t, env, got)
	}
}

// TestShortFormOnlyForWhoReadsIt: others, and other messages, get JSON.
func TestShortFormOnlyForWhoReadsIt(t *testing.T) {
	for _, c := range []struct {
		form  int
		body  any
		short bool
	}{{Short, nil, true}, {Short, Handed{}, true}, {Short, &Handed{}, true}, {Short, Grant{}, false}, {0, Handed{}, false}, {Short + 1, nil, false}} {
		b, err := EncodeFor(c.form, Envelope{ID: 7, Op: OpReply}, c.body)
		require.NoError(t, err)
		require.Equal(t, c.short, b[0] != '{', "%+v", c)
		var e Envelope
		require.NoError(t, e.decode(b))
		require.EqualValues(t, 7, e.ID)
	}
}

// FuzzShort: any octets as a message of the short form; what reads can be sent, and reads as the same.
func FuzzShort(f *testing.F) {
	for _, body := range []any{Handover{Conns: make([]Queued, 2), Ahead: true}, Sockets{Conns: []int{1}}, Handed{Errors: []string{"no"}}, Taken{}, nil} {
		b, err := EncodeFor(Short, Envelope{ID: 7, Op: OpReply, Until: 5}, body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var env Envelope
		if len(in) == 0 || in[0] != Short || env.decode(in) != nil {
			return
		}
		for _, body := range []any{&Handover{}, &Sockets{}, &Handed{}, &Taken{}} {
			if env.Into(body) != nil {
				continue
			}
			head := Envelope{ID: env.ID, Op: env.Op, Until: env.Until, Error: env.Error}
			b, err := EncodeFor(Short, head, body)
			if err != nil {
				t.Fatalf("%T read, and is not sent: %v", body, err)
			}
			again := reflect.New(reflect.TypeOf(body).Elem()).Interface()
			var env2 Envelope
			if err := env2.decode(b); err != nil {
				t.Fatal(err)
			}
			if err := env2.Into(again); err != nil || len(env.Body) > 0 && !reflect.DeepEqual(body, again) {
				t.Fatalf("%+v became %+v: %v", body, again, err)
			}
		}
	})
}
