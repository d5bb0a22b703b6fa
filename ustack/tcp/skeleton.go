package tcp

type (
	sendQueue    struct{}
	sendBuffer   struct{}
	rttEstimator struct{}
	rack         struct{}
	tlp          struct{}
	prr          struct{}
	undoState    struct{}
	frto         struct{}
	scoreboard   struct{}
	ecnSender    struct{}
	prober       struct{}
	pmtuState    struct{}
	pacer        struct{}
	sendTimer    struct{}
	rateSampler  struct{}
	cwv          struct{}
	reno         struct{}
	cubic        struct{}
	txRec        struct{}
	nagleMode    uint8
	caState      uint8
)
