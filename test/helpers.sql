\set ECHO none
-- What the regression tests share: a fresh extension, and a schema t of tools.
-- Whoever brings it in drops both at its end.  Times in events are fixed
-- (t.created()), so that nothing that is printed depends on the clock.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS stripe_credit CASCADE;
DROP SCHEMA IF EXISTS stripe_credit CASCADE;
DROP SCHEMA IF EXISTS t CASCADE;
CREATE EXTENSION stripe_credit;
CREATE SCHEMA t;

-- HMAC-SHA256 by its definition, out of nothing that the extension uses.
CREATE FUNCTION t.hmac(message bytea, secret text) RETURNS text
	LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	key bytea := convert_to(secret, 'UTF8');
	inner_pad bytea;
	outer_pad bytea;
BEGIN
	IF octet_length(key) > 64 THEN
		key := sha256(key);
	END IF;
	key := key || decode(repeat('00', 64 - octet_length(key)), 'hex');
	inner_pad := key;
	outer_pad := key;
	FOR i IN 0..63 LOOP
		inner_pad := set_byte(inner_pad, i, get_byte(key, i) # x'36'::int);
		outer_pad := set_byte(outer_pad, i, get_byte(key, i) # x'5c'::int);
	END LOOP;
	RETURN encode(sha256(outer_pad || sha256(inner_pad || message)), 'hex');
END
$$;

CREATE FUNCTION t.unix_now() RETURNS bigint
	LANGUAGE sql VOLATILE AS 'SELECT floor(extract(epoch FROM clock_timestamp()))::bigint';

-- A Stripe-Signature header.
CREATE FUNCTION t.sign(payload bytea, secret text DEFAULT 'whsec_t', at bigint DEFAULT t.unix_now()) RETURNS text
	LANGUAGE sql VOLATILE AS $$
	SELECT format('t=%s,v1=%s', at, t.hmac(convert_to(at || '.', 'UTF8') || payload, secret))
$$;

-- webhook() with a good signature: what it answers.
CREATE FUNCTION t.post(payload text, secret text DEFAULT 'whsec_t') RETURNS jsonb
	LANGUAGE sql VOLATILE AS $$
	SELECT stripe_credit.webhook(payload, t.sign(convert_to(payload, 'UTF8'), secret))
$$;

-- The same in short: status, reason, payment, account and credits.
CREATE FUNCTION t.deliver(event jsonb) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	answer jsonb := t.post(event::text);
BEGIN
	IF answer->'ok' <> 'true' OR answer->'event' <> event->'id' THEN
		RAISE EXCEPTION 'not the answer to %: %', event->'id', answer;
	END IF;
	RETURN t.short(answer);
END
$$;

CREATE FUNCTION t.short(answer jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE AS $$
	SELECT concat_ws(' ', answer->>'status', '(' || (answer->>'reason') || ')',
		answer->>'payment', answer->>'account', answer->>'credits')
$$;

-- What a statement returns, or how it fails.
CREATE FUNCTION t.try(statement text) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	result text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE || ' ' || message, nullif(detail, ''), nullif(hint, ''));
END
$$;

-- Its SQLSTATE only.
CREATE FUNCTION t.state(statement text) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;

-- Until a moment has come; gives up after a minute.
CREATE FUNCTION t.await(moment timestamptz) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + '1 min';
BEGIN
	WHILE clock_timestamp() <= moment AND clock_timestamp() < deadline LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN clock_timestamp() > moment;
END
$$;

-- Events.  A name stands for the ids of the event and its objects: evt_NAME,
-- cs_test_NAME, pi_NAME.  What is passed replaces the defaults.
CREATE FUNCTION t.created() RETURNS bigint
	LANGUAGE sql IMMUTABLE AS 'SELECT 1700000000::bigint';	-- 2023-11-14 22:13:20 UTC

CREATE FUNCTION t.event(name text, type text, object jsonb, envelope jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('id', 'evt_' || name, 'object', 'event', 'type', type,
		'api_version', '2026-10-28.endive', 'created', t.created(), 'livemode', false,
		'pending_webhooks', 1, 'request', jsonb_build_object('id', NULL, 'idempotency_key', NULL),
		'data', jsonb_build_object('object', object)) || envelope
$$;

CREATE FUNCTION t.session(name text, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'checkout.session.completed', jsonb_build_object(
		'id', 'cs_test_' || name, 'object', 'checkout.session', 'mode', 'payment',
		'status', 'complete', 'payment_status', 'paid', 'payment_intent', 'pi_' || name,
		'client_reference_id', NULL, 'customer', NULL, 'customer_email', NULL,
		'customer_details', jsonb_build_object('email', 'Buyer@Example.com', 'name', NULL),
		'payment_link', NULL, 'currency', 'usd', 'amount_subtotal', 1000, 'amount_total', 1000,
		'total_details', jsonb_build_object('amount_discount', 0, 'amount_shipping', 0, 'amount_tax', 0),
		'metadata', '{}'::jsonb, 'livemode', false) || object, envelope)
$$;

CREATE FUNCTION t.intent(name text, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'payment_intent.succeeded', jsonb_build_object(
		'id', 'pi_' || name, 'object', 'payment_intent', 'status', 'succeeded', 'amount', 1000,
		'amount_received', 1000, 'currency', 'usd', 'customer', NULL, 'latest_charge', 'ch_' || name,
		'metadata', '{}'::jsonb, 'livemode', false) || object, envelope)
$$;

-- Our metadata on a session or a payment intent.
CREATE FUNCTION t.meta(account text DEFAULT NULL, pack text DEFAULT NULL, credits text DEFAULT NULL,
		quantity text DEFAULT NULL) RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('metadata', jsonb_strip_nulls(jsonb_build_object(
		'stripe_credit_account', account, 'stripe_credit_pack', pack,
		'stripe_credit_credits', credits, 'stripe_credit_quantity', quantity)))
$$;

-- The books in short.
CREATE FUNCTION t.entries(VARIADIC accounts text[] DEFAULT NULL)
	RETURNS TABLE (account_id text, seq bigint, kind text, credits bigint, balance bigint, payment_id text)
	LANGUAGE sql VOLATILE AS $$
	SELECT account_id, seq, kind, credits, balance, payment_id FROM stripe_credit.ledger
	WHERE accounts IS NULL OR account_id = ANY (accounts) ORDER BY account_id, seq
$$;
-- Lots as they are: what is left of an account's head lot stands in its own row.
CREATE FUNCTION t.lots() RETURNS TABLE (account_id text, lot_id bigint, payment_id text, priority integer,
		expires_at timestamptz, granted bigint, remaining bigint, expired bigint, written_off bigint, reversed_expired bigint)
	LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT l.account_id, l.lot_id, l.payment_id, l.priority, l.expires_at, l.granted,
		CASE l.lot_id WHEN a.head_lot THEN a.head_remaining ELSE l.remaining END, l.expired, l.written_off, l.reversed_expired
		FROM stripe_credit.lot l JOIN stripe_credit.account a USING (account_id);
END
$$;
CREATE FUNCTION t.waiting() RETURNS TABLE (event_id text, status text, reason text, payment_id text, payload boolean, facts boolean)
	LANGUAGE sql VOLATILE AS $$
	SELECT event_id, status, reason, payment_id, payload IS NOT NULL, facts IS NOT NULL
	FROM stripe_credit.event WHERE status IN ('pending', 'unmatched') ORDER BY event_id
$$;

-- How many rows there are in all of the extension's tables, and what is in them.
CREATE FUNCTION t.fingerprint() RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	name text;
	part text;
	result text := '';
BEGIN
	FOR name IN SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'stripe_credit'::regnamespace AND c.relkind = 'r' ORDER BY 1
	LOOP
		EXECUTE format('SELECT count(*) || md5(coalesce(string_agg(r::text, chr(10) ORDER BY r::text), %L)) FROM stripe_credit.%I r',
					   '', name) INTO part;
		result := result || ' ' || part;
	END LOOP;
	RETURN result;
END
$$;
\set ECHO all
