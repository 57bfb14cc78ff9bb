# stripe_credit
#
#   make && make install     build and install; PG_CONFIG names the installation
#   make check               every test, in a private installation of its own
#   make demo                a tour of the extension, in the same way, and a shop
#   make unit, make fuzz     the parts that need no database, alone
#   make installcheck        the tests against the running server you name

EXTENSION = stripe_credit
# The control file is the one place that names the version.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

MODULE_big = $(EXTENSION)
OBJS := $(patsubst %.c,%.o,$(filter-out src/stripe_credit_curl.c,$(sort $(wildcard src/*.c))))
# Loaded by the first request to Stripe's API, so that no other backend maps libcurl.
MODULES = src/stripe_credit_curl
DATA := $(sort $(wildcard sql/*.sql))

# What else is linked.  Archives in their place make modules that need nothing
# but libc where they are loaded, as on an image that others have built:
#   make LIBCRYPTO=-l:libcrypto.a LIBCURL='.../libcurl.a -l:libssl.a -l:libcrypto.a'
LIBCRYPTO = -lcrypto
LIBCURL = -lcurl -lssl

PG_CPPFLAGS = -Isrc -DSTRIPE_CREDIT_VERSION='"$(EXTVERSION)"'
SHLIB_LINK += $(LIBCRYPTO) -Wl,--version-script=src/exports.map

# The inputs live in test/, what they should print in expected/.  Both kinds of
# test share expected/, so no isolation test has the name of a regression test;
# without --outputdir the one of PostgreSQL 15 would look in another place.
REGRESS := $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test
ISOLATION := $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=.
PROVE_TESTS := $(sort $(wildcard test/t/*.pl))
TAP_TESTS := $(if $(PROVE_TESTS),1)

# pg_isolation_regress makes these in its output directory.
EXTRA_CLEAN = results regression.diffs regression.out

# Bitcode for the JIT would need the clang that built PostgreSQL, and nothing
# here is worth inlining into a query.
override with_llvm = no

PG_CONFIG ?= pg_config

# Warnings are errors for those who change the code, never for those who only
# install it with a compiler that is newer than the code.  PostgreSQL's own
# headers are not ours to mend: as system headers they don't warn.  Left out is
# what C says anyway: fields without an initializer are zero, and a callback has
# parameters that it doesn't need.
ifneq ($(WERROR)$(CI),)
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror
endif

# These set up what they need, PGXS too, and call make again inside a copy of
# the tree: on a fresh machine there is no PGXS to include yet, and where there
# is one, its own "check" says only that it can't check.
STANDALONE = check demo unit fuzz

ifneq ($(filter-out $(STANDALONE),$(or $(MAKECMDGOALS),all)),)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
# pg_config and even PGXS can be there without the server's headers: say what is
# missing instead of a long list of what follows from it.
ifeq ($(and $(wildcard $(PGXS)),$(wildcard $(shell $(PG_CONFIG) --includedir-server)/postgres.h)),)
$(error PGXS and postgres.h were not found through "$(PG_CONFIG)": install PostgreSQL's server headers (Debian: postgresql-server-dev-NN), or name another PG_CONFIG)
endif
include $(PGXS)
endif

# Few files and fast to compile: each depends on all headers, so that no list
# of dependencies can be wrong.
$(OBJS): $(wildcard src/*.h) $(EXTENSION).control
$(MODULE_big)$(DLSUFFIX): src/exports.map
$(addsuffix .o,$(MODULES)): $(wildcard src/*.h)
# An archive's functions are for us alone: the server has an OpenSSL of its own.
$(addsuffix $(DLSUFFIX),$(MODULES)): LDFLAGS_SL += $(LIBCURL) -Wl,--exclude-libs,ALL

.PHONY: $(STANDALONE)

# PGXS has a rule of that name, and make would warn at every other target.
ifneq ($(filter check,$(MAKECMDGOALS)),)
check:
	@test/check
endif

demo:
	@test/demo/run

unit:
	$(MAKE) -C test/unit check

fuzz:
	$(MAKE) -C test/fuzz check

ifneq ($(filter clean distclean maintainer-clean,$(MAKECMDGOALS)),)
clean: clean-tests

.PHONY: clean-tests
clean-tests:
	for dir in $(dir $(wildcard test/unit/Makefile test/fuzz/Makefile)); do $(MAKE) -C $$dir clean || exit; done
	rm -rf examples/*/node_modules test/demo/node_modules
endif
