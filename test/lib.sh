# shellcheck shell=bash
#
# What `make check` and `make demo` stand on: the packages they need, a private
# copy of the PostgreSQL installation, the extension built into that, and a
# private cluster.  A PostgreSQL that is already on the machine, and what runs
# on it, is only read.
#
# To be sourced by a bash script under set -euo pipefail, which then calls, in
# this order: make_work_dir, install_postgresql, make_installation,
# build_extension and, if it needs one, start_cluster.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Whatever server, make or locale the calling shell points to is not ours to
# use, except for the two variables by which somebody names an installation.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR LC_ALL
for name in $(compgen -e PG); do
	[ "$name" = PG_CONFIG ] || unset "$name"
done
# Without it a cluster that a TAP test makes would not be UTF8.
export LANG=C.UTF-8

say() { printf '\n== %s\n' "$*"; }

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

#
# The work directory, and the one place where all of it ends again
#

work=
cluster_is_up=

make_work_dir() {
	local base=${TMPDIR:-/tmp}

	umask 022
	# The name of a socket may have 107 bytes, and the tests make directories
	# of their own under TMPDIR before they come to that.
	[ ${#base} -le 40 ] || base=/tmp
	# Root's own TMPDIR may be where the unprivileged user can't follow.
	[ "$EUID" -ne 0 ] || setpriv --reuid 65534 --regid 65534 --clear-groups -- test -x "$base" || base=/tmp
	work=$(mktemp -d "$base/stripe_credit.XXXXXXXX")
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	chmod 755 "$work"
	mkdir "$work/log"
	# PostgreSQL's programs want a working directory that they may read.
	cd "$work" || exit
	export TMPDIR=$base
}

clean_up() {
	local status=$?

	trap - EXIT
	# Who presses Ctrl-C twice wants it gone, not half gone.
	trap '' HUP INT TERM
	stop_cluster
	if [ -n "${KEEP:-}" ]; then
		rm -f "${API_KEY_FILE:-}" # it may be a person's own
		printf 'KEEP is set: everything is still in %s\n' "$work" >&2
	else
		rm -rf "$work"
	fi
	exit "$status"
}

#
# Packages
#

missing=()

# need PACKAGE COMMAND...: PACKAGE is missing if COMMAND fails.  What counts is
# whether the thing is there, not who brought it.
need() {
	local package=$1

	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

has() { command -v "$1"; }

as_root() {
	if [ "$EUID" -eq 0 ]; then
		"$@"
	elif has sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root once, or sudo: $*"
	fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" </dev/null >>"$work/log/apt" 2>&1; }

install_missing() {
	[ ${#missing[@]} -gt 0 ] || return 0
	has apt-get >/dev/null || die "please install what Debian calls: ${missing[*]}"

	say "installing ${missing[*]}"
	if [ ! -e "$work/log/apt" ]; then
		apt update || die "apt-get update failed: $(tail -n 5 "$work/log/apt")"
	fi
	apt install --no-install-recommends "${missing[@]}" ||
		die "apt-get install failed: $(tail -n 20 "$work/log/apt")"
	missing=()
}

# The newest PostgreSQL here that has the program that is asked for.
newest_bindir() {
	local bin

	for bin in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
		[ -x "$bin/$1" ] || continue
		[ "$(major_version "$bin")" -ge 15 ] || continue
		printf '%s\n' "$bin"
		return
	done
	return 1
}

major_version() { "$1/postgres" --version | sed 's/.*(PostgreSQL) \([0-9]*\).*/\1/'; }

has_header() { echo "#include <$1>" | gcc -E -; }

# Debian brings PGXS itself with the client, but the headers apart.
can_build() { [ -e "$("$1" --pgxs)" ] && [ -e "$("$1" --includedir-server)/postgres.h" ]; }

# To install a server must not leave a cluster running that nobody asked for.
# Where PostgreSQL's common package has been before, that was decided already.
want_no_default_cluster() {
	local conf=/etc/postgresql-common/createcluster.conf

	if [ -e "$conf" ] || [ -e /usr/share/postgresql-common ]; then
		return 0
	fi
	as_root mkdir -p "${conf%/*}"
	echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
}

# Sets PG_CONFIG, unless the caller has.
install_postgresql() {
	local bin

	if [ -z "${PG_CONFIG:-}" ] && ! newest_bindir postgres >/dev/null; then
		want_no_default_cluster
		need postgresql false
	fi
	need make has make
	need gcc has gcc
	need libc6-dev test -e /usr/include/stdio.h
	need libssl-dev test -e /usr/include/openssl/evp.h
	need libcurl4-openssl-dev has_header curl/curl.h
	need perl has prove
	need libipc-run-perl perl -MIPC::Run -e 1
	need libdbd-pg-perl perl -MDBD::Pg -e 1
	install_missing

	if [ -z "${PG_CONFIG:-}" ]; then
		bin=$(newest_bindir postgres) || die "there is no PostgreSQL 15 or later"
		need "postgresql-server-dev-$(major_version "$bin")" can_build "$bin/pg_config"
		install_missing
		PG_CONFIG=$bin/pg_config
	fi
	can_build "$PG_CONFIG" || die "$PG_CONFIG knows of no PGXS or no server headers"
	printf 'PostgreSQL: %s\n' "$("$PG_CONFIG" --version)"
}

#
# A user for PostgreSQL, which refuses to be run by root
#

choose_user() {
	if [ "$EUID" -ne 0 ]; then
		user=$(id -un)
	elif id postgres >/dev/null 2>&1; then
		user=postgres
	else
		user=nobody
	fi
}

# setpriv takes the place of the shell, so that a signal to what we started
# reaches the program itself.
as_user() {
	if [ "$EUID" -ne 0 ]; then
		HOME=$work/home "$@"
	else
		HOME=$work/home setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups -- "$@"
	fi
}

# A file of what stands on stdin, for that user's eyes only.
private_file() {
	(umask 077 && cat >"$1")
	chown "$user" "$1"
}

#
# The private installation
#

# PostgreSQL finds its files by the way from its own program, so a copy of the
# programs with the same directories around it is an installation of its own.
# Everything else in it is a link to the original; only what we install is new.
make_installation() {
	local original_bin

	choose_user
	mkdir "$work/home" "$work/tree" "$work/run"
	inst=$work/inst
	original_bin=$("$PG_CONFIG" --bindir)
	mkdir -p "$inst$original_bin"
	cp -R "$original_bin/." "$inst$original_bin/"
	for kind in --sharedir --pkglibdir --includedir-server; do
		link_directory "$("$PG_CONFIG" "$kind")"
	done
	bindir=$inst$original_bin
	PG_CONFIG=$bindir/pg_config

	case $("$PG_CONFIG" --sharedir):$("$PG_CONFIG" --pkglibdir) in
		"$inst"/*:"$inst"/*) ;;
		*) die "this PostgreSQL does not find its files from where its programs are" ;;
	esac
	export PATH=$bindir:$PATH
	chown -Rh "$user" "$work/home" "$work/tree" "$work/run" "$inst"
}

# Directories are real, files are links; what was linked before stays.
link_directory() {
	mkdir -p "$inst$1"
	cp -R --symbolic-link --no-clobber "$1/." "$inst$1/"
}

#
# The extension
#

# build_extension [MAKE VARIABLE...]
#
# The tree is built from a copy: the clone may be in a directory that the
# unprivileged user can't read, and stays free of what the tests leave behind.
build_extension() {
	local parts=() part

	for part in Makefile README.md stripe_credit.control sql src test expected examples; do
		[ ! -e "$top/$part" ] || parts+=("$part")
	done
	tar -C "$top" --exclude=node_modules --exclude=build --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
		-cf - "${parts[@]}" | tar -C "$work/tree" -xf - --no-same-owner
	chown -Rh "$user" "$work/tree"
	make_in_tree -j "$(nproc)" "$@" all
	make_in_tree "$@" install
}

make_in_tree() { as_user make -s -C "$work/tree" PG_CONFIG="$PG_CONFIG" "$@"; }

#
# The private cluster
#

# Over its socket, which only its own user can reach, it trusts; over TCP, where
# every user of the machine can try, it wants a password.  Sets and exports
# PGHOST, PGPORT and PGUSER for the socket, and cluster_password.
start_cluster() {
	local tries

	say "starting a private cluster"
	chmod 700 "$work/run"
	cluster_password=$(random_hex 16)
	private_file "$work/run/password" <<<"$cluster_password"
	as_user "$bindir/initdb" --pgdata "$work/run/data" --username postgres --encoding UTF8 --locale C.UTF-8 \
		--auth-local trust --auth-host scram-sha-256 --pwfile "$work/run/password" --no-sync \
		>"$work/log/initdb" 2>&1 || die "initdb failed: $(cat "$work/log/initdb")"

	# Between looking for a free port and taking it, somebody else may.
	for tries in 1 2 3 4 5; do
		PGPORT=$(free_port)
		if as_user "$bindir/pg_ctl" --pgdata "$work/run/data" --log "$work/run/server.log" --wait --silent \
			--options "-p $PGPORT -k '$work/run' -c listen_addresses=127.0.0.1" start \
			</dev/null >"$work/log/pg_ctl" 2>&1; then
			cluster_is_up=yes
			export PGHOST=$work/run PGPORT PGUSER=postgres
			return
		fi
	done
	die "the cluster did not start after $tries tries: $(tail -n 20 "$work/run/server.log")"
}

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# Below the ports that the kernel hands out to connections.
free_port() {
	local port

	while port=$((10240 + RANDOM % 20000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
	printf '%s\n' "$port"
}

stop_cluster() {
	# A start that was interrupted has a cluster too.
	if [ -n "$cluster_is_up" ] || [ -e "$work/run/data/postmaster.pid" ]; then
		as_user "$bindir/pg_ctl" --pgdata "$work/run/data" --mode immediate --silent stop >/dev/null 2>&1 || true
	fi
	cluster_is_up=
}
