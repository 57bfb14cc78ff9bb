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

-- Of the payment of a session or intent: its charge, refunds and disputes.  The
-- first name is the event's (and the refund's or dispute's), the second the payment's.
CREATE FUNCTION t.charge(name text, payment text, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'charge.succeeded', jsonb_build_object(
		'id', 'ch_' || payment, 'object', 'charge', 'amount', 1000, 'amount_captured', 1000, 'amount_refunded', 0,
		'currency', 'usd', 'captured', true, 'paid', true, 'status', 'succeeded', 'refunded', false,
		'payment_intent', 'pi_' || payment, 'created', t.created(), 'metadata', '{}'::jsonb, 'livemode', false)
		|| object, envelope)
$$;

CREATE FUNCTION t.refunded(name text, payment text, amount_refunded bigint, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}')
	RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.charge(name, payment, jsonb_build_object('amount_refunded', amount_refunded,
		'refunded', amount_refunded >= 1000) || object, '{"type": "charge.refunded"}' || envelope)
$$;

CREATE FUNCTION t.refund(name text, payment text, amount bigint, status text DEFAULT 'succeeded', object jsonb DEFAULT '{}',
		envelope jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'refund.created', jsonb_build_object(
		'id', 're_' || name, 'object', 'refund', 'amount', amount, 'currency', 'usd', 'status', status,
		'charge', 'ch_' || payment, 'payment_intent', 'pi_' || payment, 'created', t.created(),
		'reason', NULL, 'metadata', '{}'::jsonb) || object, envelope)
$$;

CREATE FUNCTION t.dispute(name text, payment text, status text, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}')
	RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'charge.dispute.updated', jsonb_build_object(
		'id', 'dp_' || payment, 'object', 'dispute', 'amount', 1000, 'currency', 'usd', 'status', status,
		'charge', 'ch_' || payment, 'payment_intent', 'pi_' || payment, 'balance_transactions', '[]'::jsonb,
		'created', t.created(), 'reason', 'fraudulent', 'metadata', '{}'::jsonb, 'livemode', false) || object, envelope)
$$;

-- A subscription's session, its invoices, and what says which payment intent paid one.
CREATE FUNCTION t.subscription(name text, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.session(name, jsonb_build_object('mode', 'subscription', 'subscription', 'sub_' || name,
		'payment_intent', NULL) || object, envelope)
$$;

CREATE FUNCTION t.line(name text, price text DEFAULT 'price_t', amount bigint DEFAULT 1000, object jsonb DEFAULT '{}')
	RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('id', 'il_' || name, 'object', 'line_item', 'amount', amount, 'currency', 'usd',
		'quantity', 1, 'discountable', true, 'metadata', '{}'::jsonb,
		'period', jsonb_build_object('start', t.created(), 'end', t.created() + 2592000),
		'parent', jsonb_build_object('type', 'subscription_item_details', 'invoice_item_details', NULL,
			'subscription_item_details', jsonb_build_object('proration', false, 'subscription_item', 'si_' || name)),
		'pricing', jsonb_build_object('type', 'price_details', 'price_details', jsonb_build_object('price', price))) || object
$$;

CREATE FUNCTION t.invoice(name text, subscription text, lines jsonb, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}',
		metadata jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'invoice.paid', jsonb_build_object(
		'id', 'in_' || name, 'object', 'invoice', 'status', 'paid', 'billing_reason', 'subscription_cycle',
		'currency', 'usd', 'amount_due', 1000, 'amount_paid', 1000, 'customer', 'cus_' || subscription,
		'parent', jsonb_build_object('type', 'subscription_details', 'subscription_details',
			jsonb_build_object('subscription', 'sub_' || subscription, 'metadata', metadata)),
		'lines', jsonb_build_object('object', 'list', 'has_more', false, 'data', lines),
		'metadata', '{}'::jsonb, 'livemode', false) || object, envelope)
$$;

-- The same as before 2025-03-31.
CREATE FUNCTION t.old_line(name text, price text DEFAULT 'price_t', amount bigint DEFAULT 1000, object jsonb DEFAULT '{}')
	RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('id', 'il_' || name, 'object', 'line_item', 'amount', amount, 'currency', 'usd',
		'quantity', 1, 'type', 'subscription', 'proration', false, 'metadata', '{}'::jsonb,
		'price', jsonb_build_object('id', price, 'object', 'price', 'unit_amount', amount)) || object
$$;

CREATE FUNCTION t.old_invoice(name text, subscription text, lines jsonb, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}',
		metadata jsonb DEFAULT '{}') RETURNS jsonb
	LANGUAGE sql IMMUTABLE AS $$
	SELECT t.invoice(name, subscription, lines, '{"parent": null}'::jsonb || jsonb_build_object(
		'subscription', 'sub_' || subscription, 'payment_intent', 'pi_' || name, 'charge', 'ch_' || name,
		'subscription_details', jsonb_build_object('metadata', metadata)) || object,
		'{"api_version": "2020-08-27"}' || envelope)
$$;

CREATE FUNCTION t.invoice_payment(name text, invoice text, payment text, object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}')
	RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.event(name, 'invoice_payment.paid', jsonb_build_object(
		'id', 'inpay_' || name, 'object', 'invoice_payment', 'status', 'paid', 'amount_paid', 1000,
		'invoice', 'in_' || invoice, 'currency', 'usd', 'livemode', false,
		'payment', jsonb_build_object('type', 'payment_intent', 'payment_intent', 'pi_' || payment)) || object, envelope)
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

-- Whole lives.  A $ in their events stands for the life's name, which is its
-- account's too: what each event came to, and then the account's entries.
CREATE FUNCTION t.told(who text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(string_agg(kind || ' ' || credits, ', ' ORDER BY seq) || ' = ' || sum(credits), 'nothing')
	FROM stripe_credit.ledger WHERE account_id = who
$$;

CREATE FUNCTION t.story(name text, VARIADIC events jsonb[]) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	event jsonb;
	answer jsonb;
	answers text[];
BEGIN
	FOREACH event IN ARRAY events LOOP
		answer := t.post(replace(event::text, '$', name));
		answers := answers || concat_ws(' ', answer->>'status', '(' || (answer->>'reason') || ')', answer->>'credits');
	END LOOP;
	RETURN array_to_string(answers, ', ') || ': ' || t.told(name);
END
$$;

-- The same events in every order, each to a life of its own: how these end.
CREATE FUNCTION t.orders(name text, VARIADIC events jsonb[]) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	i integer;
	life text;
	lives text[];
	turns integer[];
BEGIN
	FOR turns IN
		WITH RECURSIVE chosen (places) AS (
			SELECT '{}'::integer[]
			UNION ALL
			SELECT places || n FROM chosen, generate_series(1, cardinality(events)) AS n WHERE n <> ALL (places))
		SELECT c.places FROM chosen c WHERE cardinality(c.places) = cardinality(events) ORDER BY 1
	LOOP
		life := name || lpad((coalesce(cardinality(lives), 0) + 1)::text, 3, '0');
		lives := lives || life;
		FOREACH i IN ARRAY turns LOOP
			PERFORM t.post(replace(events[i]::text, '$', life));
		END LOOP;
	END LOOP;
	RETURN (SELECT string_agg(format('%s orders: %s credits, %s waiting', e.lives, e.balance, e.waiting), '; '
							  ORDER BY e.balance, e.waiting)
			FROM (SELECT count(*) AS lives, b.balance, w.waiting
				  FROM unnest(lives) AS l (life), stripe_credit.balance(l.life) b,
					   LATERAL (SELECT count(*) AS waiting FROM t.waiting() WHERE starts_with(event_id, 'evt_' || l.life)) w
				  GROUP BY b.balance, w.waiting) e);
END
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
