# shellcheck shell=bash
#
# What the benchmarks stand on, above test/lib.sh: a private cluster that keeps
# its promises to the disk, the programs that send, contestants that take turns,
# and the medians of what they did.
#
# To be sourced by a bash script under set -euo pipefail, which then calls
# set_up, and makes of each turn a line in $work/log/rounds by take_turns.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

bench=$top/test/bench

server_settings="
	shared_buffers = '1GB'
	fsync = on
	synchronous_commit = on
	full_page_writes = on
	max_wal_size = '16GB'
	checkpoint_timeout = '1h'
	autovacuum = on
	max_connections = 100
	jit = off"

query() { as_user psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1" bench; }

run_sql() { as_user psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 bench <"$1"; }

#
# Programs
#

# compile PROGRAM ARGUMENT...
compile() {
	local program=$1

	shift
	gcc -std=gnu99 -O2 -Wall -Wextra -I"$top/src" "$@" -o "$work/$program" -lcrypto -lpthread
}

# Where libpq's header is: beside the server, or where Debian puts it.
libpq_directory() {
	local directory

	for directory in "$("$PG_CONFIG" --includedir)" /usr/include/postgresql; do
		[ -e "$directory/libpq-fe.h" ] && printf '%s\n' "$directory" && return
	done
	return 1
}

# compile_driver PROGRAM SOURCE...: the driver, and what it sends.
compile_driver() {
	local program=$1 headers

	shift
	headers=$(libpq_directory) || die "libpq-fe.h was not found"
	compile "$program" -I"$headers" "$bench"/{driver,random}.c "$@" -L"$("$PG_CONFIG" --libdir)" -lpq
}

#
# The cluster
#

# set_up FUNCTION: FUNCTION compiles, which must be before the private
# installation is made: that has no headers for clients.
set_up() {
	make_work_dir
	install_postgresql
	need libpq-dev libpq_directory
	need openssl has openssl
	install_missing
	"$1"
	make_installation
	build_extension
	start_cluster
	configure_cluster
	as_user createdb bench
	query 'CREATE EXTENSION stripe_credit'
}

configure_cluster() {
	local line

	while IFS= read -r line; do
		[ -z "$line" ] || as_user psql --no-psqlrc --quiet --command "ALTER SYSTEM SET $line" postgres
	done <<<"$server_settings"
	as_user "$bindir/pg_ctl" --pgdata "$work/run/data" --log "$work/run/server.log" --wait --silent \
		--mode fast restart </dev/null >>"$work/log/pg_ctl" 2>&1
}

check_books() {
	[ "$(query 'SELECT count(*) FROM stripe_credit.check_books()')" -eq 0 ] ||
		die "the books are wrong: $(query 'SELECT * FROM stripe_credit.check_books() LIMIT 3')"
}

describe_machine() {
	printf 'machine: %s x%s, work directory on %s\n' \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
		"$(df --output=fstype "$work" | tail -n 1)"
	printf 'server:  %s, %s\n' "$("$PG_CONFIG" --version)" "$(openssl version)"
	printf 'with:   %s\n' "$(tr -s '\n\t' ' ' <<<"$server_settings")"
	printf 'rounds:  %s of %s s for each contestant, taking turns; medians\n' "$rounds" "$seconds"
}

#
# Turns
#

# take_turns BATCH CLIENTS ROUND CONTESTANT...: each round begins with another.
# turn BATCH CLIENTS CONTESTANT is the script's own, and calls drive.
take_turns() {
	local batch=$1 n=$2 round=$3 i contestant figures

	shift 3
	for ((i = 0; i < $#; i++)); do
		contestant=${*:1 + (round + i) % $#:1}
		figures=$(turn "$batch" "$n" "$contestant")
		echo "$batch $n $round $contestant $figures" >>"$work/log/rounds"
	done
}

# drive PROGRAM CLIENTS ARGUMENT...
drive() {
	local program=$1 n=$2

	shift 2
	PGDATABASE=bench as_user "$work/$program" "$n" "$seconds" "$@"
}

# total BATCH CONTESTANT: the operations of all its turns, warm-up and all.
total() {
	awk -v batch="$1" -v who="$2" '$1 == batch && $4 == who { sum += $11 } END { printf "%d", sum }' "$work/log/rounds"
}

#
# Figures
#

# Medians over the rounds.  A ratio is taken within a round, where both sides
# had the same machine.
#
# awk's fields of a line: batch, clients, round, contestant, operations, 6 a
# second, 7 p50, 8 p99, 9 CPU, 10 WAL, 11 operations with the warm-up.
medians='
	function median(values, n,   i, j, x) {
		for (i = 2; i <= n; i++) {
			x = values[i]
			for (j = i - 1; j > 0 && values[j] > x; j--) values[j + 1] = values[j]
			values[j + 1] = x
		}
		return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
	}
	function column(key, field,   i, values) {
		for (i = 0; i < rounds; i++) values[i + 1] = value[key, i, field]
		return median(values, rounds)
	}
	function ratio(key, base, field,   i, values) {
		for (i = 0; i < rounds; i++) values[i + 1] = value[key, i, field] / value[base, i, field]
		return median(values, rounds)
	}
	{
		if ($3 >= rounds) rounds = $3 + 1
		for (f = 6; f <= 10; f++) value[$1 " " $2 " " $4, $3, f] = $f
	}'

# print_rounds BATCH UNIT BASE...: rates beside those of each BASE, and the CPU
# beside that of the first.
print_rounds() {
	local batch=$1 unit=$2

	shift 2
	awk -v batch="$batch" -v unit="$unit" -v bases="$*" "$medians"'
	$1 == batch && !(($2, $4) in seen) {
		seen[$2, $4] = 1
		if (!($2 in names)) order[++runs] = $2
		names[$2] = names[$2] " " $4
	}
	END {
		nbases = split(bases, base)
		printf "%7s %-11s %9s", "clients", "", unit
		for (b = 1; b <= nbases; b++) printf " %10s", "to " base[b]
		printf " %9s %9s %9s %10s %9s\n", "p50 us", "p99 us", "CPU us", "to " base[1], "WAL bytes"
		for (r = 1; r <= runs; r++) {
			n = split(names[order[r]], who)
			for (c = 1; c <= n; c++) {
				key = batch " " order[r] " "
				printf "%7d %-11s %9.0f", order[r], who[c], column(key who[c], 6)
				for (b = 1; b <= nbases; b++) printf " %10.2f", ratio(key who[c], key base[b], 6)
				printf " %9.0f %9.0f %9.1f %10.2f %9.0f\n", column(key who[c], 7), column(key who[c], 8),
					column(key who[c], 9), ratio(key who[c], key base[1], 9), column(key who[c], 10)
			}
			print ""
		}
	}' "$work/log/rounds"
}
