\i test/helpers.sql
-- What anybody can send: refused, and nothing is written anywhere.
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('starter', 100, 1000, 'usd');
INSERT INTO stripe_credit.rate VALUES ('usd', 1, 10);
SELECT t.deliver(t.session('first', t.meta('alice', 'starter'))) AS something_to_lose;

-- A delivery in short, and whether it left anything behind.  All of an error is
-- looked at: neither the body's own word nor the secret may be in it.
CREATE FUNCTION t.attack(payload bytea, signature text) RETURNS text
	LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	before text := t.fingerprint();
	result text;
	state text;
	message text;
	detail text;
	hint text;
	context text;
BEGIN
	BEGIN
		result := t.short(stripe_credit.webhook_bytes(payload, signature));
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
		result := concat_ws(' | ', state || ' ' || message, nullif(detail, ''));
		IF concat(message, detail, hint, context) ~* 'sesame|whsec' THEN
			result := result || ' AND TELLS';
		END IF;
	END;
	IF result !~ '^(PT4|ignored|duplicate)' THEN
		RETURN result;
	END IF;
	RETURN result || CASE WHEN t.fingerprint() = before THEN '' ELSE ' AND WRITES' END;
END
$$;
-- a body under a good signature
CREATE FUNCTION t.body(payload bytea) RETURNS text
	LANGUAGE sql VOLATILE AS 'SELECT t.attack(payload, t.sign(payload))';
CREATE FUNCTION t.body(payload text) RETURNS text
	LANGUAGE sql VOLATILE AS $$SELECT t.body(convert_to(payload, 'UTF8'))$$;

--
-- Headers
--
-- %t is the time, %s the right signature of what stands behind "t=", %w a wrong one
CREATE FUNCTION t.header(template text, at bigint DEFAULT t.unix_now()) RETURNS text
	LANGUAGE sql VOLATILE AS $$
	SELECT t.attack(b, replace(replace(replace(template, '%t', at::text),
		'%s', t.hmac(convert_to(coalesce(substring(replace(template, '%t', at::text) FROM 't=([^,; ]*)'), at::text) || '.', 'UTF8') || b, 'whsec_t')),
		'%w', repeat('0', 64)))
	FROM (SELECT convert_to(t.session('first', t.meta('sesame', 'starter'))::text, 'UTF8') AS b) x
$$;
SELECT what, t.header(template) AS got FROM (VALUES
	(1, 'good', 't=%t,v1=%s'),
	(2, 'empty', ''),
	(3, 'blank', '  '),
	(4, 'no t', 'v1=%s'),
	(5, 'two t', 't=%t,t=%t,v1=%s'),
	(6, 'a second t that is empty', 't=%t,t=,v1=%s'),
	(7, 'empty t', 't=,v1=%s'),
	(8, 'negative t', 't=-%t,v1=%s'),
	(9, 't with a plus', 't=+%t,v1=%s'),
	(10, 't with a zero before', 't=0%t,v1=%s'),
	(11, 'fractional t', 't=%t.0,v1=%s'),
	(12, 't with an exponent', 't=1e9,v1=%s'),
	(13, 'hexadecimal t', 't=0x1,v1=%s'),
	(14, 'huge t', 't=99999999999,v1=%s'),
	(15, 't beyond bigint', 't=9223372036854775808,v1=%s'),
	(16, 'T', 'T=%t,v1=%s'),
	(17, 'a space inside t', 't= %t,v1=%s'),
	(18, 'no v1', 't=%t'),
	(19, 'v0 only', 't=%t,v0=%s'),
	(20, 'V1', 't=%t,V1=%s'),
	(21, 'wrong', 't=%t,v1=%w'),
	(22, 'too short', 't=%t,v1=abc'),
	(23, 'too long', 't=%t,v1=%s0'),
	(24, 'empty v1', 't=%t,v1='),
	(25, 'a space inside v1', 't=%t,v1= %s'),
	(26, 'semicolon', 't=%t;v1=%s'),
	(27, 'no equals', 't%t,v1%s'),
	(28, 'line break', E't=%t,\nv1=%s'),
	(29, 'non-ASCII', 't=%t,v1=%s' || U&'\00e9'),
	(30, 'non-ASCII digits', 't=' || U&'\0661\0662' || ',v1=%s'),
	(31, 'wrong, then right', 't=%t,v1=%w,v1=%s'),
	(32, 'right, then wrong', 't=%t,v1=%s,v1=%w'),
	(33, 'v1 before t', 'v1=%s,t=%t'),
	(34, 'spaces around', ' t=%t , v1=%s '),
	(35, 'rubbish between', 't=%t,,x,=,v2=%w,v1=x,' || U&'\+01f600' || ',v0=%w,v1=%s'),
	(36, '200 wrong, then right', 't=%t' || repeat(',v1=%w', 200) || ',v1=%s'),
	(37, '1000 wrong, then right', 't=%t' || repeat(',v1=%w', 1000) || ',v1=%s'),
	(38, 'a megabyte of commas', 't=%t,v1=%s' || repeat(',', 1000000)),
	(39, 'a megabyte of digits', 't=' || repeat('1', 1000000) || ',v1=%s')
) AS c (n, what, template) ORDER BY n;
-- in capitals, which Stripe never writes
SELECT t.attack(b, 't=' || n || ',v1=' || upper(t.hmac(convert_to(n || '.', 'UTF8') || b, 'whsec_t'))) AS capitals
	FROM (SELECT convert_to(t.session('first')::text, 'UTF8') AS b, t.unix_now() AS n) x;
-- the age, on both sides; the tolerance is 300 s
SELECT t.header('t=%t,v1=%s', t.unix_now() - 290) AS old, t.header('t=%t,v1=%s', t.unix_now() - 320) AS too_old,
	t.header('t=%t,v1=%s', t.unix_now() + 290) AS early, t.header('t=%t,v1=%s', t.unix_now() + 320) AS too_early,
	t.header('t=%t,v1=%s', 0) AS of_1970;
-- another body, another secret, another time
SELECT t.attack(b || ' ', t.sign(b)) AS body, t.attack(b, t.sign(b, 'whsec_T')) AS secret, t.attack(b, t.sign(b, '')) AS no_secret,
	t.attack(b, replace(t.sign(b, 'whsec_t', n), 't=' || n, 't=' || n + 1)) AS time
	FROM (SELECT convert_to(t.session('second', t.meta('sesame', 'starter'))::text, 'UTF8') AS b, t.unix_now() AS n) x;
SELECT t.attack(NULL, 't=1,v1=') AS no_body, t.attack('{}', NULL) AS no_header, t.attack(NULL, NULL) AS neither,
	t.state('SELECT stripe_credit.webhook(NULL, NULL)') AS as_text;
-- the signature is the first thing that is looked at, whatever the body is
SELECT t.attack('\xfeff00', 't=1,v1=x') AS rubbish, t.attack('', 't=1,v1=' || repeat('0', 64)) AS nothing;

--
-- Bodies, each under a good signature
--
SELECT what, t.body(body) AS got FROM (VALUES
	(1, 'empty', ''),
	(2, 'spaces', '   '),
	(3, 'null', 'null'),
	(4, 'true', 'true'),
	(5, 'a number', '5'),
	(6, 'a string', '"sesame"'),
	(7, 'an array', '[{"id": "evt_1", "object": "event"}]'),
	(8, 'an empty object', '{}'),
	(9, 'a byte order mark', U&'\feff' || '{"id": "evt_1", "object": "event", "type": "x"}'),
	(10, 'garbage behind it', '{"id": "evt_1", "object": "event", "type": "x"} sesame'),
	(11, 'another object behind it', '{"id": "evt_1", "object": "event", "type": "x"}{}'),
	(12, 'truncated', '{"id": "evt_1", "object": "event", "type": "sesame'),
	(13, 'not closed', '{"id": "evt_1", "object": "event", "type": "x"'),
	(14, 'a comma too many', '{"id": "evt_1", "object": "event", "type": "x",}'),
	(15, 'single quotes', $${'id': 'evt_1', 'object': 'event'}$$),
	(16, 'a comment', '{"id": "evt_1", "object": "event" /* sesame */}'),
	(17, 'NaN', '{"id": "evt_1", "object": "event", "x": NaN}'),
	(18, 'a tab in a string', E'{"id": "evt_1", "object": "event", "x": "\t"}'),
	(19, 'a bad escape', '{"id": "evt_1", "object": "event", "x": "\x"}'),
	(20, 'no object', '{"id": "evt_1", "type": "x"}'),
	(21, 'another object', '{"id": "evt_1", "object": "sesame", "type": "x"}'),
	(22, 'Event', '{"id": "evt_1", "object": "Event", "type": "x"}'),
	(23, 'a thin event', '{"id": "evt_1", "object": "v2.core.event", "type": "v1.checkout.session.completed", "livemode": false, "created": "2026-11-01T00:00:00Z", "related_object": {"id": "cs_1", "type": "checkout.session", "url": "/v1/checkout/sessions/cs_1"}}'),
	(24, 'no id', '{"object": "event", "type": "x"}'),
	(25, 'id null', '{"id": null, "object": "event", "type": "x"}'),
	(26, 'id a number', '{"id": 5, "object": "event", "type": "x"}'),
	(27, 'id empty', '{"id": "", "object": "event", "type": "x"}'),
	(28, 'id evt_', '{"id": "evt_", "object": "event", "type": "x"}'),
	(29, 'id of something else', '{"id": "cs_1", "object": "event", "type": "x"}'),
	(30, 'id with a dash', '{"id": "evt_1-2", "object": "event", "type": "x"}'),
	(31, 'id non-ASCII', '{"id": "evt_' || U&'\00e9' || '", "object": "event", "type": "x"}'),
	(32, 'id of 254 bytes', '{"id": "evt_' || repeat('a', 250) || '", "object": "event", "type": "x"}'),
	(33, 'id of 255 bytes', '{"id": "evt_' || repeat('a', 251) || '", "object": "event", "type": "x"}'),
	(34, 'id of 10,000 bytes', '{"id": "evt_' || repeat('a', 9996) || '", "object": "event", "type": "x"}'),
	(35, 'id twice', '{"id": "evt_1", "id": "evt_2", "object": "event", "type": "x"}'),
	(36, 'id twice, once by an escape', '{"id": "evt_1", "\u0069d": "evt_2", "object": "event", "type": "x"}'),
	(37, 'the same type twice', '{"id": "evt_1", "object": "event", "type": "x", "type": "x"}'),
	(38, 'data twice', '{"id": "evt_1", "object": "event", "type": "x", "data": {}, "data": {}}'),
	(39, 'twice what nobody reads', '{"id": "evt_1", "object": "event", "type": "x", "sesame": 1, "sesame": 2}'),
	(40, 'an id by an escape', '{"\u0069\u0064": "evt_\u0031", "object": "event", "type": "x"}'),
	(41, 'NUL in the id', '{"id": "evt_\u0000", "object": "event", "type": "x"}'),
	(42, 'NUL in the type', '{"id": "evt_1", "object": "event", "type": "x\u0000"}'),
	(43, 'NUL where nobody reads', '{"id": "evt_1", "object": "event", "type": "x", "sesame": "\u0000", "\u0000": 1}'),
	(44, 'half of a pair in the type', '{"id": "evt_1", "object": "event", "type": "\ud83d"}'),
	(45, 'half of a pair where nobody reads', '{"id": "evt_1", "object": "event", "type": "x", "sesame": "\ud83d"}'),
	(46, '64 deep', '{"id": "evt_1", "object": "event", "type": "x", "x": ' || repeat('[', 63) || repeat(']', 63) || '}'),
	(47, '65 deep', '{"id": "evt_1", "object": "event", "type": "x", "x": ' || repeat('[', 64) || repeat(']', 64) || '}'),
	(48, '65 objects deep', repeat('{"a":', 64) || '{}' || repeat('}', 64)),
	(49, '100,000 deep', repeat('[', 100000)),
	(50, 'spaces around', E' \r\n\t{"id": "evt_1", "object": "event", "type": "x"}\n ')
) AS c (n, what, body) ORDER BY n;
-- bytes that are no UTF-8, also where nobody reads
SELECT what, t.body(convert_to('{"id": "evt_1", "object": "event", "type": "x", "x": "', 'UTF8') || bytes || convert_to('"}', 'UTF8')) AS got
	FROM (VALUES (1, 'LATIN1', '\xe9'::bytea), (2, 'NUL', '\x00'), (3, 'overlong', '\xc080'), (4, 'surrogate', '\xeda080'),
		(5, 'beyond Unicode', '\xf4908080'), (6, 'cut off', '\xe282'), (7, 'good', '\xe282ac')) AS c (n, what, bytes) ORDER BY n;
SELECT t.body('\x00'::bytea) AS nul, t.body('\xff'::bytea) AS ff, t.body(repeat('x', 1048577)) AS too_large,
	t.attack(convert_to(repeat('x', 1048577), 'UTF8'), 'sesame') AS before_the_signature,
	t.body(repeat(' ', 1048576 - 52) || '{"id": "evt_1", "object": "event", "type": "sesame"}') AS just_not;

--
-- Sessions whose envelope is good: twice or NUL is refused, what cannot be used is kept
--
CREATE FUNCTION t.object(member text, name text DEFAULT 'x') RETURNS text
	LANGUAGE sql VOLATILE AS $$
	SELECT t.body(format('{"id": "evt_%s", "object": "event", "type": "checkout.session.completed", "created": 1700000000, '
		'"livemode": false, "data": {"object": {"id": "cs_%s", "mode": "payment", "payment_status": "paid", '
		'"payment_intent": "pi_%s", "client_reference_id": "bob", %s}}}', name, name, name, member))
$$;
SELECT what, t.object(member) AS got FROM (VALUES
	(1, 'the amount twice', '"amount_total": 1000, "currency": "usd", "amount_total": 1000'),
	(2, 'by an escape', '"amount_total": 1000, "currency": "usd", "amount\u005ftotal": 99'),
	(3, 'metadata twice', '"metadata": {}, "metadata": {}'),
	(4, 'in the metadata', '"metadata": {"stripe_credit_account": "a", "stripe_credit_account": "sesame"}'),
	(5, 'in the metadata by an escape', '"metadata": {"stripe_credit_account": "a", "stripe_credit_\u0061ccount": "sesame"}'),
	(6, 'in total_details', '"total_details": {"amount_tax": 1, "amount_tax": 1}'),
	(7, 'NUL in the account', '"metadata": {"stripe_credit_account": "a\u0000"}'),
	(8, 'NUL in the currency', '"currency": "us\u0000"'),
	(9, 'half of a pair in the account', '"metadata": {"stripe_credit_account": "\udc00"}')
) AS c (n, what, member) ORDER BY n;
-- nothing of the object is read where the type is not ours, and nothing is refused for it
SELECT t.body('{"id": "evt_x", "object": "event", "type": "x", "data": {"object": {"id": "a", "id": "\u0000"}}}') AS another_type;

SELECT what, t.object(member, 'a' || n) AS got FROM (VALUES
	(1, 'good', '"amount_total": 1000, "currency": "usd"'),
	(2, 'in the app''s own metadata twice', '"amount_total": 1000, "currency": "usd", "metadata": {"x": "1", "x": "\u0000"}'),
	(3, 'no amount', '"currency": "usd"'),
	(4, 'null', '"amount_total": null, "currency": "usd"'),
	(5, 'below zero', '"amount_total": -1, "currency": "usd"'),
	(6, 'minus zero', '"amount_total": -0, "currency": "usd"'),
	(7, 'an exponent', '"amount_total": 1e3, "currency": "usd"'),
	(8, 'a fraction', '"amount_total": 10.5, "currency": "usd"'),
	(9, 'a whole fraction', '"amount_total": 1000.0, "currency": "usd"'),
	(10, '2^63', '"amount_total": 9223372036854775808, "currency": "usd"'),
	(11, '-2^63', '"amount_total": -9223372036854775808, "currency": "usd"'),
	(12, '10,000 digits', '"amount_total": 1' || repeat('0', 9999) || ', "currency": "usd"'),
	(13, 'a string', '"amount_total": "1000", "currency": "usd"'),
	(14, 'an object', '"amount_total": {}, "currency": "usd"'),
	(15, 'true', '"amount_total": true, "currency": "usd"'),
	(16, 'the subtotal a string', '"amount_total": 1000, "amount_subtotal": "x", "currency": "usd"'),
	(17, 'no currency', '"amount_total": 1000'),
	(18, 'upper case', '"amount_total": 1000, "currency": "USD"'),
	(19, 'four letters', '"amount_total": 1000, "currency": "usdt"'),
	(20, 'no letters', '"amount_total": 1000, "currency": "u$d"'),
	(21, 'empty', '"amount_total": 1000, "currency": ""'),
	(22, 'currency null', '"amount_total": 1000, "currency": null'),
	(23, 'currency a list', '"amount_total": 1000, "currency": ["usd"]'),
	(24, 'total_details a string', '"amount_total": 1000, "currency": "usd", "total_details": "x"'),
	(25, 'tax a string', '"amount_total": 1000, "currency": "usd", "total_details": {"amount_tax": "x"}')
) AS c (n, what, member) ORDER BY n;
-- ids
SELECT what, t.body(jsonb_set(t.session('b' || n, '{"client_reference_id": "bob"}'), path, id)::text) AS got FROM (VALUES
	(1, 'session empty', '{data,object,id}'::text[], '""'::jsonb),
	(2, 'session null', '{data,object,id}', 'null'),
	(3, 'session of something else', '{data,object,id}', '"pi_1"'),
	(4, 'session with a quote', '{data,object,id}', '"cs_''"'),
	(5, 'session of 10,000 bytes', '{data,object,id}', to_jsonb('cs_' || repeat('a', 9997))),
	(6, 'intent empty', '{data,object,payment_intent}', '""'),
	(7, 'intent a number', '{data,object,payment_intent}', '5'),
	(8, 'intent of 10,000 bytes', '{data,object,payment_intent}', to_jsonb('pi_' || repeat('a', 9997))),
	(9, 'expanded intent', '{data,object,payment_intent}', '{"id": "pi_1"}'),
	(10, 'customer of 10,000 bytes', '{data,object,customer}', to_jsonb(repeat('a', 10000))),
	(11, 'account of 10,000 bytes', '{data,object,client_reference_id}', to_jsonb(repeat('a', 10000))),
	(12, 'account of 201 bytes', '{data,object,client_reference_id}', to_jsonb(repeat('a', 201))),
	(13, 'account of 20 bytes', '{data,object,client_reference_id}', to_jsonb(repeat('a', 20))),
	(14, 'account with a line break', '{data,object,client_reference_id}', '"bob\n"'),
	(15, 'link of 10,000 bytes', '{data,object,payment_link}', to_jsonb(repeat('a', 10000))),
	(16, 'type of 10,000 bytes', '{type}', to_jsonb(repeat('a', 10000))),
	(17, 'data null', '{data}', 'null'),
	(18, 'data a list', '{data}', '[]'),
	(19, 'object null', '{data,object}', 'null'),
	(20, 'object empty', '{data,object}', '{}'),
	(21, 'created a string', '{created}', '"x"'),
	(22, 'created below zero', '{created}', '-1'),
	(23, 'created huge', '{created}', '9223372036854775807'),
	(24, 'livemode a string', '{livemode}', '"false"')
) AS c (n, what, path, id) ORDER BY n;
SELECT count(*) AS kept, count(*) FILTER (WHERE payload IS NULL AND facts IS NULL) AS lost
	FROM stripe_credit.event WHERE status = 'unmatched';
-- what is kept can be read again, and a person can decide each of them
SELECT count(*) AS replayed, count(*) FILTER (WHERE r->>'status' = 'unmatched') AS unmatched
	FROM (SELECT stripe_credit.replay(event_id) AS r FROM stripe_credit.event WHERE status = 'unmatched' ORDER BY event_id) x;
CREATE TABLE t.reasons AS SELECT event_id, reason FROM stripe_credit.event WHERE status = 'unmatched';
UPDATE stripe_credit.settings SET keep_payload = 'none';
SELECT count(stripe_credit.replay(event_id)) AS replayed FROM t.reasons;
SELECT DISTINCT payload IS NULL AS no_payload, facts IS NOT NULL AS facts FROM stripe_credit.event WHERE status = 'unmatched';
SELECT count(stripe_credit.replay(event_id)) AS replayed FROM t.reasons;
SELECT r.*, e.reason AS now FROM t.reasons r JOIN stripe_credit.event e USING (event_id) WHERE (e.status, e.reason) IS DISTINCT FROM ('unmatched', r.reason);
UPDATE stripe_credit.settings SET keep_payload = DEFAULT;
SELECT count(*) AS resolved, sum((r->>'credits')::int) AS credits
	FROM (SELECT stripe_credit.resolve(event_id, 'rest', 1) AS r FROM stripe_credit.event WHERE status = 'unmatched' ORDER BY event_id) x
	WHERE r->>'status' = 'applied';
SELECT account_id, balance FROM stripe_credit.account ORDER BY 1;

-- a failure of ours is no refusal: it goes up, and nothing is written
CREATE FUNCTION t.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'disk full'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON stripe_credit.ledger FOR EACH ROW EXECUTE FUNCTION t.refuse();
SELECT t.fingerprint() AS before \gset
SELECT t.try($$SELECT t.deliver(t.session('c1', t.meta('alice', 'starter')))$$) AS failed;
SELECT t.fingerprint() = :'before' AS unchanged;
DROP TRIGGER refuse ON stripe_credit.ledger;
SELECT t.deliver(t.session('c1', t.meta('alice', 'starter'))) AS delivered_again;

SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
