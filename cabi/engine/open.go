package engine

import "github.com/sluice-net/sluice/ustack/usock"

// bind gives a socket a handle; -1 when all are in use.
func (e *Engine) bind(s *usock.Socket) int32 {
	h := e.tab.take()
	if h < 0 {
		return -1
	}
	w := &e.sh.Words[h]
	w.Moved.Store(0)
	w.Ready.Store(0)
	e.tab.objects[h] = object{sock: s, open: true, baseIn: w.EdgeIn.Load() - s.EdgeIn(), baseOut: w.EdgeOut.Load() - s.EdgeOut()}
	s.Tag = h
	e.sh.Handles.Add(1)
	e.update(h)
	return h
}

// unbind frees a handle; the socket, if it still is one, is the caller's.
func (e *Engine) unbind(h int32) {
	e.revoke(h)
	o := &e.tab.objects[h]
	if o.sock != nil {
		o.sock.Tag = -1
	}
	e.sh.Words[h].Ready.Store(0)
	e.tab.put(h)
	e.sh.Handles.Add(^uint32(0))
}
