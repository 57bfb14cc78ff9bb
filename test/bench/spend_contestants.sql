-- What test/bench/spend compares stripe_credit.spend() with.
--
-- Indexes, collations and storage parameters are those of the extension, so that
-- both do the same work where they do the same.

CREATE SCHEMA bench;

-- The accounts that test/bench/spends.c takes, by their numbers.
CREATE FUNCTION bench.account_id(number integer) RETURNS text
	LANGUAGE sql IMMUTABLE
	AS $$ SELECT format('00000000-0000-4000-8000-%s', lpad(number::text, 12, '0')) $$;

-- Accounts with that many lots each.  An account's first lot lasts for ever and
-- has plenty; it is spent when all others are, which have 500 to 1500 credits
-- and expire in a month to a year, in no order.
--
-- To commit in between keeps the locks few, and lets the many versions of an
-- account's row be pruned.
CREATE PROCEDURE bench.fill(first integer, accounts integer, lots integer, plenty bigint)
	LANGUAGE plpgsql
	AS $$
BEGIN
	FOR start IN 0 .. accounts * lots - 1 BY 500 LOOP
		PERFORM stripe_credit.grant_credits(bench.account_id(first + n / lots),
					CASE WHEN lot = 0 THEN plenty ELSE 500 + lot * 7919 % 1001 END,
					'grant ' || lot,
					CASE WHEN lot > 0 THEN now() + make_interval(days => 30 + lot * 137 % 336, secs => lot) END)
		FROM (SELECT n, n % lots AS lot
			  FROM generate_series(start, least(start + 499, accounts * lots - 1)) n) g;
		COMMIT;
	END LOOP;
END
$$;

-- The floor: what it costs to get 200 bytes into a table, once for each key.
CREATE TABLE bench.floor (
	idempotency_key text COLLATE "C" PRIMARY KEY,
	account_id text COLLATE "C" NOT NULL,
	body text NOT NULL
);

-- What somebody would write who wants balances that can't go below zero, a
-- ledger, and every key once.  It knows no lots, no expiry and no holds, and a
-- key that comes again is an error.
CREATE TABLE bench.account (
	account_id text COLLATE "C" PRIMARY KEY,
	balance bigint NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE bench.ledger (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account_id text COLLATE "C" NOT NULL,
	credits bigint NOT NULL,
	balance bigint NOT NULL,
	idempotency_key text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (account_id, idempotency_key)
);

CREATE FUNCTION bench.spend(p_account_id text, p_credits bigint, p_idempotency_key text) RETURNS bigint
	LANGUAGE plpgsql
	AS $$
DECLARE
	v_balance bigint;
BEGIN
	UPDATE bench.account SET balance = balance - p_credits
	WHERE account_id = p_account_id AND balance >= p_credits
	RETURNING balance INTO v_balance;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'not enough credits';
	END IF;
	INSERT INTO bench.ledger (account_id, credits, balance, idempotency_key)
	VALUES (p_account_id, -p_credits, v_balance, p_idempotency_key);
	RETURN v_balance;
END
$$;
