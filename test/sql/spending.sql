\i test/helpers.sql
-- Spends, holds, and what they take from which lots.
-- the books of one account in short
CREATE FUNCTION t.book(who text) RETURNS TABLE (seq bigint, kind text, credits bigint, balance bigint, key text, lots text, reverses bigint)
	LANGUAGE sql VOLATILE AS $$
	SELECT seq, kind, credits, balance, idempotency_key, coalesce(lot_id::text, (SELECT string_agg(lot || ':' || part, ' ' ORDER BY n)
		FROM unnest(l.lots, l.taken) WITH ORDINALITY AS u (lot, part, n))), nullif(reverses, 0)
	FROM stripe_credit.ledger l WHERE account_id = who ORDER BY seq
$$;
-- what is left in its lots, in the order of their coming
CREATE FUNCTION t.left(who text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(lot_id || ':' || remaining || CASE WHEN expired > 0 THEN '(' || expired || ' expired)' ELSE '' END, ' ' ORDER BY lot_id)
	FROM t.lots() WHERE account_id = who
$$;
CREATE SEQUENCE t.grants;
CREATE FUNCTION t.grant(who text, credits bigint, expires_at timestamptz DEFAULT NULL, priority integer DEFAULT NULL) RETURNS bigint
	LANGUAGE sql VOLATILE AS $$
	SELECT seq FROM stripe_credit.grant_credits(who, credits, 'grant ' || nextval('t.grants'), expires_at, priority)
$$;

--
-- A spend, its key, and being refused
--
SELECT t.try($$SELECT stripe_credit.spend('alice', 5, 'job 1')$$) AS nobody;
SELECT count(*) AS accounts FROM stripe_credit.account;
SELECT t.grant('alice', 100);
SELECT * FROM stripe_credit.spend('alice', 30, 'job 1', '{"model": "large"}');
SELECT * FROM stripe_credit.spend('alice', 30, 'job 1', '{"model": "another"}') AS again;
SELECT * FROM stripe_credit.spend('alice', 30) AS without_key;
SELECT * FROM stripe_credit.spend('alice', 30) AS without_key_again;
SELECT t.try($$SELECT stripe_credit.spend('alice', 11, 'job 2')$$) AS too_many;
-- refused, so the key is free; and all that is there can be spent
SELECT * FROM stripe_credit.spend('alice', 10, 'job 2');
SELECT t.try($$SELECT stripe_credit.spend('alice', 1, 'job 3')$$) AS nothing_left;
-- what was made before is answered though nothing is left
SELECT * FROM stripe_credit.spend('alice', 30, 'job 1') AS again;
SELECT what, t.try('SELECT 1 FROM stripe_credit.' || call) AS got FROM (VALUES
	(1, 'other credits', $$spend('alice', 31, 'job 1')$$),
	(2, 'a hold of its key', $$hold('alice', 30, 'job 1')$$),
	(3, 'a grant of its key', $$grant_credits('alice', 30, 'job 1')$$),
	(4, 'an adjustment of its key', $$adjust_credits('alice', -30, 'job 1', 'x')$$),
	(5, 'many with its key', $$spend_many('alice', '{29}', '{job 1}')$$)
) AS c (n, what, call) ORDER BY n;
SELECT seq, kind, credits, balance, idempotency_key, metadata FROM stripe_credit.statement('alice');
-- accounts that look alike are not the same
SELECT count(t.grant(who, 1)) FROM unnest(ARRAY['Bob', 'bob', U&'b\00f6b', U&'bo\0308b']) AS who;
SELECT (stripe_credit.spend(who, 1, 'k')).balance FROM unnest(ARRAY['Bob', 'bob', U&'b\00f6b', U&'bo\0308b']) AS who;
SELECT t.state($$SELECT stripe_credit.spend('bob', 1, 'K')$$) AS spent;

--
-- The spending order, and what a spend costs
--
SELECT t.grant('carl', 10) AS plain, t.grant('carl', 10, '2500-01-01') AS dated, t.grant('carl', 10, '2400-01-01') AS dated_before,
	t.grant('carl', 10, NULL, 5) AS first, t.grant('carl', 10, '2300-01-01', 7) AS second;
SELECT n, (stripe_credit.spend('carl', 9, 's' || n)).balance, t.left('carl') AS lots FROM generate_series(1, 5) AS n;
SELECT * FROM t.book('carl') WHERE kind = 'spend';
SELECT head_lot, head_remaining FROM stripe_credit.account WHERE account_id = 'carl';
-- a lot that comes first is spent first, whatever was begun
SELECT t.grant('carl', 3, NULL, 1) AS first_of_all;
SELECT (stripe_credit.spend('carl', 1, 's6')).balance, t.left('carl') AS lots;
SELECT (stripe_credit.spend('carl', 3, 's7')).balance, t.left('carl') AS lots;
-- one of a hundred lots: one heap-only update of the account, one entry, and nothing else
SELECT count(t.grant('dora', 10, '2500-01-01'::timestamptz + n * interval '1 day')) FROM generate_series(1, 100) AS n;
CREATE TABLE t.cost (what text, inserted bigint, updated bigint, hot bigint, deleted bigint);
CREATE FUNCTION t.costs(statement text) RETURNS SETOF t.cost LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	CREATE TEMP TABLE before ON COMMIT DROP AS SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del
		FROM pg_stat_xact_user_tables WHERE schemaname = 'stripe_credit';
	EXECUTE statement;
	RETURN QUERY SELECT s.relname::text, s.n_tup_ins - b.n_tup_ins, s.n_tup_upd - b.n_tup_upd, s.n_tup_hot_upd - b.n_tup_hot_upd, s.n_tup_del - b.n_tup_del
		FROM pg_stat_xact_user_tables s JOIN before b USING (relname)
		WHERE s.schemaname = 'stripe_credit' AND (s.n_tup_ins, s.n_tup_upd, s.n_tup_del) IS DISTINCT FROM (b.n_tup_ins, b.n_tup_upd, b.n_tup_del) ORDER BY 1;
	DROP TABLE before;
END
$$;
VACUUM stripe_credit.account;
SELECT * FROM t.costs($$SELECT stripe_credit.spend('dora', 5, 'cheap')$$);
SELECT * FROM t.costs($$SELECT stripe_credit.spend('dora', 5, 'the rest of the lot')$$);
SELECT * FROM t.costs($$SELECT stripe_credit.hold('dora', 5, 'from the next')$$);
SELECT * FROM t.costs($$SELECT stripe_credit.spend_many('dora', '{1,1,1}', '{a,b,c}')$$);
SELECT * FROM t.costs($$SELECT stripe_credit.spend('dora', 1, 'a')$$) AS duplicate;
-- and all of the others at once
SELECT (stripe_credit.spend('dora', 980, 'nearly all')).balance;
SELECT cardinality(lots) AS lots, (SELECT sum(c) FROM unnest(taken) AS c) AS taken FROM stripe_credit.ledger WHERE account_id = 'dora' AND idempotency_key = 'nearly all';
SELECT (stripe_credit.reverse_spend('dora', 'nearly all')).balance;
SELECT (stripe_credit.release('dora', 'from the next')).available;
SELECT count(*) FILTER (WHERE remaining = granted) AS whole, count(*) AS lots, sum(remaining) FROM t.lots() WHERE account_id = 'dora';
SELECT * FROM stripe_credit.check_books();

--
-- Undoing a spend
--
SELECT t.grant('erin', 10) AS plain, t.grant('erin', 10, NULL, 1) AS first;
SELECT (stripe_credit.spend('erin', 15, 'job')).balance, t.left('erin') AS lots;
SELECT * FROM stripe_credit.reverse_spend('erin', 'job');
SELECT t.left('erin') AS lots;
SELECT * FROM stripe_credit.reverse_spend('erin', 'job') AS again;
SELECT * FROM stripe_credit.spend('erin', 15, 'job') AS the_spend_again;
SELECT seq, kind, credits, balance, idempotency_key FROM stripe_credit.statement('erin', 2);
SELECT * FROM t.book('erin');
SELECT what, t.try('SELECT 1 FROM stripe_credit.' || call) AS got FROM (VALUES
	(1, 'an unknown key', $$reverse_spend('erin', 'other')$$),
	(2, 'an unknown account', $$reverse_spend('nobody', 'job')$$),
	(3, 'a grant', format('reverse_spend(%L, %L)', 'erin', (SELECT idempotency_key FROM stripe_credit.ledger WHERE account_id = 'erin' AND seq = 1)))
) AS c (n, what, call) ORDER BY n;

--
-- Holds
--
SELECT t.grant('fay', 100);
SELECT * FROM stripe_credit.hold('fay', 60, 'stream');
SELECT * FROM stripe_credit.hold('fay', 60, 'stream', '1 hour') AS again;
SELECT * FROM stripe_credit.balance('fay');
SELECT t.try($$SELECT stripe_credit.hold('fay', 41, 'more')$$) AS too_many, t.try($$SELECT stripe_credit.spend('fay', 41)$$) AS spent,
	t.try($$SELECT stripe_credit.hold('nobody', 1, 'more')$$) AS nobody;
SELECT what, t.try('SELECT 1 FROM stripe_credit.' || call) AS got FROM (VALUES
	(1, 'other credits', $$hold('fay', 61, 'stream')$$),
	(2, 'a spend of its key', $$spend('fay', 60, 'stream')$$),
	(3, 'many with its key', $$spend_many('fay', '{1,60}', '{other,stream}')$$),
	(4, 'a grant of its key', $$grant_credits('fay', 60, 'stream')$$),
	(5, 'an adjustment of its key', $$adjust_credits('fay', 60, 'stream', 'x')$$),
	(6, 'not captured, so not a spend', $$reverse_spend('fay', 'stream')$$),
	(7, 'capture more', $$capture('fay', 'stream', 61)$$),
	(8, 'capture nothing', $$capture('fay', 'stream', 0)$$),
	(9, 'capture another', $$capture('fay', 'other', 1)$$),
	(10, 'capture of nobody', $$capture('nobody', 'stream', 1)$$),
	(11, 'release another', $$release('fay', 'other')$$),
	(12, 'release of nobody', $$release('nobody', 'stream')$$),
	(13, 'capture a grant', format('capture(%L, %L, 1)', 'fay', (SELECT idempotency_key FROM stripe_credit.ledger WHERE account_id = 'fay')))
) AS c (n, what, call) ORDER BY n;
SELECT * FROM stripe_credit.capture('fay', 'stream', 25);
SELECT * FROM stripe_credit.capture('fay', 'stream', 25) AS again;
SELECT * FROM stripe_credit.hold('fay', 60, 'stream') AS the_hold_again;
SELECT t.try($$SELECT stripe_credit.capture('fay', 'stream', 26)$$) AS more, t.try($$SELECT stripe_credit.capture('fay', 'stream', 61)$$) AS more_than_held,
	t.try($$SELECT stripe_credit.release('fay', 'stream')$$) AS released, t.try($$SELECT stripe_credit.spend('fay', 25, 'stream')$$) AS spent;
SELECT * FROM stripe_credit.hold('fay', 75, 'all');
SELECT * FROM stripe_credit.release('fay', 'all');
SELECT * FROM stripe_credit.release('fay', 'all') AS again;
SELECT * FROM stripe_credit.hold('fay', 75, 'all') AS the_hold_again;
SELECT t.try($$SELECT stripe_credit.capture('fay', 'all', 75)$$) AS captured;
SELECT * FROM stripe_credit.reverse_spend('fay', 'stream');
SELECT * FROM stripe_credit.reverse_spend('fay', 'stream') AS again;
SELECT * FROM stripe_credit.capture('fay', 'stream', 25) AS the_capture_again;
SELECT * FROM t.book('fay');
SELECT idempotency_key, credits, captured, state, expires_at > created_at AS later, closed_at IS NULL AS open FROM stripe_credit.hold WHERE account_id = 'fay' ORDER BY created_at;
-- of several lots, the first to be spent are captured, and the rest returns
SELECT t.grant('gus', 10) AS plain, t.grant('gus', 10, NULL, 1) AS first;
SELECT (stripe_credit.hold('gus', 15, 'h')).available, t.left('gus') AS lots;
SELECT (stripe_credit.capture('gus', 'h', 12)).available, t.left('gus') AS lots;
SELECT * FROM t.book('gus') WHERE kind = 'capture';
SELECT (stripe_credit.reverse_spend('gus', 'h')).available, t.left('gus') AS lots;

--
-- What has expired can't be spent from that very moment, whether or not it was entered
--
SELECT clock_timestamp() + interval '1 s' AS soon \gset
SELECT t.grant('hal', 10, :'soon') AS goes, t.grant('hal', 5) AS stays, t.grant('ida', 10, :'soon') AS goes, t.grant('jan', 10, :'soon') AS goes, t.grant('jan', 7, :'soon') AS too;
SELECT (stripe_credit.spend('hal', 1, 'before')).available, (SELECT next_expiry = :'soon' FROM stripe_credit.balance('hal')) AS expires;
SELECT (stripe_credit.hold('ida', 8, 'keeps')).available, (stripe_credit.hold('ida', 1, 'returns')).available, (stripe_credit.spend('jan', 3, 'undone')).available;
SELECT t.await(:'soon');
SELECT who, b.* FROM unnest('{hal,ida,jan}'::text[]) AS who, stripe_credit.balance(who) AS b ORDER BY 1;
SELECT t.try($$SELECT stripe_credit.spend('hal', 6, 'after')$$) AS spent, t.try($$SELECT stripe_credit.hold('ida', 1, 'after')$$) AS held,
	t.try($$SELECT stripe_credit.spend_many('jan', '{1,1}')$$) AS many;
SELECT count(*) AS entered FROM stripe_credit.ledger WHERE kind = 'expiry';
SELECT (stripe_credit.spend('hal', 5, 'after')).balance;
SELECT * FROM t.book('hal');
-- a hold kept its credits through the expiry: what is captured is spent, what returns has expired
SELECT * FROM stripe_credit.capture('ida', 'keeps', 5);
SELECT * FROM stripe_credit.release('ida', 'returns');
SELECT * FROM t.book('ida');
SELECT t.left('ida') AS lots;
-- and so has what comes back from an undone spend
SELECT * FROM stripe_credit.reverse_spend('jan', 'undone');
SELECT * FROM t.book('jan');
SELECT seq, balance, duplicate FROM stripe_credit.reverse_spend('jan', 'undone');
SELECT * FROM stripe_credit.check_books();

--
-- Holds expire by themselves
--
SELECT t.grant('kim', 10), t.grant('lea', 10);
SELECT (stripe_credit.hold('kim', 10, 'short', '0.5 s')).available, (stripe_credit.hold('lea', 4, 'short', '0.5 s')).available, (stripe_credit.hold('lea', 3, 'long')).available;
SELECT max(expires_at) AS soon FROM stripe_credit.hold WHERE idempotency_key = 'short' \gset
SELECT t.await(:'soon');
SELECT who, b.* FROM unnest('{kim,lea}'::text[]) AS who, stripe_credit.balance(who) AS b ORDER BY 1;
SELECT t.try($$SELECT stripe_credit.capture('kim', 'short', 1)$$) AS captured;
SELECT state FROM stripe_credit.hold WHERE account_id = 'kim';
SELECT * FROM stripe_credit.spend('kim', 10, 'all of it');
SELECT state, closed_at = expires_at AS in_time FROM stripe_credit.hold WHERE account_id = 'kim';
SELECT * FROM stripe_credit.release('kim', 'short') AS is_gone;
SELECT * FROM stripe_credit.hold('kim', 10, 'short') AS the_hold_again;
SELECT * FROM stripe_credit.release('lea', 'short') AS is_gone;
SELECT * FROM stripe_credit.hold('lea', 7, 'rest');
SELECT * FROM stripe_credit.check_books();

--
-- Debts: nothing can be spent, but what is held can; and what comes back pays them first
--
SELECT t.grant('max', 100);
SELECT (stripe_credit.spend('max', 20, 'spent')).balance, (stripe_credit.hold('max', 30, 'held')).available, (stripe_credit.hold('max', 10, 'held too')).available;
SELECT * FROM stripe_credit.adjust_credits('max', -100, 'mistake', 'not his');
SELECT floor, head_remaining FROM stripe_credit.account WHERE account_id = 'max';
SELECT t.try($$SELECT stripe_credit.spend('max', 1, 'more')$$) AS spent, t.try($$SELECT stripe_credit.hold('max', 1, 'more')$$) AS held;
SELECT kind, id, detail FROM stripe_credit.attention WHERE account_id = 'max';
SELECT * FROM stripe_credit.capture('max', 'held', 25);
SELECT * FROM stripe_credit.release('max', 'held too');
SELECT * FROM stripe_credit.reverse_spend('max', 'spent');
SELECT t.left('max') AS lots, floor FROM stripe_credit.account WHERE account_id = 'max';
SELECT (stripe_credit.reverse_spend('max', 'held')).available, t.left('max') AS lots;
SELECT (stripe_credit.adjust_credits('max', 30, 'sorry', 'his after all')).available, t.left('max') AS lots;
SELECT t.try($$SELECT stripe_credit.spend('max', 31, 'more')$$) AS too_many;
SELECT (stripe_credit.spend('max', 30, 'more')).available;
SELECT * FROM t.book('max');
SELECT * FROM stripe_credit.check_books();

--
-- Where a purchase was written off, what comes back makes that good first
--
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.deliver(t.session('n1', t.meta('nat', NULL, '100'))) AS bought;
SELECT (stripe_credit.spend('nat', 50, 'job')).available, (stripe_credit.hold('nat', 40, 'stream')).available;
SELECT t.deliver(t.session('n1', t.meta('nat', NULL, '20'), '{"id": "evt_n1_20"}')) AS corrected;
SELECT balance, held, available FROM stripe_credit.balance('nat');
SELECT granted, remaining, written_off FROM t.lots() WHERE account_id = 'nat';
SELECT (stripe_credit.capture('nat', 'stream', 10)).available;
SELECT (stripe_credit.reverse_spend('nat', 'job')).available, t.left('nat') AS lots;
SELECT (stripe_credit.reverse_spend('nat', 'stream')).available, t.left('nat') AS lots;
SELECT * FROM t.book('nat');
SELECT * FROM stripe_credit.check_books();
UPDATE stripe_credit.settings SET on_overdraw = 'debt';

--
-- Many at once
--
SELECT t.grant('oda', 100);
SELECT * FROM stripe_credit.spend_many('oda', '{10,20,30}', '{a,NULL,c}');
SELECT * FROM stripe_credit.spend_many('oda', '{10,20,30}', '{a,NULL,c}') AS again;
SELECT t.try($$SELECT stripe_credit.spend_many('oda', '{10,11}', '{d,e}')$$) AS too_many;
SELECT * FROM stripe_credit.spend_many('oda', '{10,5}', '{d,a2}');
SELECT t.try($$SELECT stripe_credit.spend_many('oda', '{1,10}', '{f,d2}')$$) AS too_many;
SELECT * FROM stripe_credit.spend_many('oda', '{1,1}');
SELECT * FROM stripe_credit.spend_many('oda', '{10,3}', '{a,g}') AS one_is_known;
SELECT count(*) AS none FROM stripe_credit.spend_many('oda', '{}');
SELECT t.try($$SELECT stripe_credit.spend_many('nobody', '{1}')$$) AS nobody, t.try($$SELECT stripe_credit.spend_many('oda', '{1,1}', '{h,a}')$$) AS key_of_another;
-- from one lot to the next
SELECT t.grant('oda', 2, NULL, 1) AS first, t.grant('oda', 5, NULL, 2) AS second, t.grant('oda', 5) AS last;
SELECT * FROM stripe_credit.spend_many('oda', '{1,3,4}', '{p,q,r}');
SELECT * FROM t.book('oda') WHERE key IN ('p', 'q', 'r');
SELECT * FROM stripe_credit.check_books();

--
-- Bad input
--
SELECT what, t.try('SELECT 1 FROM stripe_credit.' || call) AS got FROM (VALUES
	(1, 'spend zero', $$spend('alice', 0)$$),
	(2, 'spend a negative number', $$spend('alice', -1, 'k')$$),
	(3, 'spend NULL', $$spend('alice', NULL, 'k')$$),
	(4, 'spend all there can be', $$spend('alice', 9223372036854775807, 'k')$$),
	(5, 'spend 2^63', $$spend('alice', 9223372036854775808, 'k')$$),
	(6, 'account NULL', $$spend(NULL, 1, 'k')$$),
	(7, 'account empty', $$spend('', 1, 'k')$$),
	(8, 'account of 10 kB', $$spend(repeat('a', 10240), 1, 'k')$$),
	(9, 'a space before', $$spend(' alice', 1, 'k')$$),
	(10, 'a space behind', $$hold('alice ', 1, 'k')$$),
	(11, 'key empty', $$spend('alice', 1, '')$$),
	(12, 'key of 10 kB', $$spend('alice', 1, repeat('k', 10240))$$),
	(13, 'a line break in the key', $$spend('alice', 1, E'k\nk')$$),
	(14, 'metadata of 1 MB', $$spend('alice', 1, 'k', jsonb_build_object('a', repeat('x', 1048577)))$$),
	(15, 'hold zero', $$hold('alice', 0, 'k')$$),
	(16, 'hold NULL', $$hold('alice', NULL, 'k')$$),
	(17, 'hold without key', $$hold('alice', 1, NULL)$$),
	(18, 'ttl NULL', $$hold('alice', 1, 'k', NULL)$$),
	(19, 'ttl zero', $$hold('alice', 1, 'k', '0')$$),
	(20, 'ttl negative', $$hold('alice', 1, 'k', '-1 s')$$),
	(21, 'ttl too long', $$hold('alice', 1, 'k', '1001 years')$$),
	(22, 'capture NULL', $$capture('alice', 'k', NULL)$$),
	(23, 'capture negative', $$capture('alice', 'k', -1)$$),
	(24, 'capture without key', $$capture('alice', NULL, 1)$$),
	(25, 'release without key', $$release('alice', NULL)$$),
	(26, 'release of NULL', $$release(NULL, 'k')$$),
	(27, 'reverse without key', $$reverse_spend('alice', NULL)$$),
	(28, 'reverse of NULL', $$reverse_spend(NULL, 'k')$$),
	(29, 'many NULL', $$spend_many('alice', NULL)$$),
	(30, 'one of them NULL', $$spend_many('alice', '{1,NULL}')$$),
	(31, 'one of them zero', $$spend_many('alice', '{1,0}')$$),
	(32, 'a key twice', $$spend_many('alice', '{1,1}', '{k,k}')$$),
	(33, 'fewer keys', $$spend_many('alice', '{1,1}', '{k}')$$),
	(34, 'more keys', $$spend_many('alice', '{1}', '{k,l}')$$),
	(35, 'a bad key', $$spend_many('alice', '{1,1}', ARRAY['k', ' l'])$$),
	(36, 'two dimensions', $$spend_many('alice', '{{1,1},{1,1}}')$$),
	(37, 'a sum of 2^63', $$spend_many('alice', '{9223372036854775807,1}')$$),
	(38, 'of NULL', $$spend_many(NULL, '{1}')$$)
) AS c (n, what, call) ORDER BY n;
-- what is largest
SELECT (stripe_credit.grant_credits('pam', 9223372036854775807, 'all')).balance, (stripe_credit.hold('pam', 9223372036854775806, 'h', '1000 years')).available,
	(stripe_credit.spend('pam', 1, 's')).available, (stripe_credit.capture('pam', 'h', 9223372036854775806)).balance;
SELECT (stripe_credit.reverse_spend('pam', 'h')).balance, t.state($$SELECT stripe_credit.grant_credits('pam', 2, 'more')$$) AS over;
SELECT (stripe_credit.grant_credits('pam', 1, 'more')).balance, t.state($$SELECT stripe_credit.reverse_spend('pam', 's')$$) AS over;
SELECT (stripe_credit.adjust_credits('qin', -9223372036854775807, 'all', 'x')).balance, t.state($$SELECT stripe_credit.spend('qin', 9223372036854775807)$$) AS spent;
SELECT t.state($$SELECT stripe_credit.spend('bob', 1, 'K', jsonb_build_object('a', repeat('x', 3000)))$$) AS metadata;

--
-- maintain(): enters what has expired, tries again what waits, forgets what is old
--
SELECT stripe_credit.maintain() ->> 'complete' AS complete;
SELECT clock_timestamp() + interval '0.5 s' AS soon \gset
SELECT count(t.grant('ron', n, :'soon')) + count(t.grant('sue', n, :'soon')) AS lots FROM generate_series(1, 3) AS n;
SELECT t.grant('ron', 5) IS NOT NULL AS stays, (stripe_credit.hold('ron', 1, 'a', '0.2 s')).held, (stripe_credit.hold('ron', 6, 'b', '0.3 s')).held,
	(stripe_credit.hold('sue', 2, 'c', '1 hour')).held;
SELECT t.await(:'soon');
SELECT stripe_credit.maintain(2), stripe_credit.maintain(2), stripe_credit.maintain(2), stripe_credit.maintain(2), stripe_credit.maintain(2);
SELECT count(*) AS expired, sum(credits) FROM stripe_credit.ledger WHERE account_id IN ('ron', 'sue') AND kind = 'expiry';
SELECT account_id, balance, held FROM stripe_credit.account WHERE account_id IN ('ron', 'sue') ORDER BY 1;
SELECT t.deliver(t.session('s1', t.meta('sid', 'later'))) AS bought, t.deliver(t.session('s2', t.meta('sid', 'never'))) AS bought_too,
	t.deliver(t.session('s3', t.meta('sid', 'later') || '{"payment_status": "unpaid"}')) AS unpaid;
SELECT stripe_credit.maintain();
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('later', 10, 1000, 'usd');
-- one after the other comes to its turn
SELECT count(*) AS rounds, sum((m ->> 'retried')::int) AS retried, sum((m ->> 'applied')::int) AS applied FROM generate_series(1, 3), stripe_credit.maintain(1) AS m;
SELECT event_id, status, reason FROM stripe_credit.event WHERE event_id LIKE 'evt\_s_' ORDER BY 1;
-- of events, only those that have been applied are forgotten, and their payment is not
UPDATE stripe_credit.event SET received_at = now() - interval '89 days';
SELECT stripe_credit.maintain() ->> 'pruned' AS too_young;
UPDATE stripe_credit.event SET received_at = now() - interval '91 days';
UPDATE stripe_credit.settings SET keep_payload = 'all';
SELECT stripe_credit.maintain() ->> 'pruned' AS kept;
UPDATE stripe_credit.settings SET keep_payload = 'unapplied';
SELECT stripe_credit.maintain() ->> 'pruned' AS pruned;
SELECT event_id, status FROM stripe_credit.event ORDER BY 1;
SELECT t.deliver(t.session('s1', t.meta('sid', 'later'))) AS comes_again;
SELECT t.try('SELECT stripe_credit.maintain(0)') AS zero, t.try('SELECT stripe_credit.maintain(NULL)') AS none, t.try('SELECT stripe_credit.maintain(-1)') AS negative;
SELECT * FROM stripe_credit.check_books();

--
-- attention: holds that nobody closed
--
SELECT t.grant('tim', 10), (stripe_credit.hold('tim', 4, 'h1')).held, (stripe_credit.hold('tim', 3, 'h2')).held, (stripe_credit.hold('tim', 2, 'h3')).held;
UPDATE stripe_credit.hold SET expires_at = now() - interval '61 min' WHERE account_id = 'tim' AND idempotency_key <> 'h3';
UPDATE stripe_credit.account SET hold_expiry = now() - interval '61 min' WHERE account_id = 'tim';
SELECT kind, id, account_id, since < now() - interval '1 hour' AS since, detail FROM stripe_credit.attention WHERE account_id = 'tim';
SELECT stripe_credit.maintain() ->> 'expired' AS expired, (SELECT count(*) FROM stripe_credit.attention WHERE account_id = 'tim') AS before;
SELECT count(*) AS left FROM stripe_credit.attention WHERE account_id = 'tim';
-- a debt that an expired hold pays is none
SELECT t.grant('una', 10), (stripe_credit.hold('una', 10, 'h')).held, (stripe_credit.adjust_credits('una', -4, 'd', 'x')).available;
SELECT kind, detail FROM stripe_credit.attention WHERE account_id = 'una';
UPDATE stripe_credit.account SET hold_expiry = now() WHERE account_id = 'una';
UPDATE stripe_credit.hold SET expires_at = now() WHERE account_id = 'una';
SELECT count(*) AS debts FROM stripe_credit.attention WHERE account_id = 'una';
SELECT available FROM stripe_credit.balance('una');

--
-- check_books(): what can be wrong with spends and holds
--
SELECT t.grant('zed', 10) AS one, t.grant('zed', 10, NULL, 1) AS two, (stripe_credit.spend('zed', 12, 'both')).balance, (stripe_credit.hold('zed', 3, 'open')).held,
	(stripe_credit.hold('zed', 1, 'caught')).held, (stripe_credit.capture('zed', 'caught', 1)).balance, (stripe_credit.spend('zed', 1, 'undone')).balance,
	(stripe_credit.reverse_spend('zed', 'undone')).balance, t.grant('zed', 5) AS another;
CREATE FUNCTION t.damage(statement text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	found text;
	done bigint;
BEGIN
	EXECUTE statement;
	GET DIAGNOSTICS done = ROW_COUNT;
	SELECT string_agg(DISTINCT invariant, '; ' ORDER BY invariant) INTO found FROM stripe_credit.check_books();
	RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = done || ' row: ' || coalesce(found, 'nothing found');
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	RETURN SQLERRM;	-- which has undone it
END
$$;
SELECT n, t.damage(statement) AS found FROM (VALUES
	(1, $$UPDATE stripe_credit.account SET head_lot = 2 WHERE account_id = 'zed'$$),
	(2, $$UPDATE stripe_credit.account SET head_lot = NULL WHERE account_id = 'zed'$$),
	(3, $$UPDATE stripe_credit.account SET head_lot = 99 WHERE account_id = 'zed'$$),
	(4, $$UPDATE stripe_credit.account SET head_remaining = 3 WHERE account_id = 'zed'$$),
	(5, $$UPDATE stripe_credit.account SET hold_expiry = NULL WHERE account_id = 'zed'$$),
	(6, $$UPDATE stripe_credit.account SET hold_expiry = 'infinity' WHERE account_id = 'zed'$$),
	(7, $$UPDATE stripe_credit.account SET held = 2 WHERE account_id = 'zed'$$),
	(8, $$UPDATE stripe_credit.hold SET state = 'released' WHERE account_id = 'zed' AND idempotency_key = 'open'$$),
	(9, $$UPDATE stripe_credit.hold SET state = 'lost' WHERE account_id = 'zed' AND idempotency_key = 'open'$$),
	(10, $$UPDATE stripe_credit.hold SET credits = 4 WHERE account_id = 'zed' AND idempotency_key = 'open'$$),
	(11, $$UPDATE stripe_credit.hold SET lots = '{99}' WHERE account_id = 'zed' AND idempotency_key = 'open'$$),
	(12, $$UPDATE stripe_credit.hold SET captured = 0 WHERE account_id = 'zed' AND idempotency_key = 'caught'$$),
	(13, $$UPDATE stripe_credit.hold SET account_id = 'zoe' WHERE account_id = 'zed' AND idempotency_key = 'caught'$$),
	(14, $$UPDATE stripe_credit.hold SET idempotency_key = 'both' WHERE account_id = 'zed' AND idempotency_key = 'open'$$),
	(15, $$DELETE FROM stripe_credit.hold WHERE account_id = 'zed' AND idempotency_key = 'caught'$$),
	(16, $$UPDATE stripe_credit.ledger SET taken = '{10,1}' WHERE account_id = 'zed' AND idempotency_key = 'both'$$),
	(17, $$UPDATE stripe_credit.ledger SET lots = '{2,99}' WHERE account_id = 'zed' AND idempotency_key = 'both'$$),
	(18, $$UPDATE stripe_credit.ledger SET lots = NULL WHERE account_id = 'zed' AND idempotency_key = 'both'$$),
	(19, $$UPDATE stripe_credit.ledger SET lot_id = NULL WHERE account_id = 'zed' AND kind = 'capture'$$),
	(20, $$UPDATE stripe_credit.ledger SET reverses = 3 WHERE account_id = 'zed' AND kind = 'spend_reversal'$$),
	(21, $$UPDATE stripe_credit.ledger SET reverses = 0, idempotency_key = 'x' WHERE account_id = 'zed' AND kind = 'spend_reversal'$$),
	(22, $$UPDATE stripe_credit.ledger SET idempotency_key = 'x' WHERE account_id = 'zed' AND kind = 'spend_reversal'$$),
	(23, $$UPDATE stripe_credit.lot SET priority = 0 WHERE account_id = 'zed' AND lot_id = 7$$),
	(24, $$UPDATE stripe_credit.lot SET written_off = -1 WHERE account_id = 'zed' AND lot_id = 2$$),
	(25, $$UPDATE stripe_credit.lot SET written_off = 1 WHERE account_id = 'nat'$$)
) AS c (n, statement) ORDER BY n;
SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
