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
CPPFLAGS := -I. -D_GNU_SOURCE -DFOOTNOTE_BUILD='"$(BUILD_ID)"' \
            $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(call msgpack_flags,cflags)
CFLAGS := -std=c11 -g $(OPT_$(VARIANT)) $(HARDEN_$(VARIANT)) $(WARN) -pthread -MMD -MP
LDFLAGS := $(OPT_$(VARIANT)) $(LINK_$(VARIANT)) -pthread

lib_msgpack := $(call msgpack_flags,libs)
LIBS_common := -lhiredis -ljansson -lcrypto -lm
LIBS_proto := -lzmq -lczmq $(lib_msgpack)
LIBS_gateway := -lcivetweb -lssl -ldl
LIBS_embedder := -lcurl -lstemmer -lutf8proc
LIBS_retriever := -lstemmer -lutf8proc -lmd4c
LIBS_store := -lpq
LIBS_janitor :=

# ---- objects -------------------------------------------------------------------------------------------------------
src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(OUT)/obj/%.o,$(call src,$(1)))
lib_objs = $(filter-out %/main.o,$(call obj,$(1)))
COMMON_A := $(OUT)/lib/libcommon.a
PROTO_A := $(OUT)/lib/libproto.a

.PHONY: build
build: $(PROGRAMS) ## compile the five services and the client

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define library
$(OUT)/lib/lib$(1).a: $(call lib_objs,$(1))
	@mkdir -p $$(@D)
	rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,common proto $(SERVICES),$(eval $(call library,$(l))))

define program
$(OUT)/footnote-$(1): $(OUT)/obj/$(1)/main.o $(OUT)/lib/lib$(1).a $(PROTO_A) $(COMMON_A)
	$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS_$(1)) $(LIBS_proto) $(LIBS_common)
endef
$(foreach s,$(SERVICES),$(eval $(call program,$(s))))

$(OUT)/footnote: $(call obj,gateway/cli) $(COMMON_A)
	$(CC) $(LDFLAGS) -o $@ $^ -lcurl $(LIBS_common)

# ---- unit tests: tests/unit/PART/NAME.c links PART's library ---------------------------------------------------------
UNIT_SRC := $(wildcard tests/unit/*/*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(UNIT_SRC))
unit_part = $(firstword $(subst /, ,$(1)))
.SECONDEXPANSION:
$(OUT)/unit/%: $(OUT)/obj/tests/unit/%.o $$(OUT)/lib/lib$$(call unit_part,$$*).a $(PROTO_A) $(COMMON_A)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_$(call unit_part,$*)) $(LIBS_proto) $(LIBS_common) -lcmocka

.PHONY: unit-build test-unit
unit-build: $(UNIT_BIN)
test-unit: unit-build ## unit tests (cmocka)
	@tests/kit/run_unit.sh $(UNIT_BIN)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
