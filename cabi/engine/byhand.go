package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// wish is somebody's that connections of the kernel come here (`sluice attach`). The C side knows which there are: it is shown the wish,
// offers them, and says when it is done.
type wish struct {
	event *proto.Packet
	which proto.Which
	moved proto.Moves
}

// attach shows a wish to the C side, one at a time.
func (e *Engine) attach(p *proto.Packet) error {
	w := wish{event: p}
	if err := p.Into(&w.which); err != nil {
		return err
	}
	e.wishes = append(e.wishes, w)
	if len(e.wishes) == 1 {
		e.showWish()
	}
	return nil
}

func (e *Engine) showWish() {
	e.sh.Wish.Add(1)
	e.sh.changed(0)
}

// SLWished is sl_wished.
func (e *Engine) SLWished(kfd int) int {
	return e.guard(0, func(int64) int {
		if len(e.wishes) == 0 {
			return 0
		}
		local, remote, _, err := ends(kfd)
		if err != nil || !e.wishes[0].which.Covers(plain(local), plain(remote)) {
			return 0
		}
		return 1
	})
}

// SLTakeover is sl_takeover: results are as many as kfds.
func (e *Engine) SLTakeover(kfds, results []int32) {
	fds := make([]int, len(kfds))
	for i, fd := range kfds {
		fds[i], results[i] = int(fd), -int32(unix.EIO)
	}
	e.guard(0, func(now int64) int {
		var why error
		e.Takeover(now, fds, func(i, h int, err error) {
			results[i] = int32(result(h, err))
			if err != nil {
				why = err
				e.info("not taken from the kernel: %v", err)
			}
		})
		if len(e.wishes) > 0 {
			m := &e.wishes[0].moved
			m.Nanos += nanotime() - now
			if why != nil {
				m.Why = why.Error()
			}
		}
		return 0
	})
}

// SLWishDone is sl_wish_done.
func (e *Engine) SLWishDone(moved, left int) int {
	return e.guard(0, func(now int64) int {
		if len(e.wishes) == 0 {
			return 0
		}
		w := e.wishes[0]
		if e.wishes = e.wishes[1:]; len(e.wishes) > 0 {
			e.showWish()
		}
		w.moved.Moved, w.moved.Left = moved, left
		if left > 0 && w.moved.Why == "" {
			w.moved.Why = fmt.Sprintf("%d in use by a call that cannot be interrupted, perhaps another process's too, or with options that only the kernel has", left)
		}
		e.answerWith(now, w.event, w.moved)
		return 0
	})
}

func (e *Engine) answerWith(now int64, p *proto.Packet, body any, fds ...int) {
	if e.link.client == nil {
		return
	}
	if err := e.link.client.Answer(p, "", body, fds...); err != nil {
		e.lost(now, err)
	}
}
