# envdriver: build, test, install. `make help` lists the targets.
#
#   make DEVELOPER=1   warnings are errors
#   make SAN=address   (or thread, fuzzer, coverage, valgrind) builds into a folder of its own
#   make V=1           shows the commands

VERSION := 0.1.0
PREFIX ?= /usr/local
BUILD := build/$(or $(SAN),release)
Q := $(if $(V),,@)

# The version of avro-c, then all flags: asked for once, and only when something is built.
# A librdkafka that `scripts/setup --librdkafka-newest` built wins.
PKGS := rdkafka hiredis libuv jansson uuid libmicrohttpd libcrypto libcurl
pkg = $(eval pkg := $(shell \
	export PKG_CONFIG_PATH='$(CURDIR)/build/deps/lib/pkgconfig:$(PKG_CONFIG_PATH)'; \
	pkg-config --modversion avro-c && pkg-config --cflags --libs $(PKGS)))$(pkg)

san_address := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
san_thread := -fsanitize=thread -fno-omit-frame-pointer
san_fuzzer := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
san_coverage := --coverage -fprofile-update=atomic -O0
$(if $(filter-out address thread fuzzer coverage valgrind,$(SAN)),$(error there is no SAN=$(SAN)))

CFLAGS ?= -O2 -g
# scripts/check-hardening looks for them. Sanitizers bring checks of their own.
harden := $(if $(SAN),,-fPIE -fstack-clash-protection $\
	$(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),-fcf-protection) $\
	$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
override LDFLAGS += $(if $(SAN),,-pie -Wl,-z,relro,-z,now)
override CFLAGS += -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -fno-strict-aliasing \
	-fstack-protector-strong $(harden) $(if $(filter 1,$(DEVELOPER)),-Werror) \
	$(if $(SAN),-DENVDRIVER_TEST $(san_$(SAN)))
override CPPFLAGS += -Iinclude -iquote src -DENVDRIVER_VERSION='"$(VERSION)"' \
	-DAVRO_C_VERSION='"$(firstword $(pkg))"' $(patsubst -I%,-isystem %,$(filter -I% -D%,$(pkg)))
libs = -lavro $(filter-out -I% -D%,$(wordlist 2,99,$(pkg))) -lpthread -lm

# The sources by folder, from the bottom up: scripts/check-deps checks that calls point down.
folders := base avro redis registry secret isolation rpc host package plugin claim kafka command \
	result engine cli client audit worker commands
include sources.mk

# The objects of names in a folder.
in = $(patsubst %,$(BUILD)/$1/%.o,$2)
lib := $(BUILD)/libenvdriver.a
lib_objects := $(foreach f,$(folders),$(call in,src/$f,$($f)))
checks := $(call in,tests/integration,$(filter %_check,$(tests/integration)))
rigs := $(BUILD)/tests/librigs.a
alloc := $(BUILD)/tests/unit/alloc_rig.o
tables := $(BUILD)/tests/unit/fixture_plugins.o
replay := $(if $(filter-out fuzzer,$(or $(SAN),none)),$(BUILD)/tests/fuzz/replay.o)
objects := $(BUILD)/src/main.o $(lib_objects) $(BUILD)/tests/golden/call.o $(foreach f,tests/lib \
	plugins/local plugins/skeletons/c tests/unit tests/integration tests/fuzz tests/bench,$(call in,$f,$($f)))
plugin := $(BUILD)/plugins/local/envdriver-local
package := $(addprefix $(BUILD)/plugins/local/,plugin.json README.md)
unit_programs := $(patsubst %,$(BUILD)/tests/%,$(filter test_%,$(tests/unit)))
check_programs := $(checks:$(BUILD)/tests/integration/%.o=$(BUILD)/tests/%)
fuzz_programs := $(patsubst %,$(BUILD)/fuzz/%,$(filter fuzz_%,$(tests/fuzz)))
bench_programs := $(addprefix $(BUILD)/bench/,driver echo peer)
start_program := $(BUILD)/bench/start
other_programs := $(BUILD)/tests/kafka_parts $(BUILD)/golden/call

all: $(BUILD)/envdriver $(plugin) $(package)
unit: $(unit_programs) $(check_programs) $(fuzz_programs) $(other_programs)
fuzzers: $(fuzz_programs)

$(BUILD)/envdriver: $(BUILD)/src/main.o $(lib)
$(plugin): $(call in,plugins/local,$(plugins/local))
$(unit_programs): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(alloc) $(rigs) $(lib)
$(check_programs): $(BUILD)/tests/%: $(BUILD)/tests/integration/%.o $(alloc) $(rigs) $(lib)
$(fuzz_programs): $(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(replay) $(lib)
$(BUILD)/tests/kafka_parts: $(call in,tests/integration,kafka_parts kafka_parts_send) $(lib)
$(BUILD)/golden/call: $(BUILD)/tests/golden/call.o $(lib)
$(BUILD)/bench/driver: $(call in,tests/bench,driver kit)
$(BUILD)/bench/echo: $(BUILD)/tests/bench/echo.o
$(start_program): $(BUILD)/tests/bench/start.o $(lib)
$(BUILD)/bench/peer: $(call in,tests/bench,peer peer_plugin peer_record kit)

$(unit_programs) $(check_programs) $(BUILD)/without/%: libs += -lcmocka
$(plugin): libs = -luv -ljansson
$(bench_programs): libs = -lrdkafka -lhiredis -lpthread
$(patsubst %,$(BUILD)/tests/test_%,golden_pure result result_drivers result_log): $(tables)
$(BUILD)/tests/%: override CPPFLAGS += -iquote tests/lib
# libFuzzer has a main of its own; without it, replay.c runs a corpus.
$(fuzz_programs): override LDFLAGS += $(if $(replay),,-fsanitize=fuzzer)
# Where tests let allocations fail (tests/unit/alloc_rig.h).
$(unit_programs) $(check_programs) $(BUILD)/without/%: override LDFLAGS += $\
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup

say = @mkdir -p $(@D); echo '  $1'
link = $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$1) $(filter %.a,$1) $(libs) $(LDLIBS)
$(BUILD)/envdriver $(plugin) $(unit_programs) $(check_programs) $(fuzz_programs) $(bench_programs) \
		$(start_program) $(other_programs): $(if $(filter thread,$(SAN)),$(BUILD)/tests/lib/c11_threads.o)
	$(call say,LD      $@)
	$(Q)$(call link,$^)
$(lib): $(lib_objects) $(BUILD)/schema_data.o
$(rigs): $(call in,tests/unit,$(filter-out test_% %_plugins alloc_rig,$(tests/unit))) $\
	$(call in,tests,lib/fake_plugin $(addprefix integration/,claims_rig fake_redis $\
	instance_rig redis_rig supervisor_rig))
$(lib) $(rigs):
	$(call say,AR      $@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/schema_data.c: scripts/embed-schemas $(schemas:%=schemas/%.avsc) $(old_schemas)
	$(Q)mkdir -p $(@D); scripts/embed-schemas $(filter %.avsc,$^) >$@.tmp && mv $@.tmp $@
$(BUILD)/schema_data.o: $(BUILD)/schema_data.c
$(objects): $(BUILD)/%.o: %.c
$(objects) $(BUILD)/schema_data.o:
	$(call say,CC      $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
-include $(objects:.o=.d)
$(package): $(BUILD)/%: %
	$(Q)install -D -m 644 $< $@

# build/address/without/RULE/PROGRAM, for tests/fault/test_model_rules.py.
$(BUILD)/without/%: tests/lib/harness/without.py $(BUILD)/src/main.o $(checks) $(alloc) $(rigs) \
		$(lib)
	$(call say,LD      $@)
	$(Q)python3 -B $< $(notdir $(@D)) $@.c
	$(Q)$(CC) $(addprefix -iquote src/,$(folders)) $(CPPFLAGS) $(CFLAGS) -c -o $@.o $@.c
	$(Q)$(call link,$@.o $(filter %/$(@F:envdriver=main).o,$^) $(alloc) $(rigs) $(lib))
# What they build and run: tests/lib/harness/targets.py.
suites := check check-fault check-model check-rdkafka-newest check-thread check-unit \
	check-valgrind coverage soak soak-long fuzz bench
$(suites): ; $(Q)tests/run $@
demo:
	$(Q)scripts/setup --demo
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)scripts/demo
lint: all
	$(Q)scripts/check-deps $(objects:$(BUILD)/%.o=%.c) $(schemas:%=schemas/%.avsc) $(old_schemas)
	$(Q)scripts/check-size && scripts/check-docs && scripts/check-tables
	$(Q)$(if $(SAN),,scripts/check-hardening $(BUILD)/envdriver $(plugin))
format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')
local = $(DESTDIR)$(PREFIX)/lib/envdriver/plugins/local
install: all
	install -D -m 755 $(BUILD)/envdriver $(DESTDIR)$(PREFIX)/bin/envdriver
	install -D -m 644 man/envdriver.1 $(DESTDIR)$(PREFIX)/share/man/man1/envdriver.1
	install -D -m 755 $(plugin) $(local)/envdriver-local
	install -D -m 644 plugins/local/plugin.json $(local)/plugin.json
uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/envdriver $(DESTDIR)$(PREFIX)/share/man/man1/envdriver.1 $(local)
clean:
	rm -rf build/release build/address build/thread build/fuzzer build/coverage build/valgrind
help:
	@sed -n 's/`//g; s/\[\([^]]*\)\]([^)]*)/\1/g; /^| make/p' CONTRIBUTING.md | \
		awk -F ' *[|] *' '{ printf "%-27s %s\n", $$2, $$3 }'

.SUFFIXES:
.PHONY: $(suites) all unit fuzzers demo lint format install uninstall clean help
