// Package proto is the language between a program's engine and the broker: SOCK_SEQPACKET datagrams, each one JSON envelope of at most
// [MaxMessage] bytes, with file descriptors beside it (SCM_RIGHTS). Nothing here needs a privilege.
//
//	program                                             broker
//	   │ door: any connection to the broker's socket      │   inherited over fork, chroot and setuid; several processes may share it
//	   │── open + one end of a socketpair ───────────────►│
//	   │ channel: the other end, this process's own       │
//	   │── hello (with SCM_CREDENTIALS) ─────────────────►│   from here on the broker knows the process, and watches it
//	   │── listen + listener ────────────────────────────►│
//	   │◄─────────────────────────── grant + umem, state, XSKs
//	   │◄─────────────────────────── events: vis, yield, accepted, give, gone
//
// A request carries an id other than zero and gets exactly one reply with that id. Events of the broker that want an answer ("yield",
// "accepted", "give") carry an id too, of the broker's numbering; [Client.Answer] replies to them.
//
// Outgoing connections: a program shows bound sockets in blocks ("ports"), gets one descriptor back that holds them all (the keeper), and from then
// on makes connections from those ports without a word. It gives a block back by closing the keeper and saying so ("unports"), and shows the
// keeper to the next broker ("keep"). Whom bind refuses a port asks for all that programs have and do not use ("release"). A flow whose port the program bound itself is asked for by itself ("connect", "disconnect").
//
// A broker may be killed at any instant, and takes no connection along. One that goes to the kernel comes to the program ahead of the answer to
// "handover", as a frozen socket ("sockets"), and is brought to life there; if the answer does not come, the socket itself says whether it lives (fallback/repair,
// live.go). One that comes from the kernel ("takeover") the program has as a socket all the time, and can read it when it is frozen. One that goes from a
// process to another ("orphan", "accepted") does so in a keeper that both have and one can empty:
//
//	program                                       broker                                     another
//	   │── handover + queues ──────────────────────►│ fills frozen sockets
//	   │◄──────────────────────── sockets, frozen ──│
//	   │◄───────────────────────────────── handed ──│ they live
//	   │── orphan + socket ────────────────────────►│
//	   │◄─────────────────────── sockets + keeper ──│── accepted + keeper ──────────────────────►│ takes it out
//	   │◄──────────────────────────────── (reply) ──│
//
// A process with a listener and without an engine says so once ("bare"). What is passed on to it the broker announces by a bell, a connection to the
// listener from the host itself, in whose place it fetches what waits ("fetch").
//
// What a program had and left, and so cannot show, the broker notes in an attribute of the state memory for its successor.
//
// Versions. A program says in hello which version it speaks, and the broker answers in that one, or refuses: the program then stays with the
// kernel. A broker speaks its own version and the one before. So after an upgrade the new broker adopts what programs of the old libraries
// have, and the broker is what has to be replaced first. A version is counted up when a program must do something it did not have to do before;
// what may be left out, or is not understood and then ignored (every field of JSON), needs none. The layout of the state (state.go) and the maps of
// the XDP program have versions of their own, since what is in them cannot be ignored: those a broker does not know it does not adopt, and its
// programs' connections are reset.
//
//	version 1
//	version 2   "bind", on kernels before 6.4; a program of version 1 gets queues from 6.4 on only
//
// A connection stands still while it is moved, and half of that was JSON: the messages of a move have a short form (short.go) between two who have said in
// hello and welcome that they read it.
//
// Without a version: who does not say Handover.Ahead gets living sockets with the answer, who does not say Hello.Keepers gets a socket instead
// of a keeper, and a broker that does not know them answers so.
//
// state.go is the other half: a memfd shared with the broker, which tells it what the program's engine has open.
package proto
