package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Flow is one that always has something to send to the client.
type Flow struct {
	Fast       bool
	Congestion string
}

// Share runs two flows at once over the path and tells what each got, in Mbit/s of payload, in the time of that length
// after the first skip. Two accelerated flows are of one program, and have the same congestion control.
func (l *Lab) Share(flows [2]Flow, skip, length time.Duration) (mbit [2]float64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), skip+length+2*patience)
	defer cancel()
	var drains [2]*program
	ports := [2]int{port, port + 1}
	if flows[0].Fast && flows[1].Fast {
		ports[1] = port
	}
	for i, f := range flows {
		if i == 1 && ports[1] == ports[0] {
			break
		}
		n := "1"
		if ports[0] == ports[1] {
			n = "2"
		}
		server, err := l.ours(ctx, f.Fast, "serve", l.Server.IPv4, ports[i], f.Congestion, []string{"flood", n})
		if err != nil {
			return mbit, err
		}
		defer func() { _ = server.stop() }()
		if err := l.ready(server, f.Fast, false, ports[i]); err != nil {
			return mbit, err
		}
	}
	before := l.packets()
	for i := range drains {
		if drains[i], err = l.drain(ctx, l.Server.IPv4, ports[i], flows[i].Congestion, skip, length); err != nil {
			return mbit, err
		}
		defer func() { _ = drains[i].stop() }()
	}
	for i, d := range drains {
		if err := d.wait(); err != nil {
			return mbit, err
		}
		res, err := parse(d.out.String(), -1)
		if err != nil {
			return mbit, err
		}
		mbit[i] = res.Mbit
	}
	if fast := flows[0].Fast || flows[1].Fast; fast != (l.packets() > before+100) {
		return mbit, fmt.Errorf("accelerated: %v wanted, but %d packets went through a hidden queue", fast, l.packets()-before)
	}
	return mbit, nil
}

func (l *Lab) drain(ctx context.Context, host netip.Addr, port int, congestion string, skip, length time.Duration) (*program, error) {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return l.theirs(ctx, "call", host, port, congestion, []string{"drain", ms(skip), ms(length)})
}
