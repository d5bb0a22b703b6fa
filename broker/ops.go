package broker

import "github.com/sluice-net/sluice/broker/proto"

// op serves one request: the reply's body and descriptors, or an error whose text goes to the program's log.
type op func(b *Broker, c *client, p *proto.Packet) (body any, fds []int, err error)

var ops map[proto.Op]op

func init() {
	ops = map[proto.Op]op{
		proto.OpListen:     opListen,
		proto.OpBind:       opBind,
		proto.OpReady:      opReady,
		proto.OpUnlisten:   opUnlisten,
		proto.OpConnect:    opConnect,
		proto.OpDisconnect: opDisconnect,
		proto.OpPorts:      opPorts,
		proto.OpUnports:    opUnports,
		proto.OpRelease:    opRelease,
		proto.OpKeep:       opKeep,
		proto.OpHandover:   opHandover,
		proto.OpTakeover:   opTakeover,
		proto.OpOrphan:     opOrphan,
		proto.OpBare:       opBare,
		proto.OpFetch:      opFetch,
		proto.OpWant:       opWant,
		proto.OpStray:      opStray,
		proto.OpSYN:        opSYN,
		proto.OpAdopt:      opAdopt,
		proto.OpStatus:     opStatus,
		proto.OpInspect:    opInspect,
		proto.OpHistory:    opHistory,
		proto.OpMirror:     opMirror,
		proto.OpDetach:     opDetach,
		proto.OpAttach:     opAttach,
	}
}
