# shellcheck shell=bash
#
# The contestants of test/bench/spend and test/bench/instructions: who spends,
# by which statements, and from which accounts.
#
# To be sourced behind common.sh.

contestants=(floor plpgsql spend hold spend_many)
many=50
plenty=1000000000

# Each SQL is a transaction and takes an account and a key, or an array of keys;
# several are one spend.
sql_of() {
	case $1 in
		floor) echo "INSERT INTO bench.floor VALUES (\$2, \$1, '$(printf '%0120d' 0)')" ;;
		plpgsql) echo "SELECT bench.spend(\$1, 1, \$2)" ;;
		spend | lots=*) echo "SELECT * FROM stripe_credit.spend(\$1, 1, \$2)" ;;
		hold)
			echo "SELECT * FROM stripe_credit.hold(\$1, 1, \$2)"
			echo "SELECT * FROM stripe_credit.capture(\$1, \$2, 1)"
			;;
		spend_many) echo "SELECT * FROM stripe_credit.spend_many(\$1, array_fill(1::bigint, ARRAY[$many]), \$2::text[])" ;;
	esac
}

keys_of() {
	case $1 in
		spend_many) echo "$many" ;;
		*) echo 1 ;;
	esac
}

# Who spends from accounts of the extension has 10,000 of his own: an account
# that has known a hold, or fifty times as many entries, is another contestant's.
first_account() {
	case $1 in
		hold | lots=100) echo 10000 ;;
		spend_many | lots=10000) echo 20000 ;;
		*) echo 0 ;;
	esac
}

empty_tables() {
	query "TRUNCATE bench.floor, bench.account, bench.ledger,
		stripe_credit.account, stripe_credit.ledger, stripe_credit.lot, stripe_credit.hold"
}

settle_tables() {
	query 'VACUUM ANALYZE'
	query 'CHECKPOINT'
}

# Everybody has more than he can spend.
fill_accounts() {
	empty_tables
	query "INSERT INTO bench.account SELECT bench.account_id(i), $plenty FROM generate_series(0, 9999) i"
	query "CALL bench.fill(0, 30000, 1, $plenty)"
	settle_tables
}
