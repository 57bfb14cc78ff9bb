-- where the ledger or the catalogue gives no more: nothing that was paid is lost
\i test/helpers.sql
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('starter', 100, 1000, 'usd'), ('linked', 300, 1000, 'usd');

-- a pack lasts no longer than times do
SELECT t.state($$UPDATE stripe_credit.pack SET expires_after = '300000 years' WHERE pack_id = 'starter'$$) AS too_long;
UPDATE stripe_credit.pack SET expires_after = '1000 years' WHERE pack_id = 'starter';
SELECT t.deliver(t.session('a1', t.meta('ada', 'starter'))) AS longest, t.deliver(t.session('a2', t.meta('ada', 'starter'), '{"created": 253402300799}')) AS latest;
SELECT (next_expiry AT TIME ZONE 'UTC')::date = '3023-11-14' AS a_thousand_years FROM stripe_credit.balance('ada');
UPDATE stripe_credit.pack SET expires_after = NULL WHERE pack_id = 'starter';

-- a balance out of range: the purchase waits, a grant is refused
SELECT balance FROM stripe_credit.grant_credits('max', 9223372036854775800, 'nearly');
SELECT t.deliver(t.session('b1', t.meta('max', 'starter'))) AS purchase,
	t.state($$SELECT stripe_credit.grant_credits('max', 8, 'k')$$) AS granted,
	t.state($$SELECT stripe_credit.adjust_credits('max', 8, 'k', 'k')$$) AS adjusted,
	t.state($$SELECT stripe_credit.resolve('evt_b1', 'max', 8)$$) AS resolved;
SELECT balance FROM stripe_credit.grant_credits('max', 7, 'full');
SELECT id, account_id, detail FROM stripe_credit.attention;
SELECT balance FROM stripe_credit.adjust_credits('max', -1000, 'k', 'room');
SELECT t.short(stripe_credit.replay('evt_b1')) AS replayed;
SELECT * FROM t.waiting();

-- what was computed once stays, also when a payment link becomes known afterwards
INSERT INTO stripe_credit.rate (currency, credits, per_amount) VALUES ('usd', 1, 10);
SELECT t.deliver(t.session('c1', '{"client_reference_id": "cid", "payment_link": "plink_c"}')) AS by_rate;
INSERT INTO stripe_credit.payment_link VALUES ('plink_c', 'linked');
SELECT t.deliver(t.session('c1', '{"client_reference_id": "cid", "payment_link": "plink_c"}', '{"id": "evt_c1_again"}')) AS again,
	t.deliver(t.session('c2', '{"client_reference_id": "cid", "payment_link": "plink_c"}')) AS by_link;
DELETE FROM stripe_credit.payment_link WHERE payment_link = 'plink_c';
SELECT t.deliver(t.session('c2', '{"client_reference_id": "cid", "payment_link": "plink_c"}', '{"id": "evt_c2_again"}')) AS again;

-- live and unpaid in test mode: a person can say whose it is, but not that it was paid
SELECT t.deliver(t.session('d1', t.meta('dan', 'starter') || '{"payment_status": "unpaid"}', '{"livemode": true}')) AS unpaid;
SELECT t.short(stripe_credit.resolve('evt_d1', 'dora', 50)) AS resolved, t.short(stripe_credit.resolve('evt_d1', 'dora', 50)) AS again,
	t.state($$SELECT stripe_credit.resolve('evt_d1', 'dan', 50)$$) AS another;
SELECT balance FROM stripe_credit.balance('dora');
SELECT t.deliver(t.event('d1_paid', 'checkout.session.async_payment_succeeded',
	t.session('d1', t.meta('dan', 'starter'))->'data'->'object', '{"livemode": true}')) AS paid;
SELECT * FROM t.entries('dan', 'dora');
SELECT status, count(*) FROM stripe_credit.event WHERE payment_id = 'pi_d1' GROUP BY 1;

-- paid but unmatched stays so, whatever is said of the payment afterwards
SELECT t.deliver(t.session('f1')) AS nobodys,
	t.deliver(t.event('f1_failed', 'checkout.session.async_payment_failed', t.session('f1')->'data'->'object')) AS failed,
	t.deliver(t.session('f1')) AS again;
SELECT * FROM t.waiting();
SELECT t.short(stripe_credit.resolve('evt_f1', 'fay', 10)) AS resolved;

-- an event that names nobody and whose terms are no good brings no terms for another that names somebody
SELECT t.deliver(t.session('l1', t.meta(NULL, NULL, '12x'))) AS no_number,
	t.deliver(t.session('l1', '{"client_reference_id": "lea", "payment_status": "unpaid"}' || t.meta(NULL, 'gone'), '{"id": "evt_l1_who"}')) AS who;
SELECT t.deliver(t.intent('l2', '{"metadata": {"stripe_credit_pack": ""}}')) AS no_pack,
	t.deliver(t.intent('l3', '{"amount": 50}' || t.meta(NULL, NULL, '0'))) AS nothing;
SELECT payment_id, account_id, credits FROM stripe_credit.payment WHERE payment_id LIKE 'pi\_l_' ORDER BY 1;
SELECT t.short(stripe_credit.resolve('evt_l1', 'lea', 1)) AS l1, t.short(stripe_credit.resolve('evt_l2', 'lea', 1)) AS l2,
	t.short(stripe_credit.resolve('evt_l3', 'lea', 1)) AS l3;

-- a session is paid once, whatever its events call the payment
CREATE FUNCTION t.of_session(name text, session text, intent text, account text, object jsonb DEFAULT '{}') RETURNS text
	LANGUAGE sql VOLATILE AS $$
	SELECT t.deliver(t.session(name, t.meta(account, 'starter') || jsonb_build_object('id', 'cs_test_' || session,
		'payment_intent', 'pi_' || intent) || object))
$$;
SELECT t.of_session('g1', 'g', NULL, 'gus') AS without_intent, t.of_session('g2', 'g', 'g', 'gus') AS with_intent,
	t.of_session('g3', 'g', 'g_other', 'gus') AS with_another;
SELECT t.of_session('h1', 'h', 'h', 'hal') AS with_intent, t.of_session('h2', 'h', NULL, 'hal') AS without_intent,
	t.of_session('h3', 'h', NULL, 'hal', '{"payment_status": "no_payment_required"}') AS for_nothing;
SELECT account_id, balance FROM stripe_credit.account WHERE account_id IN ('gus', 'hal') ORDER BY 1;
-- and what waited for it, or failed, by one name is settled by another
SELECT t.of_session('i1', 'i', NULL, 'ida', '{"payment_status": "unpaid"}') AS unpaid, t.of_session('i2', 'i', NULL, NULL) AS nobodys,
	t.deliver(t.event('i3', 'checkout.session.async_payment_failed', t.session('i')->'data'->'object' || '{"payment_intent": null}')) AS failed,
	t.of_session('i4', 'i', 'i', 'ida') AS paid;
SELECT * FROM t.waiting();
SELECT * FROM stripe_credit.attention WHERE kind <> 'debt';
-- a subscription's session is not its payment
SELECT t.of_session('j1', 'j', NULL, 'jan', '{"mode": "subscription", "subscription": "sub_j"}') AS subscription,
	t.of_session('j2', 'j', 'j', 'jan') AS payment;
-- two payments that were known before they turned out to be of one session become one, and what was posted twice is taken back
SELECT t.deliver(t.intent('k', t.meta('kim', 'starter'))) AS intent, t.of_session('k1', 'k', NULL, 'kai') AS session,
	t.of_session('k2', 'k', 'k', 'kim') AS both, t.of_session('k3', 'k', NULL, 'kim') AS by_session, t.deliver(t.intent('k', t.meta('kim', 'starter'), '{"id": "evt_k4"}')) AS by_intent;
SELECT * FROM t.entries('kim', 'kai');
SELECT payment_id, session_id, same_as, account_id, posted, posted_to, posted_as FROM stripe_credit.payment
	WHERE payment_id IN ('pi_k', 'cs_test_k', 'cs_test_g', 'pi_g', 'pi_g_other') ORDER BY 1;
SELECT id, account_id, detail FROM stripe_credit.attention WHERE kind = 'disagreement';

-- a correction of credits that are gone is a debt, which grants pay before anything can be spent
SELECT t.deliver(t.session('e1', t.meta('eve', NULL, '100'))) AS bought,
	(SELECT balance FROM stripe_credit.adjust_credits('eve', -100, 'k1', 'used')) AS used;
CREATE TABLE t.correction AS SELECT t.session('e1', t.meta('eve', NULL, '30'), '{"id": "evt_e1_30"}') AS event;
SELECT t.deliver(event) AS corrected FROM t.correction;
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'eve';
SELECT balance FROM stripe_credit.grant_credits('eve', 50, 'k2');
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'eve';
SELECT balance FROM stripe_credit.grant_credits('eve', 50, 'k3');
SELECT lot_id, granted, remaining FROM stripe_credit.lot WHERE account_id = 'eve' ORDER BY 1;

SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
