/* stripe_credit--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION stripe_credit" to load this file. \quit

----------------------------------------------------------------------
-- Where it can live
--
-- A name with a euro sign could not be delivered to a LATIN1 database, and in
-- a schema that somebody else prepared our names could mean his objects.
----------------------------------------------------------------------

DO $$
DECLARE
	schema_oid pg_catalog.oid := 'stripe_credit'::pg_catalog.regnamespace;
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION USING
			ERRCODE = 'feature_not_supported',
			MESSAGE = 'stripe_credit needs a database whose encoding is UTF8',
			HINT = 'Create the database with ENCODING ''UTF8''.';
	END IF;

	IF (SELECT n.nspowner <> r.oid
		FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r
		WHERE n.oid = schema_oid AND r.rolname = current_user)
	THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = 'schema stripe_credit belongs to somebody else',
			HINT = 'Drop the schema: CREATE EXTENSION makes its own.';
	END IF;

	IF EXISTS (SELECT FROM pg_catalog.pg_depend d
			   WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
				 AND d.refobjid = schema_oid
				 AND NOT (d.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass
						  AND d.objid = (SELECT e.oid FROM pg_catalog.pg_extension e
										 WHERE e.extname = 'stripe_credit')))
	THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = 'schema stripe_credit is not empty',
			HINT = 'Drop the schema: CREATE EXTENSION makes its own.';
	END IF;
END
$$;

----------------------------------------------------------------------
-- What a name may be: accounts, packs and idempotency keys
----------------------------------------------------------------------

CREATE FUNCTION stripe_credit.is_key(key text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'stripe_credit_is_key';
COMMENT ON FUNCTION stripe_credit.is_key(text) IS
	'whether a text can be an account id, a pack id or an idempotency key: 1 to 200 bytes, no control characters, no space at either end';

CREATE FUNCTION stripe_credit.check_key(name text, key text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF stripe_credit.is_key(key) IS NOT TRUE THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s is not valid', name),
			DETAIL = 'It must be 1 to 200 bytes without control characters or a space at either end.';
	END IF;
END
$$;
COMMENT ON FUNCTION stripe_credit.check_key(text, text) IS
	'internal: refuses an argument that can''t be an account id, a pack id or an idempotency key';

----------------------------------------------------------------------
-- Settings
----------------------------------------------------------------------

CREATE TABLE stripe_credit.settings (
	only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
	mode text NOT NULL DEFAULT 'test' CHECK (mode IN ('test', 'live')),
	signature_tolerance interval NOT NULL DEFAULT '300 s'
		CHECK (signature_tolerance >= '1 s' AND signature_tolerance <= '100 years'),
	account_from text[] NOT NULL DEFAULT '{metadata,client_reference_id}'
		CHECK (pg_catalog.cardinality(account_from) > 0
			   AND pg_catalog.array_position(account_from, NULL) IS NULL
			   AND account_from <@ '{metadata,client_reference_id,customer_email,customer_details_email,customer}'::text[]),
	on_overdraw text NOT NULL DEFAULT 'debt' CHECK (on_overdraw IN ('debt', 'clamp')),
	keep_payload text NOT NULL DEFAULT 'unapplied' CHECK (keep_payload IN ('unapplied', 'all', 'none')),
	max_payload integer NOT NULL DEFAULT 1048576 CHECK (max_payload > 0),
	create_accounts boolean NOT NULL DEFAULT true,
	connected_accounts text[] NOT NULL DEFAULT '{}'
		CHECK (pg_catalog.array_position(connected_accounts, NULL) IS NULL),
	success_url text,
	cancel_url text,
	install_id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid()
);
COMMENT ON TABLE stripe_credit.settings IS 'one row: how this database sells credits; in force at once in every session';
COMMENT ON COLUMN stripe_credit.settings.mode IS 'test or live: whose events are turned into credits';
COMMENT ON COLUMN stripe_credit.settings.signature_tolerance IS 'how far the time in a webhook signature may be from ours';
COMMENT ON COLUMN stripe_credit.settings.account_from IS 'where a session says whose the credits are, the first that is there decides';
COMMENT ON COLUMN stripe_credit.settings.on_overdraw IS 'when credits that were already spent are taken back: debt, or clamp at zero';
COMMENT ON COLUMN stripe_credit.settings.keep_payload IS 'which webhook bodies are kept: of events not yet applied, all, or none';
COMMENT ON COLUMN stripe_credit.settings.max_payload IS 'the largest webhook body that is looked at, in octets';
COMMENT ON COLUMN stripe_credit.settings.create_accounts IS 'whether the first credits create their account';
COMMENT ON COLUMN stripe_credit.settings.connected_accounts IS 'the Stripe Connect accounts whose events count; empty: none';
COMMENT ON COLUMN stripe_credit.settings.success_url IS 'where Checkout sends a buyer who paid';
COMMENT ON COLUMN stripe_credit.settings.cancel_url IS 'where Checkout sends a buyer who went back';
COMMENT ON COLUMN stripe_credit.settings.install_id IS 'tells this installation from others in the same Stripe account; change it in a copy that is to live its own life';

-- Tells every session's cache that what it holds of this table is out of date.
CREATE FUNCTION stripe_credit.settings_changed() RETURNS trigger
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'stripe_credit_settings_changed';
COMMENT ON FUNCTION stripe_credit.settings_changed() IS 'internal: tells all sessions that settings or secrets have changed';

CREATE TRIGGER settings_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON stripe_credit.settings
	FOR EACH STATEMENT EXECUTE FUNCTION stripe_credit.settings_changed();
ALTER TABLE stripe_credit.settings ENABLE ALWAYS TRIGGER settings_changed;

-- A restored dump brings its own row, which takes the place of the fresh one.
CREATE FUNCTION stripe_credit.settings_replace() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM stripe_credit.settings s WHERE s.only_row;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION stripe_credit.settings_replace() IS 'internal: a new row of settings replaces the old one';

CREATE TRIGGER settings_replace
	BEFORE INSERT ON stripe_credit.settings
	FOR EACH ROW EXECUTE FUNCTION stripe_credit.settings_replace();
ALTER TABLE stripe_credit.settings ENABLE ALWAYS TRIGGER settings_replace;

INSERT INTO stripe_credit.settings DEFAULT VALUES;

----------------------------------------------------------------------
-- Secrets: never dumped
----------------------------------------------------------------------

CREATE TABLE stripe_credit.webhook_secret (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	secret text NOT NULL,
	valid_until timestamptz NOT NULL DEFAULT 'infinity',
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
-- What ANALYZE samples would stand in pg_statistic.
ALTER TABLE stripe_credit.webhook_secret ALTER COLUMN secret SET STATISTICS 0;
COMMENT ON TABLE stripe_credit.webhook_secret IS 'signing secrets of webhook endpoints, or references to them; never dumped';
COMMENT ON COLUMN stripe_credit.webhook_secret.secret IS 'file:, env: or vault: reference, or the secret itself';

CREATE TRIGGER settings_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON stripe_credit.webhook_secret
	FOR EACH STATEMENT EXECUTE FUNCTION stripe_credit.settings_changed();
ALTER TABLE stripe_credit.webhook_secret ENABLE ALWAYS TRIGGER settings_changed;

CREATE FUNCTION stripe_credit.add_webhook_secret(secret text, valid_until timestamptz DEFAULT 'infinity')
	RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_add_webhook_secret';
COMMENT ON FUNCTION stripe_credit.add_webhook_secret(text, timestamptz) IS
	'adds the signing secret of a webhook endpoint, or a file:, env: or vault: reference to it; several may be valid at once';

CREATE FUNCTION stripe_credit.remove_webhook_secret(id integer) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_remove_webhook_secret';
COMMENT ON FUNCTION stripe_credit.remove_webhook_secret(integer) IS 'removes a webhook secret by the id that add_webhook_secret returned';

CREATE TABLE stripe_credit.api_key (
	livemode boolean PRIMARY KEY,
	secret text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
ALTER TABLE stripe_credit.api_key ALTER COLUMN secret SET STATISTICS 0;
COMMENT ON TABLE stripe_credit.api_key IS 'Stripe''s API keys, one per mode, or references to them; never dumped';
COMMENT ON COLUMN stripe_credit.api_key.secret IS 'file:, env: or vault: reference, or the key itself';

CREATE FUNCTION stripe_credit.set_api_key(secret text) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_set_api_key';
COMMENT ON FUNCTION stripe_credit.set_api_key(text) IS
	'sets the API key of the mode that its prefix names, or a file:, env: or vault: reference to it';

----------------------------------------------------------------------
-- Catalogue
----------------------------------------------------------------------

CREATE TABLE stripe_credit.pack (
	pack_id text COLLATE "C" PRIMARY KEY CHECK (stripe_credit.is_key(pack_id)),
	name text,
	credits bigint NOT NULL CHECK (credits > 0),
	unit_amount bigint CHECK (unit_amount > 0),
	currency text COLLATE "C" CHECK (currency ~ '^[a-z]{3}$'),
	price_id text COLLATE "C",
	recurring_interval text CHECK (recurring_interval IN ('day', 'week', 'month', 'year')),
	expires_after interval CHECK (expires_after > '0' AND expires_after <= '1000 years'),
	priority integer,
	active boolean NOT NULL DEFAULT true,
	CHECK ((unit_amount IS NULL) = (currency IS NULL)),
	CHECK (unit_amount IS NOT NULL OR price_id IS NOT NULL)
);
COMMENT ON TABLE stripe_credit.pack IS 'what can be bought: credits for a price';
COMMENT ON COLUMN stripe_credit.pack.credits IS 'credits per unit';
COMMENT ON COLUMN stripe_credit.pack.unit_amount IS 'price per unit, in minor units of the currency';
COMMENT ON COLUMN stripe_credit.pack.price_id IS 'a Stripe Price instead of an inline price';
COMMENT ON COLUMN stripe_credit.pack.expires_after IS 'how long after the payment its credits expire; NULL: never';
COMMENT ON COLUMN stripe_credit.pack.priority IS 'lower numbers are spent first; NULL: last';

CREATE TABLE stripe_credit.rate (
	currency text COLLATE "C" PRIMARY KEY CHECK (currency ~ '^[a-z]{3}$'),
	credits bigint NOT NULL CHECK (credits > 0),
	per_amount bigint NOT NULL CHECK (per_amount > 0)
);
COMMENT ON TABLE stripe_credit.rate IS 'credits per minor units of a currency, for Checkout Sessions that name no pack';

CREATE TABLE stripe_credit.payment_link (
	payment_link text COLLATE "C" PRIMARY KEY,
	pack_id text COLLATE "C" NOT NULL
);
COMMENT ON TABLE stripe_credit.payment_link IS 'which pack a Stripe Payment Link (plink_...) sells';

----------------------------------------------------------------------
-- The books
--
-- PostgreSQL reads a CHECK again from its stored text in every statement that
-- writes to the table, which costs more than the row.  So the tables of the
-- books check what keeps money right under concurrency, and what an owner may
-- write by hand; the rest of what must hold of them is proved by check_books(),
-- and nobody but our functions writes it.
----------------------------------------------------------------------

-- Within a function, since that is a third of what is to be read of an expression.
CREATE FUNCTION stripe_credit.account_is_sound(account_id text, balance bigint, held bigint, floor bigint)
	RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'stripe_credit_account_is_sound';
COMMENT ON FUNCTION stripe_credit.account_is_sound(text, bigint, bigint, bigint) IS
	'internal: is_key(account_id) AND floor <= 0 AND balance - held >= floor';

-- The one mutable balance.  Every key begins with account_id, no trigger and
-- no sequence stands on what spending touches, and only account_id is indexed,
-- so that updates stay heap-only.
--
-- The lot that is spent next is kept here, so that a spend needs no other row:
-- while head_lot names a lot, head_remaining is what is left of it, and the
-- lot's own row says only what was left when it became the head.
CREATE TABLE stripe_credit.account (
	account_id text COLLATE "C" PRIMARY KEY,
	balance bigint NOT NULL DEFAULT 0,
	held bigint NOT NULL DEFAULT 0,
	floor bigint NOT NULL DEFAULT 0,
	seq bigint NOT NULL DEFAULT 0,
	head_remaining bigint NOT NULL DEFAULT 0,
	head_lot bigint,
	next_expiry timestamptz NOT NULL DEFAULT 'infinity',
	hold_expiry timestamptz,
	low_balance bigint,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT account_is_sound CHECK (stripe_credit.account_is_sound(account_id, balance, held, floor))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE stripe_credit.account IS 'who owns credits, and how many';
COMMENT ON COLUMN stripe_credit.account.balance IS 'sum of the account''s ledger';
COMMENT ON COLUMN stripe_credit.account.held IS 'credits reserved by open holds';
COMMENT ON COLUMN stripe_credit.account.floor IS 'how far below zero reversals and adjustments have pushed what is available';
COMMENT ON COLUMN stripe_credit.account.seq IS 'number of the last ledger entry';
COMMENT ON COLUMN stripe_credit.account.head_remaining IS 'what is left of the head lot';
COMMENT ON COLUMN stripe_credit.account.head_lot IS 'the lot that is spent next';
COMMENT ON COLUMN stripe_credit.account.next_expiry IS 'none of its lots expires before';
COMMENT ON COLUMN stripe_credit.account.hold_expiry IS 'none of its open holds expires before; NULL: it never had a hold';
COMMENT ON COLUMN stripe_credit.account.low_balance IS
	'NOTIFY stripe_credit_low_balance when what is available falls below; NULL: never';

CREATE TABLE stripe_credit.ledger (
	account_id text COLLATE "C" NOT NULL,
	seq bigint NOT NULL,
	kind text COLLATE "C" NOT NULL,
	credits bigint NOT NULL,
	balance bigint NOT NULL,
	idempotency_key text COLLATE "C",
	payment_id text COLLATE "C",
	lot_id bigint,
	lots bigint[],
	taken bigint[],
	reverses bigint NOT NULL DEFAULT 0,
	metadata jsonb,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (account_id, seq)
);
-- A key is used once, and what used it is reversed once.  Not partial: to skip
-- the entries without a key would cost more than to index them.
CREATE UNIQUE INDEX ledger_idempotency_key ON stripe_credit.ledger (account_id, idempotency_key, reverses);
COMMENT ON TABLE stripe_credit.ledger IS 'append-only entries of each account, numbered from 1';
COMMENT ON COLUMN stripe_credit.ledger.kind IS 'purchase, grant, spend, capture, reversal, reinstatement, expiry, write_off, adjustment or spend_reversal';
COMMENT ON COLUMN stripe_credit.ledger.credits IS 'plus or minus';
COMMENT ON COLUMN stripe_credit.ledger.balance IS 'the account''s balance after the entry';
COMMENT ON COLUMN stripe_credit.ledger.idempotency_key IS 'the caller''s key, unique within the account; of a capture the hold''s, of a spend_reversal the spend''s; NULL for postings of payments';
COMMENT ON COLUMN stripe_credit.ledger.lot_id IS 'the lot that the entry made, reversed or expired, or spent from if it is one';
COMMENT ON COLUMN stripe_credit.ledger.lots IS 'the lots that a spend or capture took from, where they are several';
COMMENT ON COLUMN stripe_credit.ledger.taken IS 'how many credits it took from each of lots';
COMMENT ON COLUMN stripe_credit.ledger.reverses IS 'the seq of the entry that a spend_reversal undoes; 0: none';

CREATE TABLE stripe_credit.lot (
	account_id text COLLATE "C" NOT NULL,
	lot_id bigint NOT NULL,
	payment_id text COLLATE "C",
	priority integer,
	expires_at timestamptz NOT NULL DEFAULT 'infinity',
	granted bigint NOT NULL,
	remaining bigint NOT NULL CHECK (remaining >= 0),
	expired bigint NOT NULL DEFAULT 0,
	written_off bigint NOT NULL DEFAULT 0,
	reversed_expired bigint NOT NULL DEFAULT 0,
	first_lot bigint,
	reversed_lots bigint[],
	reversed_credits bigint[],
	PRIMARY KEY (account_id, lot_id)
);
-- The spending order, an account's next expiry, and what maintain() looks for.
CREATE INDEX lot_order ON stripe_credit.lot
	(account_id, priority, expires_at, (payment_id IS NOT NULL), lot_id)
	WHERE remaining > 0;
CREATE INDEX lot_account_expiry ON stripe_credit.lot (account_id, expires_at)
	WHERE remaining > 0 AND expires_at < 'infinity';
CREATE INDEX lot_expiry ON stripe_credit.lot (expires_at)
	WHERE remaining > 0 AND expires_at < 'infinity';
COMMENT ON TABLE stripe_credit.lot IS 'credits that came together: they expire together, have one priority, and are taken back together';
COMMENT ON COLUMN stripe_credit.lot.lot_id IS 'the seq of the ledger entry that brought it';
COMMENT ON COLUMN stripe_credit.lot.payment_id IS 'the payment that brought it; NULL: promotional';
COMMENT ON COLUMN stripe_credit.lot.granted IS 'credits that it brought, or that came back to it, without those that were taken back of it';
COMMENT ON COLUMN stripe_credit.lot.remaining IS 'credits that can still be spent; of the account''s head_lot see head_remaining';
COMMENT ON COLUMN stripe_credit.lot.expired IS 'credits that expired unspent';
COMMENT ON COLUMN stripe_credit.lot.written_off IS 'of a purchase''s first lot: credits that were taken back though they were spent, and are owed by nobody';
COMMENT ON COLUMN stripe_credit.lot.reversed_expired IS 'credits taken back that had expired, for which the ledger has no entry';
COMMENT ON COLUMN stripe_credit.lot.first_lot IS 'of an invoice with several lines: the first lot that it brought; NULL: that is itself';
COMMENT ON COLUMN stripe_credit.lot.reversed_lots IS 'of a payment''s first lot: the lots that its reversals took credits from, in that order, so that what is given back returns there';
COMMENT ON COLUMN stripe_credit.lot.reversed_credits IS 'how many credits they took from each of reversed_lots';

CREATE TABLE stripe_credit.hold (
	account_id text COLLATE "C" NOT NULL,
	idempotency_key text COLLATE "C" NOT NULL,
	credits bigint NOT NULL,
	captured bigint NOT NULL DEFAULT 0,
	state text COLLATE "C" NOT NULL DEFAULT 'open',
	expires_at timestamptz NOT NULL,
	lots bigint[] NOT NULL,
	taken bigint[] NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	closed_at timestamptz,
	PRIMARY KEY (account_id, idempotency_key)
);
CREATE INDEX hold_open ON stripe_credit.hold (account_id, expires_at) WHERE state = 'open';
COMMENT ON TABLE stripe_credit.hold IS 'credits that were reserved, and what became of them';
COMMENT ON COLUMN stripe_credit.hold.captured IS 'how many of them were spent';
COMMENT ON COLUMN stripe_credit.hold.state IS 'open, captured, released or expired; an open one that is past expires_at has expired too';
COMMENT ON COLUMN stripe_credit.hold.lots IS 'the lots that the credits were taken out of';
COMMENT ON COLUMN stripe_credit.hold.taken IS 'how many credits were taken out of each';

CREATE TABLE stripe_credit.event (
	event_id text COLLATE "C" PRIMARY KEY,
	type text NOT NULL,
	created timestamptz,
	livemode boolean,
	status text COLLATE "C" NOT NULL,
	reason text COLLATE "C",
	payment_id text COLLATE "C",
	payload text,
	facts text,
	received_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	tried_at timestamptz
);
CREATE INDEX event_waiting ON stripe_credit.event (payment_id)
	WHERE status IN ('pending', 'unmatched');
CREATE INDEX event_turn ON stripe_credit.event (tried_at NULLS FIRST, received_at)
	WHERE status IN ('pending', 'unmatched');
CREATE INDEX event_received ON stripe_credit.event USING brin (received_at);
COMMENT ON TABLE stripe_credit.event IS 'webhook events that concern us, by Stripe''s id';
COMMENT ON COLUMN stripe_credit.event.created IS 'when it happened, by Stripe''s clock';
COMMENT ON COLUMN stripe_credit.event.status IS 'applied, duplicate, pending or unmatched';
COMMENT ON COLUMN stripe_credit.event.reason IS 'what an event that is not applied lacks: payment, subscription, unpaid, account, pack, ...';
COMMENT ON COLUMN stripe_credit.event.payload IS 'the body as it came, where settings.keep_payload keeps it';
COMMENT ON COLUMN stripe_credit.event.facts IS 'the fields that we read, as JSON, where an event waits without its payload';
COMMENT ON COLUMN stripe_credit.event.tried_at IS 'when maintain() last tried to apply it';

CREATE TABLE stripe_credit.payment (
	payment_id text COLLATE "C" PRIMARY KEY,
	livemode boolean NOT NULL,
	connected_account text COLLATE "C",
	session_id text COLLATE "C",
	subscription_id text COLLATE "C",
	customer_id text COLLATE "C",
	payment_link text COLLATE "C",
	amount bigint,
	currency text COLLATE "C",
	paid boolean NOT NULL DEFAULT false,
	paid_at timestamptz,
	failed_at timestamptz,
	expired_at timestamptz,
	account_rank smallint,
	account_id text COLLATE "C",
	account_from text COLLATE "C",
	credits_rank smallint,
	credits bigint,
	pack_id text COLLATE "C",
	terms text COLLATE "C",
	priority integer,
	expires_after interval,
	details jsonb,
	posted bigint NOT NULL DEFAULT 0,
	posted_to text COLLATE "C",
	posted_as text COLLATE "C",
	same_as text COLLATE "C",
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
-- A session is paid for once, whatever its events call the payment.
CREATE UNIQUE INDEX payment_session ON stripe_credit.payment (session_id)
	WHERE session_id IS NOT NULL AND subscription_id IS NULL;
CREATE INDEX payment_subscription ON stripe_credit.payment (subscription_id)
	WHERE subscription_id IS NOT NULL;
CREATE INDEX payment_same_as ON stripe_credit.payment (same_as) WHERE same_as IS NOT NULL;
-- Refunds, disputes and links of payments that were never heard of: see maintain().
CREATE INDEX payment_unheard ON stripe_credit.payment (created_at)
	WHERE NOT paid AND session_id IS NULL AND same_as IS NULL;
COMMENT ON TABLE stripe_credit.payment IS 'what is known of each thing that was paid for, gathered from events';
COMMENT ON COLUMN stripe_credit.payment.payment_id IS 'in_... of an invoice, pi_..., cs_... when nothing had to be paid, sub_... for what a subscription session says, or the event that a person resolved';
COMMENT ON COLUMN stripe_credit.payment.amount IS 'what the session, payment intent or invoice came to, in minor units; of a subscription what a unit was sold for';
COMMENT ON COLUMN stripe_credit.payment.paid_at IS 'the earliest event that says paid, by Stripe''s clock';
COMMENT ON COLUMN stripe_credit.payment.failed_at IS 'when a delayed payment failed';
COMMENT ON COLUMN stripe_credit.payment.expired_at IS 'when its session expired unpaid';
COMMENT ON COLUMN stripe_credit.payment.account_rank IS 'who says whose it is: 1 a person, 3 the session, 4 metadata of the payment intent or subscription';
COMMENT ON COLUMN stripe_credit.payment.account_from IS 'the field that named the account';
COMMENT ON COLUMN stripe_credit.payment.credits_rank IS 'who says how much: 1 a person, 2 the price of an invoice''s line, 3 metadata of the session, 4 of the payment intent or subscription, 5 the payment link, 6 the rate, 7 the lines of the invoice together';
COMMENT ON COLUMN stripe_credit.payment.credits IS 'what it is worth in whole; of a subscription what a unit is worth, 0 if its pack says so';
COMMENT ON COLUMN stripe_credit.payment.terms IS 'what the credits were computed from; the same terms are never computed again';
COMMENT ON COLUMN stripe_credit.payment.details IS 'its charges, refunds, disputes, their balance transactions, and the lines of an invoice; times in seconds since 1970';
COMMENT ON COLUMN stripe_credit.payment.posted IS 'credits that the ledger holds for it';
COMMENT ON COLUMN stripe_credit.payment.posted_to IS 'the account that they were posted to; it never changes';
COMMENT ON COLUMN stripe_credit.payment.posted_as IS 'the name that the ledger and its lots have it under, if that is another of its names';
COMMENT ON COLUMN stripe_credit.payment.same_as IS 'this is but a name of another payment, whose row holds what is known';

----------------------------------------------------------------------
-- Money in
----------------------------------------------------------------------

CREATE FUNCTION stripe_credit.verify_signature(payload bytea, signature text, secret text,
		tolerance interval DEFAULT '300 s', at timestamptz DEFAULT pg_catalog.clock_timestamp())
	RETURNS text
	LANGUAGE c VOLATILE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'stripe_credit_verify_signature';
COMMENT ON FUNCTION stripe_credit.verify_signature(bytea, text, text, interval, timestamptz) IS
	'valid, malformed, mismatch, expired or future: what a Stripe-Signature header is worth';

CREATE FUNCTION stripe_credit.webhook(payload text, signature text) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_webhook';
COMMENT ON FUNCTION stripe_credit.webhook(text, text) IS
	'takes a webhook''s raw body and its Stripe-Signature header; credits what was paid, exactly once';

CREATE FUNCTION stripe_credit.webhook_bytes(payload bytea, signature text) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_webhook';
COMMENT ON FUNCTION stripe_credit.webhook_bytes(bytea, text) IS
	'webhook() for drivers that hand over the raw body as bytes';

CREATE FUNCTION stripe_credit.replay_kept(event_id text) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_replay';
COMMENT ON FUNCTION stripe_credit.replay_kept(text) IS
	'internal: applies an event that waits, from its payload or its facts, as if it were delivered again';

CREATE FUNCTION stripe_credit.resolve(event_id text, account_id text, credits bigint) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_resolve';
COMMENT ON FUNCTION stripe_credit.resolve(text, text, bigint) IS
	'says whose an unmatched event is and how many credits it is worth';

----------------------------------------------------------------------
-- Stripe's API
--
-- What is asked comes before any account is locked; what comes back is applied
-- by the road that webhooks take, so it makes no difference which comes first.
----------------------------------------------------------------------

CREATE FUNCTION stripe_credit.stripe_request(method text, path text, params jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_request';
COMMENT ON FUNCTION stripe_credit.stripe_request(text, text, jsonb, text) IS
	'any request to Stripe''s API, by GET, POST or DELETE: answers the object that Stripe does';

CREATE FUNCTION stripe_credit.stripe_fetch(method text, path text, params jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL,
		OUT body jsonb, OUT answered_at timestamptz)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_fetch';
COMMENT ON FUNCTION stripe_credit.stripe_fetch(text, text, jsonb, text) IS
	'internal: a request to Stripe''s API, whose body is NULL if Stripe has no such object, and when Stripe answered';

CREATE FUNCTION stripe_credit.apply_event(event jsonb) RETURNS jsonb
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_apply_event';
COMMENT ON FUNCTION stripe_credit.apply_event(jsonb) IS
	'internal: applies an event that came from Stripe''s API';

CREATE FUNCTION stripe_credit.apply_object(type text, object jsonb, at timestamptz) RETURNS jsonb
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_apply_object';
COMMENT ON FUNCTION stripe_credit.apply_object(text, jsonb, timestamptz) IS
	'internal: applies what an object of Stripe''s says, as an event of that type and time would';

-- Not one pattern with a count in it, which takes ten times as long.
CREATE FUNCTION stripe_credit.is_stripe_id(prefix text, id text) RETURNS boolean
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN coalesce(starts_with(id, prefix) AND length(id) - length(prefix) BETWEEN 1 AND 250 AND id ~ '^[A-Za-z0-9_]+$', false);
END
$$;
COMMENT ON FUNCTION stripe_credit.is_stripe_id(text, text) IS
	'internal: whether a text is one of Stripe''s ids with that prefix, which can stand in a path';

CREATE TABLE stripe_credit.checkout (
	session_id text COLLATE "C" PRIMARY KEY,
	account_id text COLLATE "C" NOT NULL,
	idempotency_key text COLLATE "C",
	livemode boolean NOT NULL,
	pack_id text COLLATE "C" NOT NULL,
	quantity integer NOT NULL,
	credits bigint NOT NULL,
	amount bigint,
	currency text COLLATE "C",
	url text,
	expires_at timestamptz,
	status text COLLATE "C" NOT NULL DEFAULT 'open',
	request jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE UNIQUE INDEX checkout_idempotency_key ON stripe_credit.checkout (account_id, livemode, idempotency_key)
	WHERE idempotency_key IS NOT NULL;
COMMENT ON TABLE stripe_credit.checkout IS 'the Checkout Sessions that create_checkout() made';
COMMENT ON COLUMN stripe_credit.checkout.credits IS 'what it brings once it is paid; of a subscription each invoice';
COMMENT ON COLUMN stripe_credit.checkout.amount IS 'what the buyer pays, in minor units, before discounts, tax and shipping';
COMMENT ON COLUMN stripe_credit.checkout.status IS 'open, complete or expired, as far as is known';
COMMENT ON COLUMN stripe_credit.checkout.request IS 'the arguments, to tell whether a key is used again for the same';

-- The unit that a pack is sold as, in Stripe's words.
CREATE FUNCTION stripe_credit.line_item(pack stripe_credit.pack, quantity integer) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN jsonb_build_object('quantity', quantity) || CASE
		WHEN pack.price_id IS NOT NULL THEN jsonb_build_object('price', pack.price_id)
		ELSE jsonb_build_object('price_data', jsonb_strip_nulls(jsonb_build_object(
			'currency', pack.currency, 'unit_amount', pack.unit_amount,
			'product_data', jsonb_build_object('name', coalesce(nullif(pack.name, ''), pack.pack_id)),
			'recurring', CASE WHEN pack.recurring_interval IS NOT NULL
				THEN jsonb_build_object('interval', pack.recurring_interval) END))) END;
END
$$;
COMMENT ON FUNCTION stripe_credit.line_item(stripe_credit.pack, integer) IS
	'internal: a pack as a line item of a Checkout Session';

-- The order, which travels with the money.
CREATE FUNCTION stripe_credit.order_metadata(install_id uuid, account_id text, pack stripe_credit.pack, quantity integer) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN jsonb_strip_nulls(jsonb_build_object(
		'stripe_credit_install', install_id::text, 'stripe_credit_account', account_id,
		'stripe_credit_pack', pack.pack_id, 'stripe_credit_credits', pack.credits::text,
		'stripe_credit_quantity', quantity::text,
		'stripe_credit_unit_amount', CASE WHEN pack.recurring_interval IS NOT NULL THEN pack.unit_amount::text END,
		'stripe_credit_currency', CASE WHEN pack.recurring_interval IS NOT NULL THEN pack.currency END));
END
$$;
COMMENT ON FUNCTION stripe_credit.order_metadata(uuid, text, stripe_credit.pack, integer) IS
	'internal: the metadata by which webhooks know what was bought, and by whom';

-- Raises 22023 for what would change whom the money is for, or what for.
CREATE FUNCTION stripe_credit.check_params(params jsonb) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	key text;
BEGIN
	IF params IS NULL OR jsonb_typeof(params) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'params must be a JSON object';
	END IF;
	FOR key IN SELECT jsonb_object_keys(params) LOOP
		IF key !~ '^[a-z0-9_]+$' THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'params must have plain names';
		ELSIF key IN ('line_items', 'mode', 'client_reference_id', 'customer') THEN
			RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
				MESSAGE = 'params must not change what is sold, or to whom',
				DETAIL = format('%s is set by the pack and the account.', key);
		END IF;
	END LOOP;
	IF jsonb_path_exists(params, '$.** ? (@.type() == "object").keyvalue() ? (@.key starts with "stripe_credit_")') THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'params must not change what is sold, or to whom',
			DETAIL = 'Names that begin with stripe_credit_ are taken.';
	END IF;
END
$$;
COMMENT ON FUNCTION stripe_credit.check_params(jsonb) IS
	'internal: refuses params of create_checkout that would change what is sold, or to whom';

-- Objects of b go into those of a, one level deep: metadata beside metadata.
CREATE FUNCTION stripe_credit.merge_params(a jsonb, b jsonb) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (
		SELECT coalesce(jsonb_object_agg(key, CASE
			WHEN jsonb_typeof(a->key) = 'object' AND jsonb_typeof(b->key) = 'object'
				AND jsonb_typeof(a->key->'metadata') = 'object' AND jsonb_typeof(b->key->'metadata') = 'object'
				THEN (b->key) || (a->key) || jsonb_build_object('metadata', (b->key->'metadata') || (a->key->'metadata'))
			WHEN jsonb_typeof(a->key) = 'object' AND jsonb_typeof(b->key) = 'object' THEN (b->key) || (a->key)
			WHEN b ? key THEN b->key
			ELSE a->key END), '{}')
		FROM (SELECT jsonb_object_keys(a) UNION SELECT jsonb_object_keys(b)) k (key));
END
$$;
COMMENT ON FUNCTION stripe_credit.merge_params(jsonb, jsonb) IS
	'internal: what a caller adds to a request, which changes nothing of what we say in it';

-- Stripe's idempotency key for one of ours; without, each call has its own.
CREATE FUNCTION stripe_credit.stripe_key(operation text, subject text, idempotency_key text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF idempotency_key IS NULL THEN
		RETURN NULL;
	END IF;
	-- kept apart by what it is for, and to be found in Stripe's dashboard where it can stand in a header
	RETURN (
		SELECT CASE WHEN idempotency_key ~ '^[!-~]+$' THEN left(h.hash, 16) || '-' || idempotency_key
					ELSE 'stripe_credit_' || h.hash END
		FROM stripe_credit.settings s, LATERAL (
			SELECT encode(sha256(convert_to(concat_ws(chr(1), s.install_id, s.mode, operation, subject, idempotency_key), 'UTF8')), 'hex')) h (hash));
END
$$;
COMMENT ON FUNCTION stripe_credit.stripe_key(text, text, text) IS
	'internal: the idempotency key that Stripe is given for a caller''s own';

CREATE TABLE stripe_credit.customer (
	account_id text COLLATE "C" NOT NULL,
	livemode boolean NOT NULL,
	customer_id text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (account_id, livemode)
);
COMMENT ON TABLE stripe_credit.customer IS 'the Stripe customer of an account, where it has one';

-- What came of a request for a session: the same row, however often it is asked for.
CREATE FUNCTION stripe_credit.keep_checkout(session jsonb, account_id text, idempotency_key text, pack stripe_credit.pack,
		quantity integer, credits bigint, asked jsonb) RETURNS stripe_credit.checkout
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	kept stripe_credit.checkout;
BEGIN
	IF NOT stripe_credit.is_stripe_id('cs_', session->>'id') OR coalesce(session->>'expires_at' !~ '^[0-9]{1,12}$', false)
		OR coalesce(session->>'amount_subtotal' !~ '^[0-9]{1,18}$', false) OR jsonb_typeof(session->'livemode') IS DISTINCT FROM 'boolean'
	THEN
		RAISE EXCEPTION USING ERRCODE = 'PT502', MESSAGE = 'Stripe''s answer can''t be used',
			DETAIL = 'It is no Checkout Session.';
	END IF;
	INSERT INTO stripe_credit.checkout AS c (session_id, account_id, idempotency_key, livemode, pack_id, quantity, credits,
			amount, currency, url, expires_at, request)
		VALUES (session->>'id', keep_checkout.account_id, keep_checkout.idempotency_key, (session->>'livemode')::boolean,
			pack.pack_id, keep_checkout.quantity, keep_checkout.credits,
			coalesce((session->>'amount_subtotal')::bigint, pack.unit_amount * keep_checkout.quantity),
			coalesce(session->>'currency', pack.currency), session->>'url',
			to_timestamp((session->>'expires_at')::double precision), asked)
		ON CONFLICT DO NOTHING;
	SELECT c.* INTO STRICT kept FROM stripe_credit.checkout c WHERE c.session_id = session->>'id';
	RETURN kept;
END
$$;
COMMENT ON FUNCTION stripe_credit.keep_checkout(jsonb, text, text, stripe_credit.pack, integer, bigint, jsonb) IS
	'internal: writes down a Checkout Session that Stripe has made';

CREATE FUNCTION stripe_credit.create_checkout(account_id text, pack_id text, quantity integer DEFAULT 1, success_url text DEFAULT NULL,
		cancel_url text DEFAULT NULL, customer_email text DEFAULT NULL, idempotency_key text DEFAULT NULL, params jsonb DEFAULT '{}',
		OUT session_id text, OUT url text, OUT expires_at timestamptz, OUT credits bigint, OUT amount bigint, OUT currency text,
		OUT livemode boolean)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	settings stripe_credit.settings;
	sold stripe_credit.pack;
	known stripe_credit.checkout;
	asked jsonb;
	metadata jsonb;
	request jsonb;
	customer text;
	session jsonb;
BEGIN
	PERFORM stripe_credit.check_key('account_id', create_checkout.account_id);
	PERFORM stripe_credit.check_key('idempotency_key', coalesce(create_checkout.idempotency_key, 'none'));
	IF create_checkout.quantity IS NULL OR create_checkout.quantity < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'quantity must be greater than zero';
	END IF;
	PERFORM stripe_credit.check_params(create_checkout.params);
	SELECT s.* INTO STRICT settings FROM stripe_credit.settings s;
	asked := jsonb_strip_nulls(jsonb_build_object('pack_id', create_checkout.pack_id, 'quantity', create_checkout.quantity,
		'success_url', create_checkout.success_url, 'cancel_url', create_checkout.cancel_url,
		'customer_email', create_checkout.customer_email)) || jsonb_build_object('params', create_checkout.params);

	SELECT c.* INTO known FROM stripe_credit.checkout c
	WHERE c.account_id = create_checkout.account_id AND c.livemode = (settings.mode = 'live')
	  AND c.idempotency_key = create_checkout.idempotency_key;
	IF NOT FOUND THEN
		SELECT p.* INTO sold FROM stripe_credit.pack p WHERE p.pack_id = create_checkout.pack_id AND p.active;
		IF NOT FOUND THEN
			RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'unknown pack';
		END IF;
		SELECT c.customer_id INTO customer FROM stripe_credit.customer c
		WHERE c.account_id = create_checkout.account_id AND c.livemode = (settings.mode = 'live');

		credits := sold.credits * create_checkout.quantity;
		metadata := stripe_credit.order_metadata(settings.install_id, create_checkout.account_id, sold, create_checkout.quantity);
		request := jsonb_strip_nulls(jsonb_build_object(
			'mode', CASE WHEN sold.recurring_interval IS NULL THEN 'payment' ELSE 'subscription' END,
			'line_items', jsonb_build_array(stripe_credit.line_item(sold, create_checkout.quantity)),
			'client_reference_id', create_checkout.account_id,
			'metadata', metadata,
			'customer', customer,
			'customer_email', CASE WHEN customer IS NULL THEN create_checkout.customer_email END,
			'success_url', coalesce(create_checkout.success_url, settings.success_url),
			'cancel_url', coalesce(create_checkout.cancel_url, settings.cancel_url)))
			|| jsonb_build_object(CASE WHEN sold.recurring_interval IS NULL THEN 'payment_intent_data' ELSE 'subscription_data' END,
				jsonb_build_object('metadata', metadata));
		request := stripe_credit.merge_params(request, create_checkout.params);
		IF NOT request ?| '{success_url,return_url,ui_mode}' THEN
			RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'no success_url',
				HINT = 'Set stripe_credit.settings.success_url, or pass one.';
		END IF;
		session := stripe_credit.stripe_request('POST', '/v1/checkout/sessions', request,
			stripe_credit.stripe_key('checkout', create_checkout.account_id, create_checkout.idempotency_key));
		known := stripe_credit.keep_checkout(session, create_checkout.account_id, create_checkout.idempotency_key, sold,
			create_checkout.quantity, credits, asked);
	ELSIF known.request <> asked THEN
		RAISE EXCEPTION USING ERRCODE = 'PT409', MESSAGE = 'idempotency key was used for something else';
	END IF;
	session_id := known.session_id;
	url := known.url;
	expires_at := known.expires_at;
	credits := known.credits;
	amount := known.amount;
	currency := known.currency;
	livemode := known.livemode;
END
$$;
COMMENT ON FUNCTION stripe_credit.create_checkout(text, text, integer, text, text, text, text, jsonb) IS
	'makes a Checkout Session by which an account buys a pack, and returns where to send the buyer; with a key that was used, the session that it made';

CREATE FUNCTION stripe_credit.fetch_session(method text, session_id text, action text DEFAULT '', OUT body jsonb, OUT answered_at timestamptz)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT stripe_credit.is_stripe_id('cs_', session_id) THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'session_id is not valid';
	END IF;
	SELECT f.body, f.answered_at INTO body, answered_at
	FROM stripe_credit.stripe_fetch(method, '/v1/checkout/sessions/' || session_id || action) f;
	IF body IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'unknown session';
	END IF;
END
$$;
COMMENT ON FUNCTION stripe_credit.fetch_session(text, text, text) IS
	'internal: a Checkout Session, as Stripe answers a request about it, and when it did';

-- Confirmed before, or asked and applied: what has not been paid is pending.
CREATE FUNCTION stripe_credit.confirm_checkout(session_id text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	paid record;
	fetched record;
	answer jsonb;
BEGIN
	SELECT p.payment_id, p.posted_to, p.posted INTO paid FROM stripe_credit.payment p
	WHERE p.session_id = confirm_checkout.session_id AND p.subscription_id IS NULL AND p.posted_to IS NOT NULL;
	IF FOUND THEN
		RETURN jsonb_build_object('ok', true, 'session', confirm_checkout.session_id, 'status', 'duplicate',
			'payment', paid.payment_id, 'account', paid.posted_to, 'credits', paid.posted);
	END IF;
	fetched := stripe_credit.fetch_session('GET', confirm_checkout.session_id);
	answer := stripe_credit.apply_object(CASE fetched.body->>'status' WHEN 'expired' THEN 'checkout.session.expired'
		ELSE 'checkout.session.completed' END, fetched.body, fetched.answered_at);
	UPDATE stripe_credit.checkout c SET status = fetched.body->>'status'
	WHERE c.session_id = confirm_checkout.session_id AND c.status <> fetched.body->>'status';
	RETURN jsonb_strip_nulls(jsonb_build_object('session', confirm_checkout.session_id, 'account',
		(SELECT c.account_id FROM stripe_credit.checkout c WHERE c.session_id = confirm_checkout.session_id))) || answer;
END
$$;
COMMENT ON FUNCTION stripe_credit.confirm_checkout(text) IS
	'for the page that the buyer comes back to: asks Stripe whether a session was paid, and credits it as its webhook does';

CREATE FUNCTION stripe_credit.expire_checkout(session_id text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	fetched record;
BEGIN
	fetched := stripe_credit.fetch_session('POST', expire_checkout.session_id, '/expire');
	UPDATE stripe_credit.checkout c SET status = 'expired'
	WHERE c.session_id = expire_checkout.session_id AND c.status <> 'expired';
	RETURN stripe_credit.apply_object('checkout.session.expired', fetched.body, fetched.answered_at)
		|| jsonb_build_object('session', expire_checkout.session_id);
END
$$;
COMMENT ON FUNCTION stripe_credit.expire_checkout(text) IS
	'closes a Checkout Session that is still open, so that nobody can pay it any more';

CREATE FUNCTION stripe_credit.customer_portal(account_id text, return_url text DEFAULT NULL) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	customer text;
	url text;
BEGIN
	PERFORM stripe_credit.check_key('account_id', customer_portal.account_id);
	SELECT c.customer_id INTO customer FROM stripe_credit.customer c
	WHERE c.account_id = customer_portal.account_id
	  AND c.livemode = (SELECT s.mode = 'live' FROM stripe_credit.settings s);
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'account has no Stripe customer';
	END IF;
	url := stripe_credit.stripe_request('POST', '/v1/billing_portal/sessions', jsonb_strip_nulls(
		jsonb_build_object('customer', customer, 'return_url', customer_portal.return_url)))->>'url';
	IF url IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'PT502', MESSAGE = 'Stripe''s answer can''t be used';
	END IF;
	RETURN url;
END
$$;
COMMENT ON FUNCTION stripe_credit.customer_portal(text, text) IS
	'where an account''s buyer finds his cards and invoices, and cancels a subscription';

CREATE FUNCTION stripe_credit.refund_payment(payment_id text, amount bigint DEFAULT NULL, reason text DEFAULT NULL,
		idempotency_key text DEFAULT NULL) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	intent text;
	fetched record;
BEGIN
	PERFORM stripe_credit.check_key('idempotency_key', coalesce(refund_payment.idempotency_key, 'none'));
	IF refund_payment.amount < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'amount must be greater than zero';
	END IF;
	-- the payment intent is the payment, or one of its names
	SELECT p.payment_id INTO intent FROM stripe_credit.payment p
	WHERE (p.payment_id = refund_payment.payment_id OR p.same_as = refund_payment.payment_id)
	  AND p.payment_id LIKE 'pi\_%'
	ORDER BY p.payment_id = refund_payment.payment_id DESC, p.payment_id LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'unknown payment',
			DETAIL = 'No payment intent of that payment was heard of.';
	END IF;
	SELECT f.body, f.answered_at INTO fetched
	FROM stripe_credit.stripe_fetch('POST', '/v1/refunds', jsonb_strip_nulls(jsonb_build_object('payment_intent', intent,
			'amount', refund_payment.amount, 'reason', refund_payment.reason)),
		stripe_credit.stripe_key('refund', intent, refund_payment.idempotency_key)) f;
	IF fetched.body IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'unknown payment', DETAIL = 'Stripe does not know it.';
	END IF;
	RETURN stripe_credit.apply_object('refund.created', fetched.body, fetched.answered_at)
		|| jsonb_build_object('refund', fetched.body->'id', 'refund_status', fetched.body->'status');
END
$$;
COMMENT ON FUNCTION stripe_credit.refund_payment(text, bigint, text, text) IS
	'refunds a payment by Stripe, in whole or in part, and takes back its credits at once';

-- All lines of an invoice, of which its event holds the first; NULL if they are too many.
CREATE FUNCTION stripe_credit.invoice_lines(invoice_id text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	page jsonb;
	lines jsonb := '[]';
BEGIN
	LOOP
		page := stripe_credit.stripe_request('GET', '/v1/invoices/' || invoice_id || '/lines', jsonb_strip_nulls(
			jsonb_build_object('limit', 100, 'starting_after', lines->-1->'id')));
		lines := lines || coalesce(page->'data', '[]');
		IF page->'has_more' IS DISTINCT FROM 'true' THEN
			RETURN lines;
		ELSIF jsonb_array_length(lines) >= 100 OR jsonb_array_length(page->'data') = 0 THEN
			RETURN NULL;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION stripe_credit.invoice_lines(text) IS
	'internal: all lines of an invoice, fetched from Stripe';

CREATE FUNCTION stripe_credit.replay(event_id text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	kept record;
	event jsonb;
	lines jsonb;
BEGIN
	SELECT e.reason, coalesce(e.payload, e.facts) AS body INTO kept FROM stripe_credit.event e
	WHERE e.event_id = replay.event_id;
	IF FOUND AND kept.reason = 'lines' AND kept.body IS NOT NULL AND stripe_credit.has_api_key() THEN
		event := kept.body::jsonb;
		lines := stripe_credit.invoice_lines(event #>> '{data,object,id}');
		IF lines IS NOT NULL THEN
			RETURN stripe_credit.apply_event(jsonb_set(event, '{data,object,lines}',
				jsonb_build_object('has_more', false, 'data', lines)));
		END IF;
	ELSIF NOT FOUND AND stripe_credit.is_stripe_id('evt_', replay.event_id) AND stripe_credit.has_api_key() THEN
		SELECT f.body INTO event FROM stripe_credit.stripe_fetch('GET', '/v1/events/' || replay.event_id) f;
		IF event IS NOT NULL THEN
			RETURN stripe_credit.apply_event(event);
		END IF;
	END IF;
	RETURN stripe_credit.replay_kept(replay.event_id);
END
$$;
COMMENT ON FUNCTION stripe_credit.replay(text) IS
	'applies an event again that waits, as if it were delivered again; what is not kept of it is fetched from Stripe';

CREATE FUNCTION stripe_credit.has_api_key() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT EXISTS (SELECT FROM stripe_credit.api_key k JOIN stripe_credit.settings s ON k.livemode = (s.mode = 'live'))
$$;
COMMENT ON FUNCTION stripe_credit.has_api_key() IS 'internal: whether there is an API key for the present mode';

CREATE TABLE stripe_credit.backfill_position (
	livemode boolean PRIMARY KEY,
	done_until timestamptz NOT NULL
);
COMMENT ON TABLE stripe_credit.backfill_position IS 'up to when backfill() has seen all events, by Stripe''s clock';

-- The events of a while, oldest first.  Stripe lists the newest first and a hundred
-- at once: if there are more, NULL, unless the while can't be shorter.
CREATE FUNCTION stripe_credit.fetch_events(since timestamptz, before timestamptz) RETURNS jsonb[]
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	page jsonb;
	events jsonb[] := '{}';
BEGIN
	LOOP
		page := stripe_credit.stripe_request('GET', '/v1/events', jsonb_strip_nulls(jsonb_build_object(
			'limit', 100, 'starting_after', events[1]->'id',
			'created', jsonb_build_object('gte', extract(epoch FROM since)::bigint, 'lt', extract(epoch FROM before)::bigint),
			'types', '["checkout.session.completed", "checkout.session.async_payment_succeeded",
				"checkout.session.async_payment_failed", "checkout.session.expired", "payment_intent.succeeded",
				"charge.succeeded", "charge.updated", "charge.refunded", "charge.refund.updated", "refund.created",
				"refund.updated", "refund.failed", "charge.dispute.created", "charge.dispute.updated",
				"charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
				"invoice.paid", "invoice_payment.paid"]'::jsonb)));
		IF jsonb_typeof(page->'data') IS DISTINCT FROM 'array' THEN
			RAISE EXCEPTION USING ERRCODE = 'PT502', MESSAGE = 'Stripe''s answer can''t be used',
				DETAIL = 'It is no list.';
		END IF;
		events := (SELECT coalesce(array_agg(d.event ORDER BY d.n DESC), '{}')
				   FROM jsonb_array_elements(page->'data') WITH ORDINALITY d (event, n)) || events;
		IF page->'has_more' IS DISTINCT FROM 'true' OR jsonb_array_length(page->'data') = 0 THEN
			RETURN events;
		ELSIF before - since > '1 second' THEN
			RETURN NULL;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION stripe_credit.fetch_events(timestamptz, timestamptz) IS
	'internal: the events of a while, fetched from Stripe, oldest first; NULL if they are more than a page';

-- Applied as by a webhook, but without waiting long for anybody: this transaction
-- holds what the events before it locked.  NULL: somebody is at it.
CREATE FUNCTION stripe_credit.apply_unless_locked(event jsonb) RETURNS text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
	AS $$
BEGIN
	RETURN stripe_credit.apply_event(event)->>'status';
EXCEPTION
	WHEN lock_not_available OR deadlock_detected THEN
		RETURN NULL;
	WHEN SQLSTATE 'PT400' THEN
		RAISE WARNING USING MESSAGE = format('could not apply event %s', event->>'id'), DETAIL = 'It is no event that can be read.';
		RETURN 'ignored';
END
$$;
COMMENT ON FUNCTION stripe_credit.apply_unless_locked(jsonb) IS
	'internal: applies an event that came from Stripe''s API, unless somebody has it locked';

CREATE FUNCTION stripe_credit.backfill(since interval DEFAULT '3 days', max_events integer DEFAULT 500,
		OUT fetched integer, OUT applied integer, OUT complete boolean)
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	live boolean := (SELECT s.mode = 'live' FROM stripe_credit.settings s);
	-- what happens in the last minute is left to the next call, since clocks differ
	finish timestamptz := date_trunc('second', clock_timestamp()) - '1 minute'::interval;
	place timestamptz;
	step interval;
	page jsonb[];
	events jsonb[] := '{}';
	event jsonb;
	status text;
BEGIN
	IF backfill.since IS NULL OR backfill.since <= '0' OR backfill.since > '30 days' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'since must be between zero and 30 days',
			DETAIL = 'Stripe keeps events for 30 days.';
	ELSIF max_events IS NULL OR max_events < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'max_events must be greater than zero';
	END IF;
	place := greatest(finish - backfill.since,
		(SELECT b.done_until FROM stripe_credit.backfill_position b WHERE b.livemode = live));
	step := finish - place;
	-- all requests come before the first account is touched
	WHILE place < finish AND cardinality(events) < max_events LOOP
		page := stripe_credit.fetch_events(place, least(place + step, finish));
		IF page IS NULL THEN
			step := greatest(date_trunc('second', step / 4), '1 second');
		ELSE
			events := events || page;
			place := least(place + step, finish);
			step := CASE WHEN cardinality(page) < 30 THEN step * 2 ELSE step END;
		END IF;
	END LOOP;

	fetched := cardinality(events);
	applied := 0;
	FOREACH event IN ARRAY events LOOP
		status := stripe_credit.apply_unless_locked(event);
		applied := applied + (status IS NOT DISTINCT FROM 'applied')::integer;
		IF status IS NULL THEN
			place := least(place, to_timestamp((event->>'created')::double precision));
		END IF;
	END LOOP;
	INSERT INTO stripe_credit.backfill_position AS b (livemode, done_until) VALUES (live, place)
		ON CONFLICT ON CONSTRAINT backfill_position_pkey DO UPDATE SET done_until = excluded.done_until
		WHERE b.done_until < excluded.done_until;
	complete := place >= finish;
END
$$;
COMMENT ON FUNCTION stripe_credit.backfill(interval, integer) IS
	'fetches events from Stripe that webhooks may have missed, and applies them, oldest first; call it again until it is complete';

----------------------------------------------------------------------
-- Credits
----------------------------------------------------------------------

CREATE FUNCTION stripe_credit.balance(account_id text,
		OUT balance bigint, OUT held bigint, OUT available bigint, OUT next_expiry timestamptz)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_balance';
COMMENT ON FUNCTION stripe_credit.balance(text) IS
	'what an account has, what of it is held, what can be spent, and when the next of it expires; zeros for an unknown account';

CREATE FUNCTION stripe_credit.grant_credits(account_id text, credits bigint, idempotency_key text,
		expires_at timestamptz DEFAULT NULL, priority integer DEFAULT NULL, metadata jsonb DEFAULT NULL,
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_grant_credits';
COMMENT ON FUNCTION stripe_credit.grant_credits(text, bigint, text, timestamptz, integer, jsonb) IS
	'gives credits that nobody paid for, once per key';

CREATE FUNCTION stripe_credit.adjust_credits(account_id text, credits bigint, idempotency_key text, reason text,
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_adjust_credits';
COMMENT ON FUNCTION stripe_credit.adjust_credits(text, bigint, text, text) IS
	'corrects a balance by hand, plus or minus, once per key; may make a debt';

CREATE FUNCTION stripe_credit.spend(account_id text, credits bigint, idempotency_key text DEFAULT NULL, metadata jsonb DEFAULT NULL,
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_spend';
COMMENT ON FUNCTION stripe_credit.spend(text, bigint, text, jsonb) IS
	'spends credits that are available, once per key';

CREATE FUNCTION stripe_credit.spend_many(account_id text, credits bigint[], idempotency_keys text[] DEFAULT NULL)
	RETURNS TABLE (seq bigint, balance bigint, held bigint, available bigint, duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_spend_many';
COMMENT ON FUNCTION stripe_credit.spend_many(text, bigint[], text[]) IS
	'several spends of one account at once, all or none of them';

CREATE FUNCTION stripe_credit.reverse_spend(account_id text, idempotency_key text,
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_reverse_spend';
COMMENT ON FUNCTION stripe_credit.reverse_spend(text, text) IS
	'gives a spend, or a hold that was captured, back to the lots that it came from, once';

CREATE FUNCTION stripe_credit.hold(account_id text, credits bigint, idempotency_key text, ttl interval DEFAULT '15 min',
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_hold';
COMMENT ON FUNCTION stripe_credit.hold(text, bigint, text, interval) IS
	'reserves credits for a while, under a key that names the hold';

CREATE FUNCTION stripe_credit.capture(account_id text, idempotency_key text, credits bigint,
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_capture';
COMMENT ON FUNCTION stripe_credit.capture(text, text, bigint) IS
	'spends credits of a hold, and releases the rest of it';

CREATE FUNCTION stripe_credit.release(account_id text, idempotency_key text,
		OUT seq bigint, OUT balance bigint, OUT held bigint, OUT available bigint, OUT duplicate boolean)
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_release';
COMMENT ON FUNCTION stripe_credit.release(text, text) IS
	'gives up a hold';

CREATE FUNCTION stripe_credit.statement(account_id text, max_rows integer DEFAULT 50, before_seq bigint DEFAULT NULL)
	RETURNS TABLE (seq bigint, kind text, credits bigint, balance bigint, idempotency_key text,
		payment_id text, metadata jsonb, created_at timestamptz)
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM stripe_credit.check_key('account_id', statement.account_id);
	IF max_rows IS NULL OR max_rows < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'max_rows must be greater than zero';
	END IF;
	RETURN QUERY
		SELECT l.seq, l.kind, l.credits, l.balance, l.idempotency_key, l.payment_id, l.metadata, l.created_at
		FROM stripe_credit.ledger l
		WHERE l.account_id = statement.account_id
		  AND l.seq < coalesce(statement.before_seq, 9223372036854775807)
		ORDER BY l.seq DESC
		LIMIT statement.max_rows;
END
$$;
COMMENT ON FUNCTION stripe_credit.statement(text, integer, bigint) IS
	'an account''s ledger, newest first; page on with the last seq as before_seq';

----------------------------------------------------------------------
-- Operation
----------------------------------------------------------------------

CREATE VIEW stripe_credit.attention (kind, id, account_id, since, detail) AS
	SELECT 'unmatched', e.event_id, p.account_id, e.received_at,
		   pg_catalog.format('%s: %s', e.type, e.reason)
	FROM stripe_credit.event e LEFT JOIN stripe_credit.payment p ON p.payment_id = e.payment_id
	WHERE e.status = 'unmatched'
	   OR (e.status = 'pending' AND e.reason = 'subscription' AND e.received_at < pg_catalog.now() - '3 days'::interval)
	UNION ALL
	SELECT 'failed', p.payment_id, p.account_id, p.failed_at,
		   'a delayed payment failed'
	FROM stripe_credit.payment p
	WHERE p.failed_at > pg_catalog.now() - '30 days'::interval AND NOT p.paid
	UNION ALL
	SELECT 'debt', a.account_id, a.account_id,
		   (SELECT l.created_at FROM stripe_credit.ledger l
			WHERE l.account_id = a.account_id AND l.seq = a.seq),
		   pg_catalog.format('%s credits below zero', a.held - h.expired - a.balance)
	FROM stripe_credit.account a,
		LATERAL (SELECT coalesce(pg_catalog.sum(h.credits), 0) AS expired FROM stripe_credit.hold h
				 WHERE h.account_id = a.account_id AND h.state = 'open'
				   AND h.expires_at <= pg_catalog.clock_timestamp()) h
	WHERE a.balance < a.held AND a.balance < a.held - h.expired
	UNION ALL
	SELECT 'stuck hold', h.account_id, h.account_id, pg_catalog.min(h.expires_at),
		   pg_catalog.format('%s holds of %s credits have expired and were not closed: does maintain() run?',
							 pg_catalog.count(*), pg_catalog.sum(h.credits))
	FROM stripe_credit.hold h
	WHERE h.state = 'open' AND h.expires_at < pg_catalog.clock_timestamp() - '1 hour'::interval
	GROUP BY h.account_id
	UNION ALL
	SELECT 'disagreement', p.payment_id, p.posted_to, p.created_at,
		   pg_catalog.format('posted to this account, but events now name %s', p.account_id)
	FROM stripe_credit.payment p
	WHERE p.posted_to IS NOT NULL AND p.account_id IS DISTINCT FROM p.posted_to
	UNION ALL
	SELECT 'test credits', l.account_id, l.account_id, pg_catalog.min(p.created_at),
		   pg_catalog.format('%s credits bought in test mode', pg_catalog.sum(
			   CASE l.lot_id WHEN a.head_lot THEN a.head_remaining ELSE l.remaining END))
	FROM stripe_credit.lot l JOIN stripe_credit.payment p ON p.payment_id = l.payment_id
		JOIN stripe_credit.account a ON a.account_id = l.account_id
	WHERE CASE l.lot_id WHEN a.head_lot THEN a.head_remaining ELSE l.remaining END > 0
	  AND NOT p.livemode
	  AND EXISTS (SELECT FROM stripe_credit.settings s WHERE s.mode = 'live')
	GROUP BY l.account_id;
COMMENT ON VIEW stripe_credit.attention IS 'what a person should look at; not what merely waits';

-- What facts.c computes, computed a second time for check_books().
CREATE FUNCTION stripe_credit.credits_back(credits bigint, amount bigint, currency text, details jsonb)
	RETURNS bigint
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
	WITH charge AS (
		SELECT * FROM jsonb_to_recordset(details->'charges')
			AS c (id text, amount numeric, currency text, refunded numeric, refunded_at numeric)
	), refund AS (
		SELECT * FROM jsonb_to_recordset(details->'refunds')
			AS r (charge text, status text, amount numeric, currency text, created numeric)
	), dispute AS (
		SELECT * FROM jsonb_to_recordset(details->'disputes')
			AS d (id text, status text, amount numeric, currency text, funds text)
	), movement AS (
		SELECT t.dispute, sum(t.amount) AS net, count(*) AS n
		FROM jsonb_to_recordset(details->'transactions') AS t (dispute text, amount numeric)
		GROUP BY t.dispute
	), first AS (
		SELECT c.currency FROM charge c WHERE c.amount IS NOT NULL ORDER BY c.id COLLATE "C" LIMIT 1
	), charged AS (
		SELECT least(sum(c.amount), 9223372036854775807) AS amount, f.currency
		FROM first f JOIN charge c ON c.currency = f.currency GROUP BY f.currency
		UNION ALL
		SELECT credits_back.amount, credits_back.currency WHERE NOT EXISTS (SELECT FROM first)
	), gone AS (
		SELECT r.amount, r.currency FROM refund r WHERE r.status <> 'failed'
		UNION ALL
		SELECT greatest(0, c.refunded - coalesce(
				   (SELECT sum(r.amount) FROM refund r
					WHERE r.created <= c.refunded_at AND coalesce(r.charge, c.id) = c.id), 0)),
			   CASE WHEN c.amount IS NOT NULL THEN c.currency END
		FROM charge c WHERE c.refunded_at IS NOT NULL
		UNION ALL
		SELECT d.amount, d.currency
		FROM dispute d LEFT JOIN movement m ON m.dispute = d.id
		WHERE CASE WHEN d.status IN ('won', 'prevented', 'warning_closed') THEN m.n > 1 AND m.net < 0
				   WHEN m.n > 0 THEN m.net < 0
				   WHEN d.funds IS NOT NULL THEN d.funds = 'withdrawn'
				   ELSE d.status IN ('needs_response', 'under_review', 'lost', 'appeal_needs_response', 'appeal_under_review') END
	), total AS (
		SELECT coalesce(sum(g.amount), 0) AS amount,
			   coalesce(bool_or(g.amount > 0 AND g.currency IS DISTINCT FROM (SELECT h.currency FROM charged h)), false) AS whole
		FROM gone g
	)
	SELECT CASE WHEN h.amount IS NULL THEN CASE WHEN t.whole THEN credits ELSE 0 END
				WHEN h.amount = 0 THEN 0
				ELSE div(credits * CASE WHEN t.whole THEN h.amount ELSE least(t.amount, h.amount) END + h.amount - 1, h.amount)
		   END
	FROM charged h, total t
$$;
COMMENT ON FUNCTION stripe_credit.credits_back(bigint, bigint, text, jsonb) IS
	'internal: how many of a payment''s credits go back, by what its row knows of refunds and disputes';

CREATE FUNCTION stripe_credit.check_books() RETURNS TABLE (invariant text, detail text)
	LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT 'balance is the sum of the entries',
		   format('account %L has %s, its entries %s', a.account_id, a.balance, coalesce(l.credits, 0))
	FROM stripe_credit.account a
		LEFT JOIN (SELECT account_id, sum(credits) AS credits FROM stripe_credit.ledger GROUP BY account_id) l
			ON l.account_id = a.account_id
	WHERE a.balance <> coalesce(l.credits, 0)
	UNION ALL
	SELECT 'entries are numbered without gaps',
		   format('account %L is at %s with %s entries from %s to %s', a.account_id, a.seq, l.entries, l.first, l.last)
	FROM stripe_credit.account a
		LEFT JOIN (SELECT account_id, count(*) AS entries, min(seq) AS first, max(seq) AS last
				   FROM stripe_credit.ledger GROUP BY account_id) l
			ON l.account_id = a.account_id
	WHERE a.seq <> coalesce(l.entries, 0) OR a.seq <> coalesce(l.last, 0) OR coalesce(l.first, 1) <> 1
	UNION ALL
	SELECT 'each entry carries the balance after it',
		   format('account %L, entry %s', r.account_id, r.seq)
	FROM (SELECT account_id, seq, balance,
				 sum(credits) OVER (PARTITION BY account_id ORDER BY seq) AS running
		  FROM stripe_credit.ledger) r
	WHERE r.balance <> r.running
	UNION ALL
	SELECT 'an entry has its account',
		   format('account %L, entry %s', l.account_id, l.seq)
	FROM stripe_credit.ledger l
	WHERE NOT EXISTS (SELECT FROM stripe_credit.account a WHERE a.account_id = l.account_id)
	UNION ALL
	SELECT 'what is held is in open holds',
		   format('account %L has %s held, its open holds %s', a.account_id, a.held, coalesce(h.credits, 0))
	FROM stripe_credit.account a
		LEFT JOIN (SELECT account_id, sum(credits) AS credits FROM stripe_credit.hold
				   WHERE state = 'open' GROUP BY account_id) h
			ON h.account_id = a.account_id
	WHERE a.held <> coalesce(h.credits, 0)
	UNION ALL
	SELECT 'a hold has its account, which knows of it',
		   format('account %L, hold %L', h.account_id, h.idempotency_key)
	FROM stripe_credit.hold h
	WHERE NOT EXISTS (SELECT FROM stripe_credit.account a
					  WHERE a.account_id = h.account_id AND a.hold_expiry IS NOT NULL)
	UNION ALL
	SELECT 'a hold took its credits from lots',
		   format('account %L, hold %L of %s took %s', h.account_id, h.idempotency_key, h.credits, t.credits)
	FROM stripe_credit.hold h,
		LATERAL (SELECT sum(u.credits) AS credits, bool_and(u.credits > 0) AS positive,
						bool_and(u.lot_id IN (SELECT t.lot_id FROM stripe_credit.lot t
											  WHERE t.account_id = h.account_id)) AS known
				 FROM unnest(h.lots, h.taken) AS u (lot_id, credits)) t
	WHERE (t.credits = h.credits AND t.positive AND t.known) IS NOT TRUE
	UNION ALL
	SELECT 'a hold is closed in one way',
		   format('account %L, hold %L is %L, captured %s', h.account_id, h.idempotency_key, h.state, h.captured)
	FROM stripe_credit.hold h
	WHERE h.state NOT IN ('open', 'captured', 'released', 'expired')
	   OR (h.state = 'open') <> (h.closed_at IS NULL)
	   OR (h.state = 'captured') <> (h.captured > 0)
	   OR h.captured NOT BETWEEN 0 AND h.credits
	UNION ALL
	SELECT 'a captured hold has its entry',
		   format('account %L, key %L: captured %s, entered %s', coalesce(h.account_id, l.account_id),
				  coalesce(h.idempotency_key, l.idempotency_key), h.captured, l.credits)
	FROM (SELECT * FROM stripe_credit.hold WHERE captured <> 0) h
		FULL JOIN (SELECT * FROM stripe_credit.ledger WHERE kind = 'capture') l
			ON l.account_id = h.account_id AND l.idempotency_key = h.idempotency_key
	WHERE h.captured IS DISTINCT FROM - l.credits
	UNION ALL
	SELECT 'a hold has its key for itself',
		   format('account %L, hold %L and entry %s', h.account_id, h.idempotency_key, l.seq)
	FROM stripe_credit.hold h JOIN stripe_credit.ledger l
		ON l.account_id = h.account_id AND l.idempotency_key = h.idempotency_key
	WHERE l.kind NOT IN ('capture', 'spend_reversal')
	UNION ALL
	SELECT 'lots are what is available',
		   format('account %L has %s available, its lots %s', a.account_id, a.balance - a.held, coalesce(t.remaining, 0))
	FROM stripe_credit.account a
		LEFT JOIN (SELECT l.account_id, sum(CASE l.lot_id WHEN b.head_lot THEN b.head_remaining
											ELSE l.remaining END) AS remaining
				   FROM stripe_credit.lot l JOIN stripe_credit.account b ON b.account_id = l.account_id
				   GROUP BY l.account_id) t
			ON t.account_id = a.account_id
	WHERE greatest(a.balance - a.held, 0) <> coalesce(t.remaining, 0)
	UNION ALL
	SELECT 'the head lot is one of the account''s',
		   format('account %L, head lot %s with %s left', a.account_id, a.head_lot, a.head_remaining)
	FROM stripe_credit.account a
		LEFT JOIN stripe_credit.lot h ON h.account_id = a.account_id AND h.lot_id = a.head_lot
	WHERE a.head_remaining < 0
	   OR (a.head_lot IS NULL AND a.head_remaining <> 0)
	   OR (a.head_lot IS NOT NULL AND (a.head_remaining <= h.granted) IS NOT TRUE)
	   OR (a.head_remaining > 0 AND h.remaining = 0)
	UNION ALL
	SELECT 'the head lot is spent first',
		   format('account %L, head lot %s, but lot %s comes before', a.account_id, a.head_lot, l.lot_id)
	FROM stripe_credit.account a
		LEFT JOIN stripe_credit.lot h ON h.account_id = a.account_id AND h.lot_id = a.head_lot
		JOIN stripe_credit.lot l ON l.account_id = a.account_id AND l.remaining > 0
	WHERE l.lot_id IS DISTINCT FROM a.head_lot
	  AND (a.head_lot IS NULL
		   OR (a.head_remaining > 0
			   AND ROW(coalesce(l.priority::bigint, 4294967296), l.expires_at, l.payment_id IS NOT NULL, l.lot_id)
				   < ROW(coalesce(h.priority::bigint, 4294967296), h.expires_at, h.payment_id IS NOT NULL, h.lot_id)))
	UNION ALL
	SELECT 'a lot has the entry that brought it',
		   format('account %L, lot %s', t.account_id, t.lot_id)
	FROM stripe_credit.lot t
	WHERE NOT EXISTS (SELECT FROM stripe_credit.ledger l
					  WHERE l.account_id = t.account_id AND l.seq = t.lot_id
						AND l.kind IN ('purchase', 'grant', 'adjustment') AND l.credits > 0
						AND l.payment_id IS NOT DISTINCT FROM t.payment_id)
	UNION ALL
	SELECT 'the lots that an entry names exist',
		   format('account %L, entry %s, lot %s', l.account_id, l.seq, u.lot_id)
	FROM stripe_credit.ledger l, LATERAL unnest(l.lots || l.lot_id) AS u (lot_id)
	WHERE u.lot_id IS NOT NULL
	  AND NOT EXISTS (SELECT FROM stripe_credit.lot t
					  WHERE t.account_id = l.account_id AND t.lot_id = u.lot_id)
	UNION ALL
	SELECT 'the lots that reversals took from exist',
		   format('account %L, lot %s, taken from lot %s', t.account_id, t.lot_id, u.lot_id)
	FROM stripe_credit.lot t, LATERAL unnest(t.reversed_lots || t.first_lot) AS u (lot_id)
	WHERE u.lot_id IS NOT NULL
	  AND NOT EXISTS (SELECT FROM stripe_credit.lot o
					  WHERE o.account_id = t.account_id AND o.lot_id = u.lot_id)
	UNION ALL
	SELECT 'what is spent is taken from lots',
		   format('account %L, entry %s of %s', l.account_id, l.seq, l.credits)
	FROM stripe_credit.ledger l
	WHERE l.kind IN ('spend', 'capture', 'spend_reversal')
	  AND ((l.lot_id IS NULL) <> (l.lots IS NOT NULL)
		   OR (l.credits > 0) <> (l.kind = 'spend_reversal')
		   OR (l.lots IS NOT NULL
			   AND (SELECT sum(u.credits) = abs(l.credits) AND bool_and(u.credits > 0 AND u.lot_id IS NOT NULL)
					FROM unnest(l.lots, l.taken) AS u (lot_id, credits)) IS NOT TRUE))
	UNION ALL
	SELECT 'a spend_reversal undoes a spend, once',
		   format('account %L, entry %s reverses entry %s', l.account_id, l.seq, l.reverses)
	FROM stripe_credit.ledger l
		LEFT JOIN stripe_credit.ledger o ON o.account_id = l.account_id AND o.seq = l.reverses
	WHERE (l.kind = 'spend_reversal' OR l.reverses <> 0)
	  AND (l.kind = 'spend_reversal' AND o.kind IN ('spend', 'capture') AND o.credits = - l.credits
		   AND o.seq < l.seq AND o.idempotency_key = l.idempotency_key
		   AND o.lot_id IS NOT DISTINCT FROM l.lot_id AND o.lots IS NOT DISTINCT FROM l.lots
		   AND o.taken IS NOT DISTINCT FROM l.taken) IS NOT TRUE
	UNION ALL
	SELECT 'only a debt is below zero',
		   format('account %L has %s available, its floor is %s', a.account_id, a.balance - a.held, a.floor)
	FROM stripe_credit.account a
	WHERE a.floor <> least(0, a.balance - a.held)
	UNION ALL
	SELECT 'the next expiry is known',
		   format('account %L says %s, its lots %s', a.account_id, a.next_expiry, l.next)
	FROM stripe_credit.account a
		JOIN (SELECT l.account_id, min(l.expires_at) AS next
			  FROM stripe_credit.lot l JOIN stripe_credit.account b ON b.account_id = l.account_id
			  WHERE CASE l.lot_id WHEN b.head_lot THEN b.head_remaining ELSE l.remaining END > 0
			  GROUP BY l.account_id) l
			ON l.account_id = a.account_id
	WHERE a.next_expiry > l.next
	UNION ALL
	SELECT 'the next expiry of a hold is known',
		   format('account %L says %s, its holds %s', a.account_id, a.hold_expiry, h.next)
	FROM stripe_credit.account a
		JOIN (SELECT account_id, min(expires_at) AS next FROM stripe_credit.hold
			  WHERE state = 'open' GROUP BY account_id) h
			ON h.account_id = a.account_id
	WHERE (a.hold_expiry <= h.next) IS NOT TRUE
	UNION ALL
	SELECT 'an entry of a payment has its payment',
		   format('account %L, entry %s, payment %L', l.account_id, l.seq, l.payment_id)
	FROM stripe_credit.ledger l
	WHERE (l.payment_id IS NOT NULL OR l.kind = 'purchase')
	  AND NOT EXISTS (SELECT FROM stripe_credit.payment p
					  WHERE p.payment_id = l.payment_id
						AND (p.posted_to = l.account_id OR p.same_as IS NOT NULL))
	UNION ALL
	SELECT 'the ledger holds what a payment posted',
		   format('payment %L posted %s, its entries %s, of which expired %s', coalesce(p.payment_id, l.payment_id),
				  coalesce(p.posted, 0), coalesce(l.credits, 0), coalesce(t.expired, 0))
	FROM (SELECT coalesce(posted_as, payment_id) AS payment_id, posted FROM stripe_credit.payment
		  WHERE posted_to IS NOT NULL) p
		FULL JOIN (SELECT payment_id, sum(credits) AS credits FROM stripe_credit.ledger
				   WHERE kind IN ('purchase', 'reversal', 'reinstatement') AND payment_id IS NOT NULL
				   GROUP BY payment_id) l
			ON l.payment_id = p.payment_id
		LEFT JOIN (SELECT payment_id, sum(reversed_expired) AS expired FROM stripe_credit.lot
				   GROUP BY payment_id) t
			ON t.payment_id = coalesce(p.payment_id, l.payment_id)
	WHERE coalesce(p.posted, 0) + coalesce(t.expired, 0) <> coalesce(l.credits, 0)
	UNION ALL
	SELECT 'what a payment wrote off is in the ledger',
		   format('payment %L wrote off %s, its entries %s', coalesce(t.payment_id, l.payment_id),
				  coalesce(t.written_off, 0), coalesce(l.credits, 0))
	FROM (SELECT payment_id, sum(written_off) AS written_off FROM stripe_credit.lot
		  WHERE payment_id IS NOT NULL GROUP BY payment_id) t
		FULL JOIN (SELECT payment_id, sum(credits) AS credits FROM stripe_credit.ledger
				   WHERE kind = 'write_off' GROUP BY payment_id) l
			ON l.payment_id = t.payment_id
	WHERE coalesce(t.written_off, 0) <> coalesce(l.credits, 0)
	UNION ALL
	SELECT 'a payment posted what is due',
		   format('payment %L is worth %s, of which %s go back, and posted %s', p.payment_id, p.credits,
				  stripe_credit.credits_back(p.credits, p.amount, p.currency, p.details), p.posted)
	FROM stripe_credit.payment p
	WHERE CASE WHEN p.posted_to IS NULL OR NOT p.paid THEN p.posted <> 0
			   WHEN p.details IS NULL THEN p.posted <> p.credits
			   ELSE p.posted <> p.credits - stripe_credit.credits_back(p.credits, p.amount, p.currency, p.details) END
	UNION ALL
	SELECT 'a name of a payment knows nothing of it', format('payment %L, a name of %L', p.payment_id, p.same_as)
	FROM stripe_credit.payment p
	WHERE p.same_as IS NOT NULL
	  AND (p.paid OR p.posted_to IS NOT NULL OR p.session_id IS NOT NULL OR p.details IS NOT NULL)
	UNION ALL
	SELECT 'a paid payment that is known is posted',
		   format('payment %L of account %L is worth %s', p.payment_id, p.account_id, p.credits)
	FROM stripe_credit.payment p
	WHERE p.paid AND p.posted_to IS NULL AND p.account_id IS NOT NULL AND p.credits > 0
	  AND NOT EXISTS (SELECT FROM stripe_credit.event e
					  WHERE e.payment_id = p.payment_id AND e.status = 'unmatched')
	UNION ALL
	SELECT 'an entry is of a known kind', format('account %L, entry %s is a %L', l.account_id, l.seq, l.kind)
	FROM stripe_credit.ledger l
	WHERE l.kind NOT IN ('purchase', 'grant', 'spend', 'capture', 'reversal', 'reinstatement',
		'expiry', 'write_off', 'adjustment', 'spend_reversal')
	UNION ALL
	SELECT 'an event is in a known state', format('event %L is %L', e.event_id, e.status)
	FROM stripe_credit.event e
	WHERE e.status NOT IN ('applied', 'duplicate', 'pending', 'unmatched')
	UNION ALL
	SELECT 'a lot holds no more than it was granted', format('account %L, lot %s', t.account_id, t.lot_id)
	FROM stripe_credit.lot t
	WHERE t.remaining > t.granted OR least(t.expired, t.written_off, t.reversed_expired) < 0
	UNION ALL
	SELECT 'a payment counts nothing below zero', format('payment %L', p.payment_id)
	FROM stripe_credit.payment p
	WHERE least(p.credits, p.posted) < 0
	UNION ALL
	SELECT 'an applied event has its payment',
		   format('event %L, payment %L', e.event_id, e.payment_id)
	FROM stripe_credit.event e
	WHERE e.payment_id IS NOT NULL AND e.status IN ('applied', 'duplicate')
	  AND e.type NOT IN ('charge.succeeded', 'charge.updated', 'invoice_payment.paid')
	  AND NOT EXISTS (SELECT FROM stripe_credit.payment p WHERE p.payment_id = e.payment_id)
	UNION ALL
	SELECT 'a payment link sells a pack',
		   format('payment link %L, pack %L', k.payment_link, k.pack_id)
	FROM stripe_credit.payment_link k
	WHERE NOT EXISTS (SELECT FROM stripe_credit.pack p WHERE p.pack_id = k.pack_id)
$$;
COMMENT ON FUNCTION stripe_credit.check_books() IS 'proves the books: a row for each thing that is wrong, none when they are right';

CREATE FUNCTION stripe_credit.void_test_credits() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_void_test_credits';
COMMENT ON FUNCTION stripe_credit.void_test_credits() IS
	'once the mode is live: takes what is left of credits that were bought in test mode, and returns how many';

CREATE FUNCTION stripe_credit.maintain(max_rows integer DEFAULT 1000) RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'stripe_credit_maintain';
COMMENT ON FUNCTION stripe_credit.maintain(integer) IS
	'enters lots and holds that have expired, tries events that wait again, forgets old ones: at most max_rows of each; to be called now and then';

----------------------------------------------------------------------
-- Who may do what
----------------------------------------------------------------------

-- An administrator is no superuser but runs the extension: every function,
-- and what the owner edits with plain SQL.  Never the secrets' column, and
-- never a write to the books past the functions.
CREATE FUNCTION stripe_credit.administer(role name) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF role IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'role must not be null';
	END IF;
	EXECUTE format('GRANT USAGE ON SCHEMA stripe_credit TO %I WITH GRANT OPTION', role);
	EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA stripe_credit TO %I WITH GRANT OPTION', role);
	EXECUTE format('GRANT SELECT, UPDATE ON stripe_credit.settings TO %I WITH GRANT OPTION', role);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON stripe_credit.pack, stripe_credit.rate, '
				   'stripe_credit.payment_link TO %I WITH GRANT OPTION', role);
	EXECUTE format('GRANT SELECT ON stripe_credit.account, stripe_credit.ledger, stripe_credit.lot, '
				   'stripe_credit.hold, stripe_credit.event, stripe_credit.payment, stripe_credit.checkout, '
				   'stripe_credit.customer, stripe_credit.attention TO %I WITH GRANT OPTION', role);
	EXECUTE format('GRANT INSERT (account_id, low_balance), UPDATE (low_balance) ON stripe_credit.account TO %I', role);
	EXECUTE format('GRANT SELECT (id, valid_until, created_at) ON stripe_credit.webhook_secret TO %I', role);
	EXECUTE format('GRANT SELECT (livemode, created_at) ON stripe_credit.api_key TO %I', role);
END
$$;
COMMENT ON FUNCTION stripe_credit.administer(name) IS
	'lets a role that is no superuser run the extension, and grant its functions on';

CREATE FUNCTION stripe_credit.unadminister(role name) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF role IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'role must not be null';
	END IF;
	EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA stripe_credit FROM %I CASCADE', role);
	EXECUTE format('REVOKE INSERT (account_id, low_balance), UPDATE (low_balance) ON stripe_credit.account FROM %I CASCADE', role);
	EXECUTE format('REVOKE SELECT (id, valid_until, created_at) ON stripe_credit.webhook_secret FROM %I CASCADE', role);
	EXECUTE format('REVOKE SELECT (livemode, created_at) ON stripe_credit.api_key FROM %I CASCADE', role);
	EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA stripe_credit FROM %I CASCADE', role);
	EXECUTE format('REVOKE ALL ON SCHEMA stripe_credit FROM %I CASCADE', role);
END
$$;
COMMENT ON FUNCTION stripe_credit.unadminister(name) IS
	'takes back what administer gave, and what the role granted on';

----------------------------------------------------------------------
-- PostgREST
--
-- A browser may call what stands in the schema that PostgREST exposes, so what
-- stands there is thin: who calls comes from his token, and the work is done here.
----------------------------------------------------------------------

-- The account of whom PostgREST has let in.
CREATE FUNCTION stripe_credit.http_account() RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	account text := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb->>'sub', '');
BEGIN
	IF account IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'request names no user',
			DETAIL = 'Its token has no "sub", or it has no token.';
	END IF;
	RETURN account;
END
$$;
COMMENT ON FUNCTION stripe_credit.http_account() IS
	'internal: the account that a request through PostgREST is for, the sub of its token';

-- What anybody can send is answered, not raised: no stranger fills the server's log.
CREATE FUNCTION stripe_credit.http_webhook(payload json) RETURNS json
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN stripe_credit.webhook(payload::text,
		nullif(current_setting('request.headers', true), '')::json->>'stripe-signature');
EXCEPTION
	WHEN SQLSTATE 'PT400' OR SQLSTATE 'PT413' THEN
		PERFORM set_config('response.status', substr(SQLSTATE, 3), true);
		RETURN jsonb_build_object('ok', false, 'error', SQLERRM);
END
$$;
COMMENT ON FUNCTION stripe_credit.http_webhook(json) IS
	'internal: webhook() for a request through PostgREST, which brings the signature in its headers';

-- That a session exists is its buyer's to know.
CREATE FUNCTION stripe_credit.http_confirm_checkout(session_id text) RETURNS jsonb
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	account text := stripe_credit.http_account();
BEGIN
	IF NOT EXISTS (SELECT FROM stripe_credit.checkout c
				   WHERE c.session_id = http_confirm_checkout.session_id AND c.account_id = account)
		AND NOT EXISTS (SELECT FROM stripe_credit.payment p
						WHERE p.session_id = http_confirm_checkout.session_id AND p.posted_to = account)
	THEN
		RAISE EXCEPTION USING ERRCODE = 'PT404', MESSAGE = 'unknown session';
	END IF;
	RETURN stripe_credit.confirm_checkout(http_confirm_checkout.session_id);
END
$$;
COMMENT ON FUNCTION stripe_credit.http_confirm_checkout(text) IS
	'internal: confirm_checkout() for a request through PostgREST, of the caller''s own sessions';

-- What expose() makes.  The service's are our own functions under names that can
-- stand beside others; of the users' each is one caller's.
CREATE FUNCTION stripe_credit.wrappers(OUT for_role text, OUT name text, OUT types text, OUT arguments text, OUT returns text,
		OUT volatility text, OUT calls_stripe boolean, OUT body text, OUT description text) RETURNS SETOF record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
	VALUES
		('webhook', 'stripe_webhook', 'json', 'json', 'RETURNS json', 'VOLATILE', false,
		 'SELECT stripe_credit.http_webhook($1)',
		 'takes a webhook of Stripe''s as it comes'),
		('user', 'create_checkout', 'text, integer, text',
		 'pack_id text, quantity integer DEFAULT 1, idempotency_key text DEFAULT NULL, OUT session_id text, OUT url text, '
		 'OUT expires_at timestamptz, OUT credits bigint, OUT amount bigint, OUT currency text, OUT livemode boolean', '', 'VOLATILE', true,
		 'SELECT * FROM stripe_credit.create_checkout(stripe_credit.http_account(), $1, $2, idempotency_key => $3)',
		 'begins to buy a pack: send the buyer to the url'),
		('user', 'confirm_checkout', 'text', 'session_id text', 'RETURNS jsonb', 'VOLATILE', true,
		 'SELECT stripe_credit.http_confirm_checkout($1)',
		 'for the page that the buyer comes back to: credits what was paid'),
		('user', 'customer_portal', '', '', 'RETURNS text', 'VOLATILE', true,
		 'SELECT stripe_credit.customer_portal(stripe_credit.http_account())',
		 'where the buyer finds his cards and invoices, and cancels a subscription'),
		('user', 'credits', '',
		 'OUT balance bigint, OUT held bigint, OUT available bigint, OUT next_expiry timestamptz', '', 'STABLE', false,
		 'SELECT * FROM stripe_credit.balance(stripe_credit.http_account())',
		 'the caller''s credits: all, held, available, and when the next of them expire'),
		('user', 'credit_history', 'bigint, integer', 'before_seq bigint DEFAULT NULL, max_rows integer DEFAULT 50',
		 'RETURNS TABLE (seq bigint, kind text, credits bigint, balance bigint, idempotency_key text, payment_id text, '
		 'metadata jsonb, created_at timestamptz)', 'STABLE', false,
		 'SELECT * FROM stripe_credit.statement(stripe_credit.http_account(), $2, $1)',
		 'the caller''s ledger, newest first; page on with the last seq as before_seq'),
		('user', 'packs', '', '',
		 'RETURNS TABLE (pack_id text, name text, credits bigint, unit_amount bigint, currency text, recurring_interval text, '
		 'expires_after interval)', 'STABLE', false,
		 'SELECT pack_id, name, credits, unit_amount, currency, recurring_interval, expires_after '
		 'FROM stripe_credit.pack WHERE active ORDER BY currency, unit_amount, pack_id',
		 'what can be bought, with prices in minor units')
	UNION ALL
	SELECT 'service', w.name, oidvectortypes(p.proargtypes), pg_get_function_arguments(p.oid), '', 'VOLATILE', false,
		   format('SELECT * FROM %s(%s)', p.oid::regproc,
				  (SELECT string_agg('$' || n, ', ' ORDER BY n) FROM generate_series(1, p.pronargs) n)),
		   obj_description(p.oid, 'pg_proc')
	FROM (VALUES
		('spend_credits', 'spend'), ('reverse_spend', 'reverse_spend'), ('hold_credits', 'hold'),
		('capture_credits', 'capture'), ('release_credits', 'release'), ('grant_credits', 'grant_credits')) w (name, calls)
		JOIN pg_proc p ON p.pronamespace = 'stripe_credit'::regnamespace AND p.proname = w.calls
$$;
COMMENT ON FUNCTION stripe_credit.wrappers() IS 'internal: the functions that expose() makes';

-- What expose() has made says so; anything else of that name is somebody else's.
CREATE FUNCTION stripe_credit.find_wrapper(schema_name name, name text, types text) RETURNS regprocedure
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	found regprocedure := to_regprocedure(format('%I.%I(%s)', schema_name, name, types));
BEGIN
	IF obj_description(found, 'pg_proc') LIKE '%Made by stripe\_credit.expose().' THEN
		RETURN found;
	ELSIF found IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'duplicate_function',
			MESSAGE = format('function %s was not made by stripe_credit.expose()', found);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION stripe_credit.find_wrapper(name, text, text) IS
	'internal: a function that expose() has made, NULL if there is none';

CREATE FUNCTION stripe_credit.check_schema(schema_name name) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF schema_name IS NULL OR schema_name = 'stripe_credit' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'schema_name is not valid',
			DETAIL = 'It must be a schema that PostgREST exposes, which stripe_credit never should be.';
	ELSIF to_regnamespace(quote_ident(schema_name)) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_schema_name', MESSAGE = format('schema "%s" does not exist', schema_name);
	END IF;
END
$$;
COMMENT ON FUNCTION stripe_credit.check_schema(name) IS
	'internal: refuses a schema that expose() can''t use';

-- Default privileges may have given a new function to anybody.
CREATE FUNCTION stripe_credit.make_wrapper(schema_name name, name text, types text, definition text, description text)
	RETURNS regprocedure
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	known boolean := stripe_credit.find_wrapper(schema_name, name, types) IS NOT NULL;
	made regprocedure;
	grantee oid;
BEGIN
	EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I', schema_name, name) || definition;
	made := format('%I.%I(%s)', schema_name, name, types)::regprocedure;
	EXECUTE format('COMMENT ON FUNCTION %s IS %L', made, description || E'\n\nMade by stripe_credit.expose().');
	IF NOT known THEN
		FOR grantee IN
			SELECT DISTINCT x.grantee FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
			WHERE p.oid = made AND x.grantee <> p.proowner
		LOOP
			EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made,
				CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END);
		END LOOP;
	END IF;
	RETURN made;
END
$$;
COMMENT ON FUNCTION stripe_credit.make_wrapper(name, text, text, text, text) IS
	'internal: makes one function of expose(), or makes it anew, which at first nobody but its owner may call';

-- The functions belong to the caller, and do what he may do.
CREATE FUNCTION stripe_credit.expose(schema_name name, webhook_role name DEFAULT NULL, user_role name DEFAULT NULL,
		service_role name DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	grantee name;
	w record;
	made regprocedure;
	timeout text;
BEGIN
	PERFORM stripe_credit.check_schema(schema_name);
	FOREACH grantee IN ARRAY array_remove(ARRAY[webhook_role, user_role, service_role], NULL) LOOP
		IF to_regrole(quote_ident(grantee)) IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', grantee);
		ELSIF NOT has_schema_privilege(grantee, schema_name, 'USAGE') THEN
			EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, grantee);
		END IF;
	END LOOP;

	-- PostgREST gives a request as long as the function says, which must be longer than Stripe is waited for;
	-- the call before it loads the library, without which there is no such setting
	PERFORM stripe_credit.is_key('loaded');
	timeout := (SELECT format('SET statement_timeout = %L', least(s.setting::bigint + 5000, 2147483647) || 'ms')
				FROM pg_settings s WHERE s.name = 'stripe_credit.timeout');
	FOR w IN SELECT * FROM stripe_credit.wrappers() LOOP
		made := stripe_credit.make_wrapper(schema_name, w.name, w.types,
			format('(%s) %s LANGUAGE sql %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp %s AS %L',
				   w.arguments, w.returns, w.volatility, CASE WHEN w.calls_stripe THEN timeout END, w.body), w.description);
		-- as by GRANT ALL ON ALL ROUTINES IN SCHEMA, with which visitors could give themselves credits
		IF w.for_role = 'service' THEN
			EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
			FOREACH grantee IN ARRAY array_remove(array_remove(ARRAY[webhook_role, user_role], NULL), service_role) LOOP
				EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', made, grantee);
			END LOOP;
		END IF;
		grantee := CASE w.for_role WHEN 'webhook' THEN webhook_role WHEN 'user' THEN user_role ELSE service_role END;
		IF grantee IS NOT NULL THEN
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', made, grantee);
		END IF;
	END LOOP;
	NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION stripe_credit.expose(name, name, name, name) IS
	'makes thin functions for PostgREST in a schema that it exposes, and grants them: the webhook, what a user may do for himself, what a service may do for anybody';

CREATE FUNCTION stripe_credit.unexpose(schema_name name) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	made regprocedure;
BEGIN
	PERFORM stripe_credit.check_schema(schema_name);
	FOR made IN
		SELECT p.oid FROM pg_proc p
		WHERE p.pronamespace = quote_ident(schema_name)::regnamespace
		  AND obj_description(p.oid, 'pg_proc') LIKE '%Made by stripe\_credit.expose().'
	LOOP
		EXECUTE format('DROP FUNCTION %s', made);
	END LOOP;
	NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION stripe_credit.unexpose(name) IS
	'drops what expose() made in a schema';

-- ALTER DEFAULT PRIVILEGES acts inside CREATE EXTENSION: whatever it gave to
-- whomever is taken back, so that nobody but the owner has anything.
DO $$
DECLARE
	stmt text;
BEGIN
	FOR stmt IN
		SELECT pg_catalog.format('REVOKE ALL ON %s FROM %s CASCADE', o.name,
				CASE x.grantee WHEN 0 THEN 'PUBLIC'
				ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END)
		FROM (
			SELECT 'SCHEMA stripe_credit' AS name, n.nspowner AS owner,
				   coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) AS acl
			FROM pg_catalog.pg_namespace n WHERE n.nspname = 'stripe_credit'
			UNION ALL
			SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::pg_catalog.regclass::text,
				   c.relowner,
				   coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
			FROM pg_catalog.pg_class c
			WHERE c.relnamespace = 'stripe_credit'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v', 'S')
			UNION ALL
			SELECT 'FUNCTION ' || p.oid::pg_catalog.regprocedure::text, p.proowner,
				   coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
			FROM pg_catalog.pg_proc p
			WHERE p.pronamespace = 'stripe_credit'::pg_catalog.regnamespace
		) o, LATERAL pg_catalog.aclexplode(o.acl) x
		WHERE x.grantee <> o.owner
		GROUP BY o.name, x.grantee
	LOOP
		EXECUTE stmt;
	END LOOP;
END
$$;

----------------------------------------------------------------------
-- What a dump holds: the books and the settings, never the secrets
----------------------------------------------------------------------

SELECT pg_catalog.pg_extension_config_dump('stripe_credit.settings', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.pack', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.rate', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.payment_link', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.account', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.ledger', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.lot', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.hold', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.event', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.payment', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.checkout', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.customer', '');
SELECT pg_catalog.pg_extension_config_dump('stripe_credit.backfill_position', '');
