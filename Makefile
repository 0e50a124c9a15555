# make demo   brings up a lab and shows it (installs what is missing first)
# make test   installs what tests need and runs them all
# make check  formatting, lints, types, import rules
# make bench  measures against peers, side by side in one run

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v /usr/bin/python3 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := .build
BPF := src/tungsten/datapath/bpf
CORE := src/tungsten/control/core/native

# Debian packages by what needs them. They are installed without starting what they bring (FRR and
# etcd would come up as services): tests start their own.
DEBIAN_RUN := python3-venv libbpf1 libelf1 zlib1g iproute2 iputils-ping ethtool tcpdump udhcpc util-linux procps
DEBIAN_BUILD := clang llvm libbpf-dev linux-libc-dev make gcc g++ python3-dev
DEBIAN_TEST := frr bird2 gobgpd iperf3 curl etcd-server faketime openssl

.PHONY: help demo test check explore bench bench-api bench-controller bench-control bench-control-agents bpf core check-core install install-test clean

help:
	@sed -n 's/^# make/make/p' Makefile

# --- installing: each stamp says that a list was installed as it stands now ---------------

$(STAMP)/debian-%: Makefile
	@mkdir -p $(STAMP)
	@need=""; for p in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || need="$$need $$p"; done; \
	if [ -n "$$need" ]; then echo "installing Debian packages:$$need"; \
	  export DEBIAN_FRONTEND=noninteractive; policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then trap "rm -f $$policy" EXIT; \
	    printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; fi; \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$need; } >$(STAMP)/apt.log 2>&1 \
	  || { tail -20 $(STAMP)/apt.log; exit 1; }; fi
	@touch $@

$(STAMP)/debian-run: DEBIAN_PACKAGES = $(DEBIAN_RUN) $(DEBIAN_BUILD)
$(STAMP)/debian-test: DEBIAN_PACKAGES = $(DEBIAN_TEST)

$(BIN)/python: | $(STAMP)/debian-run
	@$(PYTHON) -m venv $(VENV)

$(STAMP)/python-run: requirements/run.txt pyproject.toml $(BIN)/python
	@echo "installing Python packages"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements/run.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP)/python-test: requirements/test.txt $(STAMP)/python-run
	@echo "installing Python packages for tests"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements/test.txt
	@touch $@

# A client that tests run as its makers left it, away from what this project needs. Built as a wheel:
# otherwise its program looks at its own demands when it starts, and they cannot be met.
$(STAMP)/python-api-cli: requirements/interop-api-cli.txt | $(STAMP)/debian-run
	@echo "installing contrail-api-cli for tests"
	@rm -rf $(STAMP)/api-cli
	@$(PYTHON) -m venv $(STAMP)/api-cli
	@$(STAMP)/api-cli/bin/python -m pip install -qq --disable-pip-version-check --no-deps --use-pep517 \
	  -r requirements/interop-api-cli.txt
	@touch $@

$(STAMP)/python-keystone: requirements/interop-keystone.txt | $(STAMP)/debian-run
	@echo "installing Keystone for tests"
	@rm -rf $(STAMP)/keystone
	@$(PYTHON) -m venv $(STAMP)/keystone
	@$(STAMP)/keystone/bin/python -m pip install -qq --disable-pip-version-check \
	  -r requirements/interop-keystone.txt
	@touch $@

$(STAMP)/python-ansible: requirements/interop-ansible.txt | $(STAMP)/debian-run
	@echo "installing Ansible for tests"
	@rm -rf $(STAMP)/ansible
	@$(PYTHON) -m venv $(STAMP)/ansible
	@$(STAMP)/ansible/bin/python -m pip install -qq --disable-pip-version-check \
	  -r requirements/interop-ansible.txt
	@touch $@

bpf: | $(STAMP)/debian-run
	@$(MAKE) -s -C $(BPF)

# The table core of the control node. Its Python twin serves where this was not built.
core: | $(STAMP)/python-run
	@$(MAKE) -s -j2 -C $(CORE) PYTHON=$(CURDIR)/$(BIN)/python

# Its tests on a build that checks addresses and undefined behaviour.
check-core: install-test
	@$(MAKE) -s -j2 -C $(CORE) PYTHON=$(CURDIR)/$(BIN)/python sanitized
	@CORE_UNDER_TEST=$(CORE)/build/sanitized ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so.6)" \
	  $(BIN)/python -m pytest tests/unit/control -k "core or compiled" $(PYTEST_ARGS)

install: $(STAMP)/debian-run $(STAMP)/python-run bpf core

install-test: install $(STAMP)/debian-test $(STAMP)/python-test $(STAMP)/python-api-cli \
  $(STAMP)/python-keystone $(STAMP)/python-ansible

# --- using ----------------------------------------------------------------------------------

demo: install
	@$(BIN)/tungsten lab demo

# Unit tests side by side; what starts whole systems, and measures time, alone.
test: install-test
	@$(BIN)/python -m pytest tests/unit -n auto $(PYTEST_ARGS)
	@$(BIN)/python -m pytest tests/fuzz tests/interop tests/system $(PYTEST_ARGS)

# Property tests with examples that no run had before.
explore: install-test
	@HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest tests/unit tests/fuzz -m hypothesis \
	  -n auto $(PYTEST_ARGS)

check: install-test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy src/tungsten tests bench
	@$(BIN)/lint-imports
	@$(MAKE) -s -j2 -C $(CORE) PYTHON=$(CURDIR)/$(BIN)/python warnings

bench-control: install-test
	@$(BIN)/python -m bench.bgp

bench-control-agents: install-test
	@$(BIN)/python -m bench.control_agents

bench: install-test
	@$(BIN)/python -m bench

bench-api: install-test
	@$(BIN)/python -m bench.api

bench-controller: install-test
	@$(BIN)/python -m bench.controller
	@$(BIN)/python -m bench.etcd_api

clean:
	@rm -rf $(VENV) $(STAMP) dist
	@$(MAKE) -s -C $(BPF) clean
	@rm -rf $(CORE)/build $(CORE)/../_core.*.so
