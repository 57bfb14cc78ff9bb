\i test/helpers.sql
-- Grants, adjustments, balances and statements; and what check_books() finds.

--
-- Keys
--
SELECT * FROM stripe_credit.balance('alice');
SELECT * FROM stripe_credit.grant_credits('alice', 100, 'welcome');
SELECT * FROM stripe_credit.grant_credits('alice', 100, 'welcome') AS again;
-- what comes with it is not compared, nor looked at
SELECT * FROM stripe_credit.grant_credits('alice', 100, 'welcome', '-infinity', 5, '{"a": 1}');
SELECT * FROM stripe_credit.adjust_credits('alice', -30, 'fix', 'oops');
SELECT * FROM stripe_credit.adjust_credits('alice', -30, 'fix', 'another word');
SELECT * FROM stripe_credit.grant_credits('alice', 100, 'welcome');
SELECT what, split_part(t.try(statement), ' | ', 1) AS got FROM (VALUES
	(1, 'other credits', $$SELECT stripe_credit.grant_credits('alice', 101, 'welcome')$$),
	(2, 'other operation', $$SELECT stripe_credit.adjust_credits('alice', 100, 'welcome', 'x')$$),
	(3, 'the other way', $$SELECT stripe_credit.adjust_credits('alice', 30, 'fix', 'x')$$),
	(4, 'a grant of it', $$SELECT stripe_credit.grant_credits('alice', 30, 'fix')$$)
) AS c (n, what, statement) ORDER BY n;
-- the key space is the account's; case and Unicode form count
SELECT duplicate, balance FROM stripe_credit.grant_credits('Alice', 1, 'welcome');
SELECT duplicate, balance FROM stripe_credit.grant_credits('alice', 1, 'Welcome');
SELECT duplicate, balance FROM stripe_credit.grant_credits(U&'\00e9', 1, 'welcome');
SELECT duplicate, balance FROM stripe_credit.grant_credits(U&'e\0301', 2, 'welcome');
SELECT duplicate, balance FROM stripe_credit.grant_credits('alice', 1, U&'\00e9');
SELECT duplicate, balance FROM stripe_credit.grant_credits('alice', 1, U&'e\0301');
SELECT count(*) AS accounts FROM stripe_credit.account;
SELECT seq, kind, credits, balance, idempotency_key, payment_id, metadata, created_at <= clock_timestamp() AS past
	FROM stripe_credit.statement('alice');
SELECT lot_id, priority, expires_at, granted, remaining FROM t.lots() WHERE account_id = 'alice' ORDER BY 1;

--
-- Arguments
--
SELECT what, t.try('SELECT 1 FROM stripe_credit.' || call) AS got FROM (VALUES
	(1, 'zero', $$grant_credits('bob', 0, 'k')$$),
	(2, 'negative', $$grant_credits('bob', -1, 'k')$$),
	(3, 'credits NULL', $$grant_credits('bob', NULL, 'k')$$),
	(4, 'account NULL', $$grant_credits(NULL, 1, 'k')$$),
	(5, 'key NULL', $$grant_credits('bob', 1, NULL)$$),
	(6, 'account empty', $$grant_credits('', 1, 'k')$$),
	(7, 'key empty', $$grant_credits('bob', 1, '')$$),
	(8, 'a space before', $$grant_credits(' bob', 1, 'k')$$),
	(9, 'a space behind', $$grant_credits('bob ', 1, 'k')$$),
	(10, 'a space before the key', $$grant_credits('bob', 1, ' k')$$),
	(11, 'a tab', $$grant_credits(E'b\tb', 1, 'k')$$),
	(12, 'a line break at the end', $$grant_credits(E'bob\n', 1, 'k')$$),
	(13, 'DEL', $$grant_credits(E'b\x7fb', 1, 'k')$$),
	(14, 'a C1 control', $$grant_credits(U&'b\0085b', 1, 'k')$$),
	(15, 'the last of them in a key', $$grant_credits('bob', 1, U&'k\009f')$$),
	(16, '201 bytes', $$grant_credits(repeat('a', 201), 1, 'k')$$),
	(17, '101 characters of 202 bytes', $$grant_credits(repeat(U&'\00e9', 101), 1, 'k')$$),
	(18, 'key of 201 bytes', $$grant_credits('bob', 1, repeat('k', 201))$$),
	(19, '200 bytes', $$grant_credits(repeat('a', 200), 1, repeat('k', 200))$$),
	(20, '100 characters of 200 bytes', $$grant_credits(repeat(U&'\00e9', 100), 1, 'k')$$),
	(21, 'one byte', $$grant_credits('b', 1, 'k')$$),
	(22, 'a space inside', $$grant_credits('b b', 1, 'k')$$),
	(23, 'expired already', $$grant_credits('bob', 1, 'k', now() - interval '1 s')$$),
	(24, 'expires now', $$grant_credits('bob', 1, 'k', now())$$),
	(25, '-infinity', $$grant_credits('bob', 1, 'k', '-infinity')$$),
	(26, 'infinity', $$grant_credits('bob', 1, 'k', 'infinity')$$),
	(27, 'adjust zero', $$adjust_credits('bob', 0, 'z', 'x')$$),
	(28, 'adjust NULL', $$adjust_credits('bob', NULL, 'z', 'x')$$),
	(29, 'adjust by -2^63', $$adjust_credits('bob', -9223372036854775808, 'z', 'x')$$),
	(30, 'reason NULL', $$adjust_credits('bob', 1, 'z', NULL)$$),
	(31, 'reason empty', $$adjust_credits('bob', 1, 'z', '')$$),
	(32, 'reason blank', $$adjust_credits('bob', 1, 'z', E' \n')$$),
	(33, 'account NULL', $$adjust_credits(NULL, 1, 'z', 'x')$$),
	(34, 'key NULL', $$adjust_credits('bob', 1, NULL, 'x')$$),
	(35, 'balance of NULL', $$balance(NULL)$$),
	(36, 'balance of nothing', $$balance('')$$),
	(37, 'statement of NULL', $$statement(NULL)$$),
	(38, 'statement of nothing', $$statement(' ')$$),
	(39, 'no rows', $$statement('bob', 0)$$),
	(40, 'NULL rows', $$statement('bob', NULL)$$)
) AS c (n, what, call) ORDER BY n;
-- metadata is kept as it is, up to a size
SELECT t.state($$SELECT stripe_credit.grant_credits('bob', 1, 'm1', NULL, NULL, jsonb_build_object('a', repeat('x', 3000)))$$) AS fits,
	t.try($$SELECT stripe_credit.grant_credits('bob', 1, 'm2', NULL, NULL, jsonb_build_object('a', repeat('x', 1048577)))$$) AS too_large,
	t.state($$SELECT stripe_credit.grant_credits('bob', 1, 'm3', NULL, NULL, 'null')$$) AS json_null,
	t.state($$SELECT stripe_credit.grant_credits('bob', 1, 'm4', NULL, -2147483648, '[1.50, "€"]')$$) AS list;
SELECT seq, idempotency_key, metadata FROM stripe_credit.statement('bob', 2);

--
-- What does not fit into a bigint
--
SELECT balance FROM stripe_credit.grant_credits('max', 9223372036854775807, 'all');
SELECT t.try($$SELECT stripe_credit.grant_credits('max', 1, 'one more')$$) AS over;
SELECT balance FROM stripe_credit.adjust_credits('min', -9223372036854775807, 'all', 'x');
SELECT balance FROM stripe_credit.adjust_credits('min', -1, 'one', 'x');
SELECT t.try($$SELECT stripe_credit.adjust_credits('min', -1, 'one more', 'x')$$) AS under;
SELECT t.state($$SELECT stripe_credit.grant_credits('max', 9223372036854775808, 'k')$$) AS no_bigint;
-- a refusal leaves its key free, and no account behind
SELECT duplicate, balance FROM stripe_credit.adjust_credits('min', 1, 'one more', 'x');
SELECT t.state($$SELECT stripe_credit.grant_credits('nobody', 1, 'k', now() - interval '1 s')$$) AS refused,
	count(*) AS accounts FROM stripe_credit.account WHERE account_id = 'nobody';

--
-- Debts: made by an adjustment, paid by what comes next
--
SELECT seq, balance, held, available, duplicate FROM stripe_credit.adjust_credits('carl', -50, 'd1', 'debt');
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'carl';
SELECT balance FROM stripe_credit.grant_credits('carl', 30, 'd2');
SELECT balance FROM stripe_credit.adjust_credits('carl', 40, 'd3', 'sorry');
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'carl';
SELECT lot_id, granted, remaining FROM t.lots() WHERE account_id = 'carl' ORDER BY 1;
SELECT kind, id, account_id, detail FROM stripe_credit.attention ORDER BY 1, 2;

--
-- Spending order: priority, then expiry, then promotional, then oldest
--
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, expires_after, priority)
	VALUES ('plain', 10, 1000, 'usd', NULL, NULL), ('dated', 10, 1000, 'usd', '1000 years', NULL), ('first', 10, 1000, 'usd', NULL, -1);
SELECT t.deliver(t.session('e1', t.meta('erin', 'plain'))) AS one, t.deliver(t.session('e2', t.meta('erin', 'dated'))) AS two,
	t.deliver(t.session('e3', t.meta('erin', 'first'))) AS three;
SELECT count(*) AS granted FROM (VALUES ('4', NULL::timestamptz, NULL::int), ('5', NULL, NULL), ('6', '2500-01-01', NULL),
		('7', '2400-01-01', NULL), ('8', NULL, 0), ('9', '2600-01-01', 0), ('10', NULL, -1)) AS g (key, expires_at, priority),
	LATERAL stripe_credit.grant_credits('erin', 10, key, expires_at, priority);
-- ten times nine: after each the lots that are left
CREATE FUNCTION t.left(who text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(lot_id || ':' || remaining, ' ' ORDER BY lot_id) FROM t.lots() WHERE account_id = who AND remaining > 0
$$;
SELECT n, (stripe_credit.adjust_credits('erin', -9, 'spend ' || n, 'order')).balance, t.left('erin') AS lots FROM generate_series(1, 11) AS n;
SELECT n, (stripe_credit.adjust_credits('erin', -9, 'spend ' || n, 'order')).balance, t.left('erin') AS lots FROM generate_series(12, 12) AS n;

--
-- Expiry: from its moment on it counts no more, whether or not it was entered
--
SELECT balance FROM stripe_credit.grant_credits('fay', 10, 'stays');
SELECT clock_timestamp() + interval '1.5 s' AS soon \gset
SELECT (stripe_credit.grant_credits('fay', 5, 'goes', :'soon')).balance, (SELECT next_expiry = :'soon' AS expires FROM stripe_credit.balance('fay'));
SELECT (stripe_credit.grant_credits('gus', 100, 'goes', :'soon')).balance;
SELECT t.await(:'soon') AS expired;
SELECT balance, available, next_expiry FROM stripe_credit.balance('fay');
SELECT balance, seq FROM stripe_credit.account WHERE account_id = 'fay';
SELECT seq, balance, available, duplicate FROM stripe_credit.grant_credits('fay', 5, 'goes', '-infinity');
-- the next adjustment enters it
SELECT seq, balance, available FROM stripe_credit.adjust_credits('fay', -1, 'touch', 'x');
SELECT account_id, seq, kind, credits, balance, lot_id FROM stripe_credit.ledger WHERE account_id = 'fay' ORDER BY seq;
SELECT lot_id, granted, remaining, expired FROM t.lots() WHERE account_id = 'fay' ORDER BY lot_id;
-- what has expired pays no debt, and nothing can be taken from it
SELECT balance FROM stripe_credit.adjust_credits('gus', -30, 'owes', 'x');
SELECT account_id, seq, kind, credits, balance FROM stripe_credit.ledger WHERE account_id = 'gus' ORDER BY seq;
-- a correction of a purchase that has expired costs nothing more, entered or not
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, expires_after) VALUES ('minute', 100, 1000, 'usd', '1 minute');
SELECT t.deliver(t.session('h1', t.meta('hal', 'minute', '100'))) AS bought_long_ago,
	t.deliver(t.session('h1', t.meta('hal', 'minute', '40'), '{"id": "evt_h1_40"}')) AS corrected;
SELECT account_id, seq, kind, credits, balance FROM stripe_credit.ledger WHERE account_id = 'hal' ORDER BY seq;
SELECT balance, available FROM stripe_credit.balance('hal');
SELECT p.posted, l.reversed_expired FROM stripe_credit.payment p JOIN stripe_credit.lot l USING (payment_id) WHERE payment_id = 'pi_h1';

--
-- Statements
--
SELECT count((stripe_credit.grant_credits('ida', n, 'k' || n)).seq) AS granted FROM generate_series(1, 60) AS n;
SELECT count(*), max(seq), min(seq) FROM stripe_credit.statement('ida');
SELECT seq, credits FROM stripe_credit.statement('ida', 3);
SELECT seq, credits FROM stripe_credit.statement('ida', 3, 58);
SELECT seq, credits FROM stripe_credit.statement('ida', before_seq => 3);
SELECT count(*) AS none FROM stripe_credit.statement('ida', 3, 1);
SELECT count(*) AS everything FROM stripe_credit.statement('ida', 2147483647, NULL);
SELECT count(*) AS unknown FROM stripe_credit.statement('unknown');

--
-- create_accounts off: only who is known
--
UPDATE stripe_credit.settings SET create_accounts = false;
SELECT t.try($$SELECT stripe_credit.grant_credits('jane', 1, 'k')$$) AS granted,
	t.try($$SELECT stripe_credit.adjust_credits('jane', 1, 'k', 'x')$$) AS adjusted,
	t.deliver(t.session('j1', t.meta('jane', 'plain'))) AS bought,
	t.try($$SELECT stripe_credit.resolve('evt_j1', 'jane', 1)$$) AS resolved;
INSERT INTO stripe_credit.account (account_id) VALUES ('jane');
SELECT balance FROM stripe_credit.grant_credits('jane', 1, 'k');
SELECT t.short(stripe_credit.replay('evt_j1')) AS bought;
SELECT t.state($$INSERT INTO stripe_credit.account (account_id) VALUES ('jane ')$$) AS no_name;
UPDATE stripe_credit.settings SET create_accounts = true;
SELECT * FROM stripe_credit.check_books();

--
-- check_books(): each kind of damage, and nothing else
--
SELECT t.deliver(t.session('z1', t.meta('zed', 'plain') || '{"payment_link": "plink_z"}')) AS bought,
	(stripe_credit.adjust_credits('zed', -4, 'used', 'x')).balance;
CREATE FUNCTION t.damage(statement text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	found text;
	done bigint;
BEGIN
	EXECUTE statement;
	GET DIAGNOSTICS done = ROW_COUNT;
	SELECT string_agg(invariant || ' [' || detail || ']', '; ' ORDER BY invariant COLLATE "C", detail COLLATE "C") INTO found
		FROM stripe_credit.check_books();
	RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = done || ' row: ' || coalesce(found, 'nothing found');
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	RETURN SQLERRM;	-- which has undone it
END
$$;
SELECT n, t.damage(statement) AS found FROM (VALUES
	(1, $$UPDATE stripe_credit.account SET balance = 7 WHERE account_id = 'zed'$$),
	(2, $$UPDATE stripe_credit.account SET seq = 3 WHERE account_id = 'zed'$$),
	(3, $$UPDATE stripe_credit.ledger SET seq = 3 WHERE account_id = 'zed' AND seq = 2$$),
	(4, $$UPDATE stripe_credit.ledger SET balance = 9 WHERE account_id = 'zed' AND seq = 1$$),
	(5, $$UPDATE stripe_credit.ledger SET credits = 11 WHERE account_id = 'zed' AND seq = 1$$),
	(6, $$DELETE FROM stripe_credit.account WHERE account_id = 'zed'$$),
	(7, $$UPDATE stripe_credit.account SET held = 2 WHERE account_id = 'zed'$$),
	(8, $$UPDATE stripe_credit.account SET head_remaining = 7 WHERE account_id = 'zed'$$),
	(9, $$DELETE FROM stripe_credit.lot WHERE account_id = 'zed'$$),
	(10, $$UPDATE stripe_credit.lot SET lot_id = 3 WHERE account_id = 'zed'$$),
	(11, $$UPDATE stripe_credit.lot SET expires_at = '2500-01-01 00:00:00+00' WHERE account_id = 'zed'$$),
	(12, $$DELETE FROM stripe_credit.payment WHERE payment_id = 'pi_z1'$$),
	(13, $$UPDATE stripe_credit.payment SET posted_to = 'zoe' WHERE payment_id = 'pi_z1'$$),
	(14, $$UPDATE stripe_credit.payment SET posted = 9 WHERE payment_id = 'pi_z1'$$),
	(15, $$UPDATE stripe_credit.payment SET credits = 9 WHERE payment_id = 'pi_z1'$$),
	(16, $$UPDATE stripe_credit.payment SET paid = false WHERE payment_id = 'pi_z1'$$),
	(17, $$UPDATE stripe_credit.payment SET posted = 0, posted_to = NULL WHERE payment_id = 'pi_z1'$$),
	(18, $$INSERT INTO stripe_credit.payment_link VALUES ('plink_z', 'gone')$$),
	(19, $$UPDATE stripe_credit.ledger SET payment_id = 'pi_x' WHERE account_id = 'zed' AND seq = 1$$),
	(20, $$UPDATE stripe_credit.ledger SET kind = 'grant' WHERE account_id = 'zed' AND seq = 1$$),
	(21, $$INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance) VALUES ('zed', 3, 'grant', 1, 7)$$),
	(22, $$UPDATE stripe_credit.lot SET account_id = 'zoe' WHERE account_id = 'zed'$$)
) AS c (n, statement) ORDER BY n;
-- each of these by some name
SELECT what, t.damage(statement) LIKE '1 row: %[%' AS found FROM (VALUES
	(1, 'a lot that a debit would have brought', $$UPDATE stripe_credit.lot SET lot_id = 2 WHERE account_id = 'zed'$$),
	(2, 'a lot of another payment', $$UPDATE stripe_credit.lot SET payment_id = 'pi_h1' WHERE account_id = 'zed'$$),
	(3, 'a lot of no payment', $$UPDATE stripe_credit.lot SET payment_id = 'pi_gone' WHERE account_id = 'zed'$$),
	(4, 'an entry of a lot that is not there', $$UPDATE stripe_credit.ledger SET lot_id = 99 WHERE account_id = 'zed' AND seq = 1$$),
	(5, 'a floor that lets a balance sink', $$UPDATE stripe_credit.account SET floor = -5 WHERE account_id = 'zed'$$),
	(6, 'a lot of more than was granted', $$UPDATE stripe_credit.lot SET granted = 5 WHERE account_id = 'zed'$$),
	(7, 'an entry of an unknown kind', $$UPDATE stripe_credit.ledger SET kind = 'gift' WHERE account_id = 'zed' AND seq = 2$$),
	(8, 'an event in an unknown state', $$UPDATE stripe_credit.event SET status = 'lost' WHERE event_id = 'evt_z1'$$),
	(9, 'a count below zero', $$UPDATE stripe_credit.payment SET credits = -1, posted = -1 WHERE payment_id = 'pi_z1'$$)
) AS c (n, what, statement) ORDER BY n;
-- and what the tables themselves refuse
SELECT n, t.state(statement) AS refused FROM (VALUES
	(1, $$UPDATE stripe_credit.account SET balance = -1 WHERE account_id = 'zed'$$),
	(2, $$UPDATE stripe_credit.account SET held = 7 WHERE account_id = 'zed'$$),
	(3, $$UPDATE stripe_credit.account SET floor = 1 WHERE account_id = 'zed'$$),
	(4, $$UPDATE stripe_credit.lot SET remaining = -1 WHERE account_id = 'zed'$$),
	(5, $$INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance, idempotency_key) VALUES ('zed', 3, 'grant', 1, 7, 'used')$$),
	(6, $$INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance) VALUES ('zed', 2, 'grant', 1, 7)$$)
) AS c (n, statement) ORDER BY n;
SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
