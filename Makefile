# sluice: make help lists the targets.
.DEFAULT_GOAL := all
SHELL := /bin/bash
BUILD := build
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -D_GNU_SOURCE -fPIC -Wall -Wextra -Werror -pthread

SHIM_SRC := $(wildcard shim/*.c)
SHIM_HDR := $(wildcard shim/*.h cabi/cabi.h)
GO_SRC   := $(shell find . -name '*.go' -not -name '*_test.go' -not -path './build/*') go.mod go.sum

.PHONY: all help install-deps test moves turns fuzz demo bench bench-micro interop fairness packetdrill check clean sim sim-report mutants apps suites test-qemu

# Plain C programs that benchmark, demo and tests run on either path.
PROGS := $(patsubst bench/prog/%.c,$(BUILD)/%,$(wildcard bench/prog/*.c))

# Programs on efvi alone: efvi/examples.
EXAMPLES := $(patsubst efvi/examples/%/main.go,$(BUILD)/efvi-%,$(wildcard efvi/examples/*/main.go))

all: $(BUILD)/libsluice.so $(BUILD)/libsluice_engine.so $(BUILD)/sluice $(PROGS) $(EXAMPLES) ## Build the preload object, the engine and the command

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# C only, no Go: this is what LD_PRELOAD names. Only the names in exports.map leave it.
$(BUILD)/libsluice.so: $(SHIM_SRC) $(SHIM_HDR) shim/exports.map
	@mkdir -p $(BUILD)
	$(CC) $(CFLAGS) -shared -o $@ $(SHIM_SRC) -Wl,--version-script=shim/exports.map -Wl,-z,now -ldl

# The Go engine, loaded on need; only the sl_ names leave it. Its runtime sends no signals (SIGURG is the program's) and keeps no cgroup files open.
$(BUILD)/libsluice_engine.so: $(GO_SRC) cabi/cabi.h cabi/exports.map
	@mkdir -p $(BUILD)
	go build -buildmode=c-shared -o $@ -ldflags "-X runtime.godebugDefault=asyncpreemptoff=1,containermaxprocs=0,updatemaxprocs=0 -extldflags '-Wl,--version-script=$(CURDIR)/cabi/exports.map'" ./cabi

# Our stack as google/packetdrill's --so_filename wants it. Only what packetdrill looks up leaves it.
$(BUILD)/libsluice_packetdrill.so: $(GO_SRC) $(wildcard drill/*.[ch]) drill/exports.map
	@mkdir -p $(BUILD)
	go build -buildmode=c-shared -o $@ -ldflags "-extldflags '-Wl,--version-script=$(CURDIR)/drill/exports.map'" ./drill

$(BUILD)/sluice: $(GO_SRC)
	@mkdir -p $(BUILD)
	go build -o $@ -ldflags "-X github.com/sluice-net/sluice/bench.version=$$(git describe --always --dirty 2>/dev/null || echo unknown)" ./cmd/sluice

$(EXAMPLES): $(BUILD)/efvi-%: $(GO_SRC)
	@mkdir -p $(BUILD)
	go build -o $@ ./efvi/examples/$*

$(PROGS): $(BUILD)/%: bench/prog/%.c bench/prog/prog.h
	@mkdir -p $(BUILD)
	$(CC) $(CFLAGS) -o $@ $<

install-deps: ## Install the Debian packages that tests and demo use
	@scripts/install-deps

test: install-deps all ## Run every test
	scripts/test

TIME ?= 30s
fuzz: ## Run every fuzz target in turn, TIME=30s each
	scripts/fuzz $(TIME)

TURNS ?= 50000
turns: all ## Make TURNS outgoing connections in turn, by the kernel and by the engine
	SLT_TURNS=$(TURNS) go test -count=1 -timeout 120m -v -run TestConnectionsInTurn ./tests/shim

SECONDS_OF_STRESS := $(if $(filter command environment,$(firstword $(origin SECONDS))),$(SECONDS),600)
.PHONY: stress
stress: all ## Open, duplicate and close descriptors by many threads for SECONDS (600), and look that no octet goes astray
	SLT_STRESS=$(SECONDS_OF_STRESS) go test -count=1 -timeout 24h -v -run TestDescriptorReuse ./tests/shim

.PHONY: races
races: all ## Play descriptors that threads share for SECONDS (600), with the C parts under TSan
	SLT_RACES=$(SECONDS_OF_STRESS) go test -count=1 -timeout 24h -v -run TestDataRaces ./tests/shim

# N as given, else the target's own default.
count = $(if $(filter command environment,$(firstword $(origin N))),$(N),$(1))
moves: all ## Hand live connections over and back N times under load and loss (SEED: another order)
	SLT_MOVES=$(call count,10000) SLT_SEED=$(or $(SEED),1) go test -count=1 -timeout 60m -v ./tests/moves

demo: install-deps all ## Run nginx by the kernel and by sluice in turn, print one table
	$(BUILD)/sluice demo

RUNS ?= 5
fairness: install-deps all ## Let two flows share a bottleneck, ours and the kernel's (RUNS); see docs/interop.md
	go run ./tests/interop/fairness -runs $(RUNS)

packetdrill: $(BUILD)/libsluice_packetdrill.so ## Build the plug-in that runs packetdrill's scripts against our stack

CELLS ?= *
ROUNDS ?= 3
SIZE ?= 100000000
interop: install-deps all ## Transfer over impaired paths beside the kernel (CELLS=cubic/loss1/*, ROUNDS, SIZE); see docs/interop.md
	go run ./tests/interop/matrix -cells '$(CELLS)' -rounds $(ROUNDS) -size $(SIZE)

BENCH ?= # flags of `sluice bench`, as BENCH=--quick
bench: all ## Measure the kernel path and sluice in turn (15 min): build/bench.json, build/bench.html
	@scripts/install-deps memcached libmemcached-tools iptables
	$(BUILD)/sluice bench $(BENCH)

bench-micro: ## The stack alone beside gVisor's netstack, in memory (1 min): build/micro
	@scripts/bench-micro

APPS := libnginx-mod-stream memcached haproxy postgresql-15 iperf3 sockperf rsync openssl nodejs default-jdk-headless apache2 apache2-utils nghttp2-client lighttpd siege \
  wget php-fpm gunicorn stunnel4 mosquitto mosquitto-clients dnsmasq-base bind9-dnsutils openbsd-inetd netcat-openbsd ncat socat git mariadb-server squid varnish vsftpd dovecot-imapd
apps: all ## Run real programs on the kernel path and accelerated, and compare (25 min; RUN=TestRedis)
	@scripts/install-deps $(APPS)
	SLT_APPS=1 go test -count=1 -v -timeout 40m ./tests/apps $(if $(RUN),-run $(RUN))

test-qemu: all ## Boot Debian 12's kernel in an emulator, and run nginx there (RUN=name; BACKPORTS=1: two newer kernels, too)
	@BACKPORTS=$(BACKPORTS) scripts/qemu
	SLT_QEMU=$(CURDIR)/$(BUILD)/qemu go test -count=1 -v -timeout 1h ./tests/qemu $(if $(RUN),-run $(RUN))

suites: all ## Run others' test suites by the kernel, preloaded and accelerated, and compare (ONLY=Python/test_ssl)
	@scripts/suites
	SLT_SUITES=1 go test -count=1 -v -timeout 3h ./tests/suites $(if $(filter-out .,$(ONLY)),-run '$(ONLY)')

SEED ?= 1
sim: ## Play N schedules of the deterministic simulation, from SEED on (N=100000 SEED=1)
	go test -count=1 -v -timeout 24h -run 'TestSchedules|TestSeeds' ./tests/sim -args -schedules=$(call count,20000) -seed=$(SEED)

sim-report: ## Measure congestion control at a bottleneck and draw it: build/sim-report/*.svg
	go test -count=1 -v -run TestReport ./tests/sim -args -report=$(CURDIR)/$(BUILD)/sim-report
	cd tests/sim/plot && go run . $(CURDIR)/$(BUILD)/sim-report

ONLY ?= .
SLICE ?= 1/1
mutants: ## Plant mistakes in the stack, and say which test notices each (ONLY=regular expression, SLICE=2/5)
	go run ./tests/mutants -only '$(ONLY)' -slice $(SLICE)

.PHONY: packetdrill-test packetdrill-suite
packetdrill-test: packetdrill ## Run our packetdrill scripts against our stack and the kernel (PACKETDRILL names the program)
	PACKETDRILL_KERNEL=1 go test -count=1 -v -run 'Script|Wire' ./tests/packetdrill

packetdrill-suite: packetdrill ## Run the scripts below SUITE against our stack and the kernel; the table goes to build/
	PACKETDRILL_KERNEL=1 PACKETDRILL_SUITE='$(abspath $(SUITE))' PACKETDRILL_TABLE='$(CURDIR)/$(BUILD)/packetdrill-suite.txt' \
	  go test -count=1 -v -timeout 2h -run Suite ./tests/packetdrill

check: ## Compare generated files with their sources (installs clang)
	scripts/check-generated

.PHONY: capture probes
MB ?= 1024
capture: install-deps all ## Capture a transfer of MB megabytes, with a reader that hangs and one that is killed; sha256 stays equal
	SLT_CAPTURE_MB=$(MB) go test -count=1 -v -timeout 30m -run TestCaptureOfALargeTransfer ./tests/observe

probes: all ## Try the USDT probes with bpftrace
	@scripts/install-deps bpftrace binutils
	go test -count=1 -v -run 'Probes' ./tests/observe

.PHONY: chaos
chaos: install-deps all ## Let N faults, chosen by SEED, happen to each of nginx, haproxy, redis whose writes are read back, and a pair of streams (N=500 or MINUTES=5, SEED=1 RUN=TestPair ONLY='kill|loss' FROM=12)
	SLT_CHAOS=$(call count,500) SLT_CHAOS_MINUTES=$(MINUTES) SLT_CHAOS_SEED=$(SEED) SLT_CHAOS_FROM=$(FROM) SLT_CHAOS_ONLY='$(filter-out .,$(ONLY))' \
	  go test -count=1 -timeout 24h -v ./tests/chaos -run '$(or $(RUN),Test(Pair|Proxy|Store|WebServer))'

.PHONY: crash
crash: install-deps all ## Kill worker, program and broker at N random moments each, under load (N=500 SEED=1)
	SLT_CRASH=$(call count,500) SLT_CHAOS_SEED=$(SEED) go test -count=1 -timeout 24h -v -run TestCrashMatrix ./tests/chaos

# The preload object under sanitizers, its engine beside it; undefined behaviour traps, as a host program has no runtime for reports.
SAN := $(CURDIR)/$(BUILD)/sanitize
.PHONY: sanitize
sanitize: all ## Run random calls over the preload object built with UBSan and ASan, and Go's tests under -race (N=300)
	mkdir -p $(SAN)/undefined $(SAN)/address
	cp $(BUILD)/libsluice_engine.so $(SAN)/undefined/ && cp $(BUILD)/libsluice_engine.so $(SAN)/address/
	$(CC) $(CFLAGS) -O1 -DSLUICE_LOCKS -fsanitize=undefined -fsanitize-undefined-trap-on-error -shared -o $(SAN)/undefined/libsluice.so $(SHIM_SRC) -Wl,--version-script=shim/exports.map -Wl,-z,now -ldl
	$(CC) $(CFLAGS) -O1 -DSLUICE_LOCKS -fsanitize=address -shared -o $(SAN)/address/libsluice.so $(SHIM_SRC) -Wl,--version-script=shim/exports.map -Wl,-z,now -ldl
	SLT_DIFFER=$(call count,300) SLT_DIFFER_PRELOAD=$(SAN)/undefined/libsluice.so go test -count=1 -timeout 1h -v ./tests/differ
	SLT_DIFFER=$(call count,300) SLT_DIFFER_PRELOAD="$$($(CC) -print-file-name=libasan.so) $(SAN)/address/libsluice.so" \
	  SLT_DIFFER_ENV=ASAN_OPTIONS=disable_coredump=0:detect_leaks=0:handle_segv=0:allow_user_segv_handler=1 go test -count=1 -timeout 1h -v ./tests/differ
	go test -race -count=1 -timeout 1h ./ustack/... ./fallback/... ./knobs/... ./broker/... ./cabi/engine

FLOOD ?=
FLOOD_RATE ?= 20000
FLOOD_SLOW ?= 2000
FLOOD_WORKERS ?=
.PHONY: floods
floods: install-deps all ## Attack nginx by the kernel and accelerated in turn, N rounds each, while clients are served (FLOOD=syn,rst; FLOOD_RATE packets/s, FLOOD_SLOW slow clients, FLOOD_WORKERS of each nginx)
	@scripts/install-deps nmap
	SLT_FLOODS=$(call count,3) SLT_FLOOD_ONLY='$(FLOOD)' SLT_FLOOD_RATE=$(FLOOD_RATE) SLT_FLOOD_SLOW=$(FLOOD_SLOW) SLT_FLOOD_WORKERS=$(FLOOD_WORKERS) go test -count=1 -timeout 2h -v ./tests/floods

.PHONY: differ
differ: all ## Run N random sequences of socket calls from SEED on, by the kernel and accelerated, and compare (N=5000 SEED=1)
	SLT_DIFFER=$(call count,5000) SLT_DIFFER_SEED=$(SEED) go test -count=1 -timeout 24h -v ./tests/differ

.PHONY: hold turnover wrap
hold: all ## Hold N connections, and use each of them (N=100000)
	SLT_HOLD=$(call count,100000) go test -count=1 -timeout 30m -v -run TestHold ./tests/endurance

turnover: install-deps all ## Open, use and close N connections to nginx (N=10000000)
	SLT_TURNOVER=$(call count,10000000) go test -count=1 -timeout 10h -v -run TestTurnover ./tests/endurance

wrap: all ## Carry N octets each way over one connection, more than there are sequence numbers, and look at each (N=5000000000)
	SLT_WRAP=$(call count,5000000000) go test -count=1 -timeout 1h -v -run TestWrap ./tests/endurance

DESTDIR ?=
PREFIX ?= /usr
VERSION ?= 0.1
.PHONY: install deb
install: all ## Install below DESTDIR, in PREFIX
	packaging/install $(BUILD) '$(DESTDIR)' '$(PREFIX)'

deb: all ## Make a Debian package: build/sluice_VERSION_ARCH.deb
	packaging/deb $(BUILD) '$(VERSION)'

clean: ## Remove what was built
	rm -rf $(BUILD)
