# envdriver: build, test, install. `make help` lists the targets.
#
#   make DEVELOPER=1   warnings are errors
#   make SAN=address   (or thread, fuzzer, coverage, valgrind) builds into a folder of its own
#   make V=1           shows the commands

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
SAN ?=

BUILD := build/$(if $(SAN),$(SAN),release)
PKGS := rdkafka hiredis libuv jansson uuid libmicrohttpd libcrypto
# A newer librdkafka that `scripts/setup --librdkafka-newest` built wins. ($(shell …) of make 4.3
# does not see what is exported.)
PKG_CONFIG := PKG_CONFIG_PATH='$(CURDIR)/build/deps/lib/pkgconfig:$(PKG_CONFIG_PATH)' pkg-config

CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -fno-strict-aliasing \
	-fstack-protector-strong
override CPPFLAGS += -Iinclude -iquote src -DENVDRIVER_VERSION='"$(VERSION)"' \
	-DAVRO_C_VERSION='"$(shell $(PKG_CONFIG) --modversion avro-c)"' \
	$(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PKGS)))
override LDLIBS += -lavro $(shell $(PKG_CONFIG) --libs $(PKGS)) -lpthread -lm
ifeq ($(DEVELOPER),1)
override CFLAGS += -Werror
endif
ifeq ($(SAN),address)
override CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
override LDFLAGS += -fsanitize=address,undefined
override CPPFLAGS += -DENVDRIVER_TEST
else ifeq ($(SAN),thread)
override CFLAGS += -fsanitize=thread -fno-omit-frame-pointer
override LDFLAGS += -fsanitize=thread $(BUILD)/tests/lib/c11_threads.o
override CPPFLAGS += -DENVDRIVER_TEST
threads := $(BUILD)/tests/lib/c11_threads.o	# what LDFLAGS names must be there first
else ifeq ($(SAN),fuzzer)
override CFLAGS += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
override LDFLAGS += -fsanitize=address,undefined
override CPPFLAGS += -DENVDRIVER_TEST
else ifeq ($(SAN),coverage)
override CFLAGS += --coverage -fprofile-update=atomic -O0
override LDFLAGS += --coverage
override CPPFLAGS += -DENVDRIVER_TEST
else ifeq ($(SAN),valgrind)
override CPPFLAGS += -DENVDRIVER_TEST
endif

Q := $(if $(V),,@)
JOBS ?= $(shell nproc)

# The sources by folder, from the bottom up: scripts/check-deps checks that calls point down.
folders := base avro redis registry plugin claim kafka command result engine cli client audit worker commands
base := backoff base64 buf clock config config_load config_params config_print crash digest err jtext \
	jtext_text log log_once metrics nearest units utf8
avro := avro_field avro_json avro_json_read avro_path prescan prescan_shape schema \
	schema_canonical schema_fields schema_ids schema_resolve
redis := redis redis_conn redis_greet redis_send redis_url
registry := heartbeat http_client http_client_curl instance instance_judge instance_positions \
	instance_start process registry registry_mirror registry_record schema_registry
plugin := channel channel_read config_push deadline execlog frame host host_state host_stream \
	imap limiter managed managed_registry managed_report package parse_job rpc scope spawn \
	stderr_tail store supervisor supervisor_call supervisor_table worker worker_end worker_env \
	worker_record
claim := claim claims claims_scripts claims_wire
kafka := best_effort client client_conf client_error cluster consumer \
	consumer_backlog consumer_close consumer_jobs consumer_rebalance consumer_state event \
	group_meta offset_metadata offsets produce publisher publisher_batch publisher_thread topic \
	txn
command := command command_check operation outcome request request_secret
result := answer answer_config answer_execute answer_lease deadletter result result_drivers \
	result_log result_record
engine := answering calling claiming committing dispatch engine entry held intake large_output \
	orphans rebalance resolver scheduler shutdown stall startup status unread window
cli := cli cli_help cli_load cli_man cli_redis cli_say cli_table
client := catalog cli_schemas exec_output kafka lease_facts manifest manifest_read publish_build \
	reader reader_parse record record_list send topics_plan wait
audit := audit_read audit_scan audit_verify ledger ledger_end ledger_ids ledger_output
worker := dev_servers http_server service
commands := audit config dev drivers exec plugin publish publish_ops replay topics watch worker
lib_src := $(foreach f,$(folders),$(patsubst %,src/$f/%.c,$($f)))
test_src := $(wildcard tests/unit/test_*.c)
schemas := $(sort $(wildcard schemas/*.avsc))

lib_obj := $(lib_src:%.c=$(BUILD)/%.o) $(BUILD)/schema_data.o
tests := $(test_src:tests/unit/%.c=$(BUILD)/tests/%)
rigs := $(patsubst %,$(BUILD)/tests/integration/%.o,redis_rig instance_rig fake_redis)
checks := $(patsubst tests/integration/%.c,$(BUILD)/tests/%,$(wildcard tests/integration/*_check.c))
fuzzers := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

all: $(BUILD)/envdriver $(BUILD)/plugins/local/envdriver-local

$(BUILD)/libenvdriver.a: $(lib_obj) | $(threads)
	@echo "  AR      $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/envdriver: $(BUILD)/src/main.o $(BUILD)/libenvdriver.a
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The folder it is built in is a plugin package, ready for `envdriver plugin add`.
$(BUILD)/plugins/local/envdriver-local: $(patsubst %.c,$(BUILD)/%.o,$(wildcard plugins/local/*.c)) \
		plugins/local/plugin.json plugins/local/README.md | $(threads)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -luv -ljansson
	$(Q)cp plugins/local/plugin.json plugins/local/README.md $(@D)/

$(BUILD)/schema_data.c: $(schemas) scripts/embed-schemas
	@mkdir -p $(@D)
	$(Q)scripts/embed-schemas $(schemas) >$@.tmp && mv $@.tmp $@

$(BUILD)/schema_data.o: $(BUILD)/schema_data.c
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libenvdriver.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# Where allocations fail one by one; `realloc` is what buf_realloc points to.
$(BUILD)/tests/test_alloc: override LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,$\
	--wrap=strdup,--wrap=strndup

# What tests/integration runs against a server of its own.
$(BUILD)/tests/%_check: $(BUILD)/tests/integration/%_check.o $(rigs) $(BUILD)/libenvdriver.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# Under gcc a fuzz target gets a main that replays its corpus.
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(if $(filter fuzzer,$(SAN)),,$(BUILD)/tests/fuzz/replay.o) \
		$(BUILD)/libenvdriver.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(if $(filter fuzzer,$(SAN)),-fsanitize=fuzzer) -o $@ $^ $(LDLIBS)

# A program with one rule of the engine taken out of one source file, for
# tests/fault/test_model_rules.py: build/address/without/RULE/PROGRAM.
check_obj := $(checks:$(BUILD)/tests/%=$(BUILD)/tests/integration/%.o)
$(BUILD)/without/%: $(BUILD)/src/main.o $(check_obj) $(rigs) $(BUILD)/libenvdriver.a \
		tests/lib/harness/without.py
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)python3 -B tests/lib/harness/without.py $(notdir $(@D)) $@.c
	$(Q)$(CC) $(addprefix -iquote src/,$(folders)) $(CPPFLAGS) $(CFLAGS) -c -o $@.o $@.c
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $@.o $(if $(filter envdriver,$(@F)),$(BUILD)/src/main.o, \
		$(BUILD)/tests/integration/$(@F).o $(rigs)) $(BUILD)/libenvdriver.a -lcmocka $(LDLIBS)

# One call through the plugin layer alone, for tests/golden.
$(BUILD)/golden/call: $(BUILD)/tests/golden/call.o $(BUILD)/libenvdriver.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What tests/bench measures with; the folder is the echo plugin's package.
bench_programs := $(patsubst %,$(BUILD)/bench/%,echo driver peer)
$(BUILD)/bench/echo: $(BUILD)/tests/bench/echo.o
$(BUILD)/bench/driver: $(patsubst %,$(BUILD)/tests/bench/%.o,driver kit)
$(BUILD)/bench/peer: $(patsubst %,$(BUILD)/tests/bench/%.o,peer peer_plugin peer_record kit)
$(bench_programs):
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lrdkafka -lhiredis -lpthread

.PRECIOUS: $(BUILD)/%.o
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# What test_kafka_parts.py moves: the Kafka modules without the rest.
$(BUILD)/tests/kafka_parts: $(patsubst %,$(BUILD)/tests/integration/%.o,kafka_parts kafka_parts_send) \
		$(BUILD)/libenvdriver.a
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

unit: $(tests) $(checks) $(fuzzers) $(BUILD)/golden/call $(BUILD)/tests/kafka_parts

# No network and no server: the tables, the scanners, the codecs.
check-unit:
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=address DEVELOPER=1 unit
	$(Q)tests/run --unit

# Everything, on a real Kafka, a real Redis and the real plugin SDK.
check:
	$(Q)scripts/setup --check
	$(Q)$(MAKE) --no-print-directory lint
	$(Q)tests/model/run --short
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) DEVELOPER=1 all
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=address DEVELOPER=1 all unit
	$(Q)tests/run --all -j 2

# Every fault of docs/reliability.md; the short ones are in `check`, too. Three files side by
# side: they wait more than they work.
check-fault:
	$(Q)scripts/setup --check
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) DEVELOPER=1 all
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=address DEVELOPER=1 all unit
	$(Q)tests/run --fault -j 3

# Load under a seeded random schedule of faults (SOAK_SECONDS, SOAK_SEED), and the long one:
# 2 million commands (SOAK_COMMANDS), a plugin crash every 10 s, a rebalance every 30 s.
soak soak-long:
	$(Q)scripts/setup --check
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) DEVELOPER=1 all
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=address DEVELOPER=1 all
	$(Q)PYTHONPATH=tests/lib build/venv/bin/python -B tests/fault/soak.py $(if $(filter %-long,$@),--long)

# The Kafka tests once more, with the librdkafka of the Python package confluent-kafka in the place
# of the distribution's. It ends with an error when that is not newer.
newest_tests := fault/test_(transaction_rules|security:test_sasl)|integration/test_(kafka_|main_job)|$\
	integration/test_engine:test_(rolling|kill|lease)|unit/test_client_conf
check-rdkafka-newest:
	$(Q)scripts/setup --check
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=address DEVELOPER=1 all unit
	$(Q)tests/run --all --librdkafka-newest -k '$(newest_tests)'

# The engine's model: about five minutes on two cores (tests/model/README.md).
check-model:
	$(Q)tests/model/run

# Data races, as gcc's thread sanitizer sees them; tests/thread.supp has what is not ours. The
# second part needs what `check` needs: the engine with all its threads at work.
thread_tests := ^(unit|fuzz)/|integration/test_(main_job|kafka_publisher)
check-thread:
	$(Q)scripts/setup --check
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=thread DEVELOPER=1 all unit
	$(Q)ENVDRIVER_BUILD=build/thread tests/run --all -k '$(thread_tests)'

# The unit tests, the fuzz corpora and the main job once more, without a sanitizer, under valgrind.
check-valgrind:
	$(Q)scripts/setup --check
	$(Q)scripts/setup --valgrind
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=valgrind DEVELOPER=1 all unit
	$(Q)ENVDRIVER_BUILD=build/valgrind tests/run --all -j 2 --valgrind \
		-k '^(unit|fuzz)/|integration/test_main_job'

# Which lines the unit tests and the fuzz corpora run, or, with COVERAGE=all, all of `check` and the
# long tests of transactions, Redis and the registry. A test that fails does not hide the lines.
COVERAGE ?= unit
long_lines := fault/test_(transaction_rules|redis_faults|schema_registry)
coverage:
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=coverage all unit
	$(Q)$(if $(filter all,$(COVERAGE)),$(MAKE) --no-print-directory -j$(JOBS) all)
	$(Q)find build/coverage -name '*.gcda' -delete
	-$(Q)ENVDRIVER_BUILD=build/coverage tests/run --all -j 2 $(if \
		$(filter all,$(COVERAGE)),,-k '^(unit|fuzz)/')
	-$(Q)$(if $(filter all,$(COVERAGE)),ENVDRIVER_BUILD=build/coverage \
		tests/run --fault -j 2 -k '$(long_lines)')
	$(Q)scripts/coverage build/coverage

demo:
	$(Q)scripts/setup --demo
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)scripts/demo

# Clang's libFuzzer looks for new inputs, FUZZ_SECONDS for each target.
CLANG ?= $(or $(shell command -v clang || command -v clang-14),clang)
FUZZ_SECONDS ?= 60
fuzz:
	$(Q)scripts/setup --fuzz
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=fuzzer CC=$(CLANG) fuzzers
	$(Q)set -e; for t in $(notdir $(fuzzers)); do \
		mkdir -p build/fuzzer/corpus/$$t; echo "  FUZZ    $$t"; \
		build/fuzzer/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 \
			-artifact_prefix=build/fuzzer/$$t- build/fuzzer/corpus/$$t \
			tests/fuzz/corpus/$${t#fuzz_}; done
fuzzers: $(fuzzers)

bench:
	$(Q)scripts/setup --check
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all $(bench_programs)
	$(Q)tests/bench/run

lint:
	$(Q)scripts/check-deps
	$(Q)scripts/check-size

format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	install -D -m 755 $(BUILD)/envdriver $(DESTDIR)$(PREFIX)/bin/envdriver
	install -D -m 644 man/envdriver.1 $(DESTDIR)$(PREFIX)/share/man/man1/envdriver.1
	install -D -m 755 $(BUILD)/plugins/local/envdriver-local \
		$(DESTDIR)$(PREFIX)/lib/envdriver/plugins/local/envdriver-local
	install -D -m 644 plugins/local/plugin.json \
		$(DESTDIR)$(PREFIX)/lib/envdriver/plugins/local/plugin.json

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/envdriver $(DESTDIR)$(PREFIX)/share/man/man1/envdriver.1
	rm -rf $(DESTDIR)$(PREFIX)/lib/envdriver/plugins/local

clean:
	rm -rf build/release build/address build/thread build/fuzzer build/coverage build/valgrind

help:
	@echo "all         build/release/envdriver and the local plugin"
	@echo "demo        install what is missing, build, run the whole way of a command"
	@echo "check       every test, with address and undefined sanitizers"
	@echo "check-fault every fault of docs/reliability.md, long ones included"
	@echo "check-rdkafka-newest  the Kafka tests on a current librdkafka"
	@echo "check-model the states of the engine's model, and each of its rules taken away"
	@echo "soak        10 minutes of load and random faults; soak-long: 2 million commands"
	@echo "check-unit  the tests that need no network and no server"
	@echo "check-thread, check-valgrind  races; memory, without a sanitizer"
	@echo "coverage    lines that the unit tests run (COVERAGE=all: that check runs)"
	@echo "fuzz        looks for inputs that break what reads input (clang; FUZZ_SECONDS)"
	@echo "bench       throughput and memory beside a peer, in one run"
	@echo "lint        dependencies point down, functions stay small"
	@echo "install, uninstall (PREFIX, DESTDIR), format, clean"

.PHONY: all unit fuzz fuzzers check check-fault check-model check-rdkafka-newest check-unit \
	soak soak-long demo bench lint format install uninstall clean help coverage check-thread \
	check-valgrind
