-- What test/bench/webhook compares stripe_credit.webhook() with.
--
-- The tables are copies of the extension's, with their indexes and constraints,
-- so that both do the same work; the function is the same job for a checkout
-- that nothing is wrong with, as somebody who knows PL/pgSQL and pgcrypto well
-- would write it.

CREATE SCHEMA bench;
CREATE EXTENSION pgcrypto SCHEMA bench;

-- The floor: what it costs to get a body into a table at all.
CREATE TABLE bench.floor (
	event_id text COLLATE "C" PRIMARY KEY,
	body text NOT NULL
);

CREATE TABLE bench.settings (LIKE stripe_credit.settings INCLUDING ALL);
CREATE TABLE bench.webhook_secret (LIKE stripe_credit.webhook_secret INCLUDING ALL);
CREATE TABLE bench.pack (LIKE stripe_credit.pack INCLUDING ALL);
CREATE TABLE bench.rate (LIKE stripe_credit.rate INCLUDING ALL);
CREATE TABLE bench.account (LIKE stripe_credit.account INCLUDING ALL)
	WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE TABLE bench.ledger (LIKE stripe_credit.ledger INCLUDING ALL);
CREATE TABLE bench.lot (LIKE stripe_credit.lot INCLUDING ALL);
CREATE TABLE bench.event (LIKE stripe_credit.event INCLUDING ALL);
CREATE TABLE bench.payment (LIKE stripe_credit.payment INCLUDING ALL);

CREATE FUNCTION bench.is_signed(payload text, signature text, tolerance interval) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	part text;
	signed_at text;
	candidate text;
	candidates text[] := '{}';
	secret text;
	expected bytea;
	matches boolean := false;
BEGIN
	FOREACH part IN ARRAY string_to_array(signature, ',') LOOP
		IF starts_with(part, 't=') THEN
			signed_at := substr(part, 3);
		ELSIF starts_with(part, 'v1=') THEN
			candidates := candidates || substr(part, 4);
		END IF;
	END LOOP;
	IF signed_at IS NULL OR signed_at !~ '^[0-9]{1,11}$' THEN
		RETURN false;
	END IF;
	FOR secret IN SELECT s.secret FROM bench.webhook_secret s WHERE s.valid_until > clock_timestamp() LOOP
		-- To compare digests takes the same time wherever they begin to differ.
		expected := sha256(encode(bench.hmac(signed_at || '.' || payload, secret, 'sha256'), 'hex')::bytea);
		FOREACH candidate IN ARRAY candidates LOOP
			matches := matches OR sha256(candidate::bytea) = expected;
		END LOOP;
	END LOOP;
	RETURN matches AND abs(extract(epoch FROM clock_timestamp()) - signed_at::bigint) <= extract(epoch FROM tolerance);
END
$$;

CREATE FUNCTION bench.webhook(payload text, signature text) RETURNS jsonb
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	config bench.settings;
	event jsonb;
	session jsonb;
	metadata jsonb;
	v_event_id text;
	v_payment_id text;
	v_account_id text;
	v_created timestamptz;
	v_subtotal bigint;
	v_currency text;
	v_pack bench.pack;
	v_credits bigint;
	v_expires_at timestamptz;
	after record;
BEGIN
	SELECT * INTO config FROM bench.settings;
	IF octet_length(payload) > config.max_payload THEN
		RAISE EXCEPTION USING ERRCODE = 'PT413', MESSAGE = 'webhook payload is too large';
	END IF;
	IF bench.is_signed(payload, signature, config.signature_tolerance) IS NOT TRUE THEN
		RAISE EXCEPTION USING ERRCODE = 'PT400', MESSAGE = 'webhook signature verification failed';
	END IF;

	event := payload::jsonb;
	v_event_id := event ->> 'id';
	IF event ->> 'object' <> 'event' OR v_event_id !~ '^evt_[A-Za-z0-9_]{1,250}$' THEN
		RAISE EXCEPTION USING ERRCODE = 'PT400', MESSAGE = 'webhook payload is not a Stripe event';
	END IF;
	session := event #> '{data,object}';
	metadata := session -> 'metadata';
	IF event ->> 'type' NOT IN ('checkout.session.completed', 'checkout.session.async_payment_succeeded')
		OR (event -> 'livemode')::boolean <> (config.mode = 'live')
		OR session ->> 'mode' <> 'payment'
		OR metadata ->> 'stripe_credit_install' <> config.install_id::text
		OR (event ? 'account' AND event ->> 'account' <> ALL (config.connected_accounts))
	THEN
		RETURN jsonb_build_object('ok', true, 'event', v_event_id, 'status', 'ignored');
	END IF;

	v_payment_id := coalesce(session ->> 'payment_intent', session ->> 'id');
	v_account_id := coalesce(nullif(metadata ->> 'stripe_credit_account', ''),
							 nullif(session ->> 'client_reference_id', ''));
	v_created := to_timestamp((event -> 'created')::bigint);
	v_subtotal := (session -> 'amount_subtotal')::bigint;
	v_currency := session ->> 'currency';
	SELECT * INTO v_pack FROM bench.pack p WHERE p.pack_id = metadata ->> 'stripe_credit_pack';
	IF session ->> 'payment_status' NOT IN ('paid', 'no_payment_required') OR v_account_id IS NULL
		OR v_pack.pack_id IS NULL OR v_currency <> v_pack.currency OR v_subtotal % v_pack.unit_amount <> 0
	THEN
		INSERT INTO bench.event (event_id, type, created, livemode, status, reason, payment_id, payload)
		VALUES (v_event_id, event ->> 'type', v_created, (event -> 'livemode')::boolean, 'unmatched', 'terms',
				v_payment_id, payload)
		ON CONFLICT (event_id) DO NOTHING;
		RETURN jsonb_build_object('ok', true, 'event', v_event_id, 'status', 'unmatched');
	END IF;
	v_credits := v_pack.credits * (v_subtotal / v_pack.unit_amount);
	v_expires_at := coalesce(v_created + v_pack.expires_after, 'infinity');

	INSERT INTO bench.event (event_id, type, created, livemode, status, payment_id)
	VALUES (v_event_id, event ->> 'type', v_created, (event -> 'livemode')::boolean, 'applied', v_payment_id)
	ON CONFLICT (event_id) DO NOTHING;
	IF NOT FOUND THEN
		RETURN jsonb_build_object('ok', true, 'event', v_event_id, 'status', 'duplicate');
	END IF;

	INSERT INTO bench.payment (payment_id, livemode, connected_account, session_id, customer_id, payment_link,
		amount, currency, paid, paid_at, account_rank, account_id, account_from, credits_rank, credits, pack_id,
		terms, priority, expires_after, posted, posted_to)
	VALUES (v_payment_id, (event -> 'livemode')::boolean, event ->> 'account', session ->> 'id',
		session ->> 'customer', session ->> 'payment_link', (session -> 'amount_total')::bigint, v_currency,
		true, v_created, 2, v_account_id, 'metadata', 2, v_credits, v_pack.pack_id,
		format('pack=%s subtotal=%s currency=%s', v_pack.pack_id, v_subtotal, v_currency),
		v_pack.priority, v_pack.expires_after, v_credits, v_account_id)
	ON CONFLICT (payment_id) DO NOTHING;
	IF NOT FOUND THEN
		RETURN jsonb_build_object('ok', true, 'event', v_event_id, 'status', 'duplicate');
	END IF;

	INSERT INTO bench.account AS a (account_id, balance, seq, next_expiry)
	VALUES (v_account_id, v_credits, 1, v_expires_at)
	ON CONFLICT (account_id) DO UPDATE SET balance = a.balance + v_credits, seq = a.seq + 1,
		floor = least(0, a.balance + v_credits - a.held), next_expiry = least(a.next_expiry, v_expires_at)
	RETURNING balance, held, seq INTO after;

	INSERT INTO bench.ledger (account_id, seq, kind, credits, balance, payment_id, lot_id)
	VALUES (v_account_id, after.seq, 'purchase', v_credits, after.balance, v_payment_id, after.seq);

	INSERT INTO bench.lot (account_id, lot_id, payment_id, priority, expires_at, granted, remaining)
	VALUES (v_account_id, after.seq, v_payment_id, v_pack.priority, v_expires_at, v_credits,
			greatest(0, least(v_credits, after.balance - after.held)));

	RETURN jsonb_build_object('ok', true, 'event', v_event_id, 'status', 'applied', 'payment', v_payment_id,
							  'account', v_account_id, 'credits', v_credits);
END
$$;
