#!/usr/bin/env bash
#
# A purchase, as a browser makes it:
#
#   API=https://example.com TOKEN=... ./curl.sh starter
#
# TOKEN is a JWT that your login has signed, with what is in postgrest.conf's jwt-secret:
#   {"role": "authenticated", "sub": "user_42", "exp": ...}
# "sub" is the account.  No call names an account, a price or an address.

set -euo pipefail

rpc() {
	local name=$1 arguments=$2

	# The token is not for the list of processes.
	curl --silent --show-error --fail-with-body -H @<(echo "Authorization: Bearer $TOKEN") \
		-H 'Content-Type: application/json' --data "$arguments" "$API/rpc/$name"
	echo
}

field() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p'; }

pack=${1:-starter}
# One key for one click: tried again with the same key, it is the same purchase.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

# 1. Begin: Stripe's page for this buyer and this pack
checkout=$(rpc create_checkout "{\"pack_id\": \"$pack\", \"idempotency_key\": \"$key\"}")
session=$(field session_id <<<"$checkout")
echo "pay at $(field url <<<"$checkout")"
read -r -p 'and press Enter '

# 2. The page that he comes back to, with the session in its URL: credits what was paid, if the webhook has not yet
rpc confirm_checkout "{\"session_id\": \"$session\"}"

# 3. What he has now
rpc credits '{}'
