\i test/helpers.sql
-- What each event of a payment means for the books.
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency)
	VALUES ('starter', 100, 1000, 'usd'), ('yen', 7, 500, 'jpy'), ('dinar', 9, 1500, 'kwd');

--
-- Sessions: paid at once, paid later, failed, expired, in any order
--
SELECT t.post(t.session('a1', t.meta('alice', 'starter'))::text) AS answer;
SELECT t.post(t.session('a1', t.meta('alice', 'starter'))::text) AS again;
SELECT t.post(jsonb_set(t.session('a1', t.meta('alice', 'starter')), '{id}', '"evt_a1_other"')::text) AS other_id;
-- a known id tells nothing new whatever its body says now
SELECT t.deliver(t.session('a1', t.meta('mallory', 'starter') || '{"payment_intent": "pi_other"}')) AS same_id;

-- later: completed unpaid, then paid
SELECT t.deliver(t.session('b1', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}')) AS unpaid;
SELECT t.deliver(t.session('b1', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}')) AS still_unpaid;
SELECT * FROM t.waiting();
SELECT t.deliver(t.session('b1', t.meta('bob', 'starter'),
	'{"id": "evt_b1_async", "type": "checkout.session.async_payment_succeeded"}')) AS paid;
SELECT t.deliver(t.session('b1', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}')) AS late_unpaid;
-- paid, and only then the completed session that was unpaid
SELECT t.deliver(t.session('b2', t.meta('bob', 'starter'),
	'{"id": "evt_b2_async", "type": "checkout.session.async_payment_succeeded"}')) AS paid;
SELECT t.deliver(t.session('b2', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}')) AS unpaid_after;
-- failed, and what waited waits no more; failed first
SELECT t.deliver(t.session('b3', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}')) AS unpaid;
SELECT t.deliver(t.session('b3', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	'{"id": "evt_b3_failed", "type": "checkout.session.async_payment_failed"}')) AS failed;
SELECT t.deliver(t.session('b3', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	'{"id": "evt_b3_failed2", "type": "checkout.session.async_payment_failed"}')) AS failed_again;
SELECT t.deliver(t.session('b4', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	'{"id": "evt_b4_failed", "type": "checkout.session.async_payment_failed"}')) AS failed_first;
SELECT t.deliver(t.session('b4', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}')) AS unpaid_after_failed;
-- expired, without a payment intent
SELECT t.deliver(t.session('b5', t.meta('bob', 'starter') || '{"payment_status": "unpaid", "status": "expired", "payment_intent": null}',
	'{"type": "checkout.session.expired"}')) AS expired;
-- a failure that arrives after the payment takes nothing
SELECT t.deliver(t.session('b1', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	'{"id": "evt_b1_failed", "type": "checkout.session.async_payment_failed"}')) AS failed_after_paid;
-- a person hears of failures that are not old, until the money comes after all; not of sessions that just ended
SELECT t.deliver(t.session('b6', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	jsonb_build_object('id', 'evt_b6_failed', 'type', 'checkout.session.async_payment_failed', 'created', t.unix_now()))) AS failed,
	t.deliver(t.session('b7', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	jsonb_build_object('id', 'evt_b7_failed', 'type', 'checkout.session.async_payment_failed', 'created', t.unix_now()))) AS another,
	t.deliver(t.session('b8', t.meta('bob', 'starter') || '{"payment_status": "unpaid"}',
	jsonb_build_object('id', 'evt_b8_expired', 'type', 'checkout.session.expired', 'created', t.unix_now()))) AS expired;
SELECT kind, id, account_id, since > now() - interval '1 hour' AS since, detail FROM stripe_credit.attention ORDER BY 1, 2;
SELECT t.deliver(t.intent('b7', t.meta('bob', 'starter'), '{"id": "evt_b7_pi"}')) AS paid_after_all;
SELECT kind, id FROM stripe_credit.attention ORDER BY 1, 2;
SELECT event_id, type, status, reason FROM stripe_credit.event WHERE event_id LIKE 'evt\_b%' ORDER BY 1;
SELECT payment_id, session_id, paid, paid_at = to_timestamp(t.created()) AS paid_at, failed_at IS NOT NULL AS failed,
	expired_at IS NOT NULL AS expired, posted, posted_to FROM stripe_credit.payment ORDER BY 1;
SELECT * FROM t.entries();

-- nothing had to be paid: a pack is a pack, a rate of nothing is nothing
INSERT INTO stripe_credit.rate VALUES ('usd', 1, 10), ('eur', 3, 2), ('jpy', 2, 1), ('kwd', 1, 1000);
SELECT t.deliver(t.session('c1', t.meta('carol', 'starter')
	|| '{"payment_status": "no_payment_required", "payment_intent": null, "amount_total": 0}')) AS pack;
SELECT t.deliver(t.session('c2', t.meta('carol')
	|| '{"payment_status": "no_payment_required", "payment_intent": null, "amount_total": 0}')) AS rate;
SELECT t.deliver(t.session('c3', t.meta('dora')
	|| '{"payment_status": "no_payment_required", "payment_intent": null, "amount_total": 0, "amount_subtotal": 0}')) AS newcomer;
SELECT * FROM t.entries('carol', 'dora');
SELECT count(*) AS dora FROM stripe_credit.account WHERE account_id = 'dora';

-- other modes
SELECT t.deliver(t.session('d1', t.meta('dave', 'starter')
	|| '{"mode": "subscription", "subscription": "sub_d1", "payment_intent": null}')) AS subscription;
SELECT t.deliver(t.session('d2', '{"mode": "subscription", "subscription": "sub_d2", "payment_intent": null}')) AS whose;
SELECT t.deliver(t.session('d3', t.meta('dave', 'starter') || '{"mode": "setup", "payment_intent": null,
	"payment_status": "no_payment_required", "amount_total": null, "amount_subtotal": null, "currency": null}')) AS setup;
SELECT t.deliver(t.session('d4', t.meta('dave', 'starter') || '{"mode": "barter"}')) AS unknown_mode;
SELECT t.deliver(t.session('d5', t.meta('dave', 'starter')) #- '{data,object,mode}') AS no_mode;
SELECT t.deliver(t.session('d6', t.meta('dave', 'starter') || '{"payment_status": "processing"}')) AS unknown_status;
SELECT payment_id, subscription_id, account_id, pack_id, paid, posted, posted_to
	FROM stripe_credit.payment WHERE payment_id LIKE 'sub\_%' ORDER BY 1;
SELECT * FROM t.entries('dave');

--
-- Payment intents: by our own metadata, and the same payment as their session
--
SELECT t.deliver(t.intent('e1')) AS without_metadata;
SELECT t.deliver(t.intent('e2', t.meta('erin', 'starter'))) AS with_metadata;
SELECT t.deliver(t.intent('e3', t.meta('erin'))) AS account_alone;
SELECT t.deliver(t.intent('e4', t.meta(NULL, 'starter'))) AS pack_alone;
SELECT t.deliver(t.intent('e5', t.meta('erin', NULL, '5', '3'))) AS credits;
SELECT t.deliver(t.intent('e6', t.meta('erin', NULL, '5') || '{"status": "requires_capture"}')) AS not_succeeded;
-- session first
SELECT t.deliver(t.session('e7', t.meta('erin', 'starter'))) AS session,
	t.deliver(t.intent('e7', t.meta('erin', 'starter'), '{"id": "evt_e7_pi"}')) AS intent;
-- intent first: the session still brings its own name
SELECT t.deliver(t.intent('e8', t.meta('erin', 'starter'), '{"id": "evt_e8_pi"}')) AS intent,
	t.deliver(t.session('e8', t.meta('erin', 'starter'))) AS session,
	t.deliver(t.session('e8', t.meta('erin', 'starter'), '{"id": "evt_e8_again"}')) AS again;
-- an unpaid session, and the money by way of its intent
SELECT t.deliver(t.session('e9', t.meta('erin', 'starter') || '{"payment_status": "unpaid"}')) AS session,
	t.deliver(t.intent('e9', t.meta('erin', 'starter'), '{"id": "evt_e9_pi"}')) AS intent;
SELECT event_id, status, payload IS NULL AS forgotten FROM stripe_credit.event WHERE event_id LIKE 'evt\_e9%' ORDER BY 1;
-- a session that nobody could match, until its intent names the account
SELECT t.deliver(t.session('e10', t.meta(NULL, 'starter'))) AS session,
	t.deliver(t.intent('e10', t.meta('erin', 'starter'), '{"id": "evt_e10_pi"}')) AS intent;
SELECT event_id, status, reason FROM stripe_credit.event WHERE event_id LIKE 'evt\_e10%' ORDER BY 1;
SELECT * FROM t.entries('erin');

--
-- When facts disagree: session, intent, link, rate; within one the smallest
--
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('linked', 60, 500, 'usd');
INSERT INTO stripe_credit.payment_link VALUES ('plink_1', 'linked'), ('plink_gone', 'gone');
-- each pair in both orders: the books end alike
SELECT t.deliver(t.session('f1', t.meta('f1', NULL, '30'))) AS session,
	t.deliver(t.intent('f1', t.meta('f1', NULL, '20'), '{"id": "evt_f1_pi"}')) AS intent;
SELECT t.deliver(t.intent('f2', t.meta('f2', NULL, '20'), '{"id": "evt_f2_pi"}')) AS intent,
	t.deliver(t.session('f2', t.meta('f2', NULL, '30'))) AS session;
SELECT t.deliver(t.session('f3', t.meta('f3') || '{"payment_link": "plink_1"}')) AS link,
	t.deliver(t.intent('f3', t.meta('f3', NULL, '20'), '{"id": "evt_f3_pi"}')) AS intent;
SELECT t.deliver(t.intent('f4', t.meta('f4', NULL, '20'), '{"id": "evt_f4_pi"}')) AS intent,
	t.deliver(t.session('f4', t.meta('f4') || '{"payment_link": "plink_1"}')) AS link;
SELECT t.deliver(t.session('f5', t.meta('f5'))) AS rate,
	t.deliver(t.session('f5', t.meta('f5') || '{"payment_link": "plink_1"}', '{"id": "evt_f5_link"}')) AS link;
SELECT t.deliver(t.session('f6', t.meta('f6') || '{"payment_link": "plink_1"}')) AS link,
	t.deliver(t.session('f6', t.meta('f6'), '{"id": "evt_f6_rate"}')) AS rate;
SELECT t.deliver(t.session('f7', t.meta('f7', NULL, '30'))) AS thirty,
	t.deliver(t.session('f7', t.meta('f7', NULL, '12'), '{"id": "evt_f7_12"}')) AS twelve,
	t.deliver(t.session('f7', t.meta('f7', NULL, '50'), '{"id": "evt_f7_50"}')) AS fifty;
SELECT t.deliver(t.session('f8', t.meta('f8', NULL, '12'))) AS twelve,
	t.deliver(t.session('f8', t.meta('f8', NULL, '30'), '{"id": "evt_f8_30"}')) AS thirty;
SELECT account_id, balance FROM stripe_credit.account WHERE account_id LIKE 'f_' ORDER BY 1;
SELECT * FROM t.entries('f2', 'f3', 'f7');
-- the account: nothing moves once it is posted, a person is told
SELECT t.deliver(t.intent('g1', t.meta('gina', 'starter'), '{"id": "evt_g1_pi"}')) AS intent,
	t.deliver(t.session('g1', t.meta('greg', 'starter'))) AS session;
SELECT t.deliver(t.session('g2', t.meta('greg', 'starter'))) AS session,
	t.deliver(t.intent('g2', t.meta('gina', 'starter'), '{"id": "evt_g2_pi"}')) AS intent;
SELECT t.deliver(t.session('g3', t.meta('zoe', 'starter'))) AS later_name,
	t.deliver(t.session('g3', t.meta('adam', 'starter'), '{"id": "evt_g3_adam"}')) AS smaller_name;
SELECT payment_id, account_id, posted_to, posted FROM stripe_credit.payment WHERE payment_id LIKE 'pi\_g%' ORDER BY 1;
SELECT kind, id, account_id, since IS NOT NULL AS since, detail FROM stripe_credit.attention
	WHERE id LIKE 'pi\_g%' ORDER BY 1, 2;

--
-- Metadata, packs and quantities
--
CREATE FUNCTION t.priced(name text, object jsonb) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT t.deliver(t.session(name, object))
$$;
UPDATE stripe_credit.pack SET active = false WHERE pack_id = 'linked';
SELECT what, t.priced('h' || n, object) AS got FROM (VALUES
	(1, 'two packs', t.meta('hugo', 'starter') || '{"amount_subtotal": 2000, "amount_total": 2000}'),
	(2, 'and the quantity says so', t.meta('hugo', 'starter', NULL, '2') || '{"amount_subtotal": 2000}'),
	(3, 'the quantity says otherwise', t.meta('hugo', 'starter', NULL, '3') || '{"amount_subtotal": 2000}'),
	(4, 'no whole quantity', t.meta('hugo', 'starter') || '{"amount_subtotal": 1500}'),
	(5, 'less than one', t.meta('hugo', 'starter') || '{"amount_subtotal": 999}'),
	(6, 'none', t.meta('hugo', 'starter') || '{"amount_subtotal": 0}'),
	(7, 'before the discount counts', t.meta('hugo', 'starter') || '{"amount_total": 1}'),
	(8, 'another currency', t.meta('hugo', 'starter') || '{"currency": "eur"}'),
	(9, 'unknown pack', t.meta('hugo', 'nothing')),
	(10, 'a pack that cannot be', t.meta('hugo', E'a\tb')),
	(11, 'inactive pack', t.meta('hugo', 'linked')),
	(12, 'unknown pack with credits', t.meta('hugo', 'nothing', '11')),
	(13, 'pack with other credits', t.meta('hugo', 'starter', '11', '2')),
	(14, 'credits alone', t.meta('hugo', NULL, '11')),
	(15, 'zero credits', t.meta('hugo', 'starter', '0')),
	(16, 'negative credits', t.meta('hugo', 'starter', '-5')),
	(17, 'half credits', t.meta('hugo', 'starter', '1.5')),
	(18, 'words', t.meta('hugo', 'starter', 'many')),
	(19, 'empty credits', t.meta('hugo', 'starter', '')),
	(20, 'the most there can be', t.meta('croesus', NULL, '9223372036854775807')),
	(21, 'one more', t.meta('hugo', NULL, '9223372036854775808')),
	(22, 'too many in all', t.meta('hugo', NULL, '4611686018427387904', '2')),
	(23, 'zero quantity', t.meta('hugo', NULL, '11', '0')),
	(24, 'credits as a number', '{"metadata": {"stripe_credit_account": "hugo", "stripe_credit_credits": 5}}'),
	(25, 'account as a number', '{"metadata": {"stripe_credit_account": 5, "stripe_credit_credits": "5"}, "client_reference_id": "hugo"}'),
	(26, 'account with a space at the end', t.meta('hugo ', 'starter')),
	(27, 'empty account', t.meta('', 'starter') || '{"client_reference_id": "hugo"}'),
	(28, 'client_reference_id', t.meta(NULL, 'starter') || '{"client_reference_id": "hugo"}'),
	(29, 'both', t.meta('hugo', 'starter') || '{"client_reference_id": "mallory"}'),
	(30, 'nobody', t.meta(NULL, 'starter')),
	(31, 'metadata null', '{"metadata": null, "client_reference_id": "hugo"}'),
	(32, 'no subtotal', t.meta('hugo', 'starter') || '{"amount_subtotal": null}')
) AS c (n, what, object) ORDER BY n;
-- metadata that cannot be read names no other installation: the money stays in sight
SELECT t.deliver(t.session('h33', '{"metadata": [], "client_reference_id": "hugo"}')) LIKE 'unmatched%' AS list,
	t.deliver(t.session('h35', '{"metadata": {"stripe_credit_install": 5}, "client_reference_id": "hugo"}')) LIKE 'unmatched%' AS number;
SELECT t.deliver(t.session('h34', t.meta('hugo', 'starter')) #- '{data,object,metadata,stripe_credit_pack}') AS rate_instead;
SELECT * FROM t.entries('hugo');

-- payment links
SELECT what, t.priced('i' || n, '{"client_reference_id": "ines"}' || object) AS got FROM (VALUES
	(1, 'two of its pack', '{"payment_link": "plink_1"}'::jsonb),
	(2, 'with a rest', '{"payment_link": "plink_1", "amount_subtotal": 700}'),
	(3, 'none of it', '{"payment_link": "plink_1", "amount_subtotal": 0}'),
	(4, 'another currency', '{"payment_link": "plink_1", "currency": "eur"}'),
	(5, 'a pack that is gone', '{"payment_link": "plink_gone"}'),
	(6, 'a link that is not ours goes by the rate', '{"payment_link": "plink_other"}')
) AS c (n, what, object) ORDER BY n;

-- rates: tax and shipping are not ours, and the rest is rounded down
SELECT what, t.priced('j' || n, '{"client_reference_id": "jack"}' || object) AS got FROM (VALUES
	(1, 'plain', '{}'::jsonb),
	(2, 'tax and shipping', '{"amount_total": 1299, "total_details": {"amount_tax": 190, "amount_shipping": 110, "amount_discount": 1}}'),
	(3, 'no total_details', '{"total_details": null}'),
	(4, 'tax null', '{"total_details": {"amount_tax": null}}'),
	(5, 'more tax than money', '{"amount_total": 10, "total_details": {"amount_tax": 11}}'),
	(6, 'tax below zero', '{"total_details": {"amount_tax": -1}}'),
	(7, 'rounded down', '{"amount_total": 1009}'),
	(8, 'less than one credit', '{"amount_total": 9}'),
	(9, 'no decimals', '{"currency": "jpy", "amount_total": 500}'),
	(10, 'three decimals', '{"currency": "kwd", "amount_total": 12345}'),
	(11, 'no rate', '{"currency": "chf"}'),
	(12, 'beyond bigint', '{"currency": "eur", "amount_total": 9223372036854775807}'),
	(13, 'converted', '{"currency": "chf", "amount_subtotal": 900, "amount_total": 950, "total_details": {"amount_tax": 50, "amount_shipping": 0},
		"currency_conversion": {"source_currency": "usd", "amount_subtotal": 1000, "amount_total": 1050, "fx_rate": "0.9"}}'),
	(14, 'converted nothing', '{"currency": "chf", "amount_subtotal": 0, "amount_total": 0,
		"currency_conversion": {"source_currency": "usd", "amount_subtotal": 0, "amount_total": 0}}'),
	(15, 'converted to what has no rate', '{"currency": "usd", "currency_conversion": {"source_currency": "chf", "amount_subtotal": 1, "amount_total": 1}}'),
	(16, 'a conversion that cannot be', '{"currency_conversion": {"source_currency": "USD", "amount_total": 1}}')
) AS c (n, what, object) ORDER BY n;
-- packs go by the converted subtotal, and by minor units whatever the currency
SELECT what, t.priced('k' || n, t.meta('kim', pack) || object) AS got FROM (VALUES
	(1, 'converted', 'starter', '{"currency": "chf", "amount_subtotal": 1800, "amount_total": 1900,
		"currency_conversion": {"source_currency": "usd", "amount_subtotal": 2000, "amount_total": 2111}}'::jsonb),
	(2, 'no decimals', 'yen', '{"currency": "jpy", "amount_subtotal": 1500, "amount_total": 1500}'),
	(3, 'three decimals', 'dinar', '{"currency": "kwd", "amount_subtotal": 3000, "amount_total": 3000}')
) AS c (n, what, pack, object) ORDER BY n;

--
-- Whose event it is: installation, mode, connected account
--
SELECT t.deliver(t.session('l1', jsonb_set(t.meta('lea', 'starter'), '{metadata,stripe_credit_install}',
	to_jsonb(install_id)))) AS ours FROM stripe_credit.settings;
SELECT t.deliver(t.session('l2', jsonb_set(t.meta('lea', 'starter'), '{metadata,stripe_credit_install}',
	to_jsonb(upper(install_id::text))))) AS in_capitals FROM stripe_credit.settings;
SELECT t.deliver(t.session('l3', jsonb_set(t.meta('lea', 'starter'), '{metadata,stripe_credit_install}',
	'"00000000-0000-0000-0000-000000000000"'))) AS another;
SELECT t.deliver(t.session('l4', jsonb_set(t.meta('lea', 'starter'), '{metadata,stripe_credit_install}', '""'))) AS empty;
SELECT t.deliver(t.intent('l5', jsonb_set(t.meta('lea', 'starter'), '{metadata,stripe_credit_install}',
	'"00000000-0000-0000-0000-000000000000"'))) AS another_intent;
SELECT count(*) AS rows FROM stripe_credit.event WHERE event_id IN ('evt_l3', 'evt_l4', 'evt_l5');

SELECT t.deliver(t.session('m1', t.meta('mia', 'starter'), '{"livemode": true}')) AS live_in_test,
	t.deliver(t.session('m2', t.meta('mia', 'starter') || '{"payment_status": "unpaid"}', '{"livemode": true}')) AS unpaid,
	t.deliver(t.session('m3', t.meta('mia', 'starter'), '{"livemode": true}')) AS another,
	t.deliver(t.session('m4', t.meta('mia', 'starter')) - 'livemode') AS missing,
	t.deliver(t.session('m5', t.meta('mia', 'starter'), '{"livemode": null}')) AS is_null,
	t.deliver(t.session('m6', t.meta('mia', 'starter') || '{"livemode": true}')) AS of_the_object;
SELECT id, detail FROM stripe_credit.attention WHERE id LIKE 'evt\_m%' ORDER BY 1;
SELECT stripe_credit.replay('evt_m1') AS still_test;
-- a person may decide otherwise
SELECT t.deliver(t.session('m9', t.meta('mia', 'starter'), '{"livemode": true}')) AS live_in_test, t.short(stripe_credit.resolve('evt_m9', 'max', 7)) AS resolved;
UPDATE stripe_credit.settings SET mode = 'live';
SELECT t.short(stripe_credit.replay('evt_m1')) AS replayed;
SELECT t.deliver(t.session('m3', t.meta('mia', 'starter'), '{"livemode": true}')) AS delivered_again;
SELECT t.deliver(t.session('m7', t.meta('mia', 'starter'))) AS test_in_live,
	t.deliver(t.session('m8', t.meta('mia', 'starter'), '{"livemode": true}')) AS live_in_live;
SELECT count(*) AS rows FROM stripe_credit.event WHERE event_id = 'evt_m7';
SELECT kind, id, account_id, detail FROM stripe_credit.attention WHERE kind = 'test credits' AND id IN ('mia', 'bob') ORDER BY id;
UPDATE stripe_credit.settings SET mode = 'test';
SELECT * FROM t.entries('mia');

SELECT t.deliver(t.session('n1', t.meta('nina', 'starter'), '{"account": "acct_1"}')) AS not_listed;
UPDATE stripe_credit.settings SET connected_accounts = '{acct_1}';
SELECT t.deliver(t.session('n1', t.meta('nina', 'starter'), '{"account": "acct_1"}')) AS listed,
	t.deliver(t.session('n2', t.meta('nina', 'starter'), '{"account": "acct_2"}')) AS another,
	t.deliver(t.session('n3', t.meta('nina', 'starter'), '{"account": null}')) AS own,
	t.deliver(t.session('n4', t.meta('nina', 'starter'), '{"account": 5}')) AS no_name;
SELECT payment_id, connected_account FROM stripe_credit.payment WHERE payment_id LIKE 'pi\_n%' ORDER BY 1;
UPDATE stripe_credit.settings SET connected_accounts = '{}';

-- what is not ours to act on writes nothing; what waits for its payment is kept
SELECT t.fingerprint() AS before \gset
SELECT type, t.deliver(t.event('o', type, '{"id": "x_1", "object": "x"}')) AS got FROM unnest(ARRAY['customer.subscription.deleted',
	'radar.early_fraud_warning.created', 'invoice.payment_succeeded', 'payment_intent.created', 'checkout.session',
	'checkout.session.completed2', 'product.created', '']) AS type;
SELECT t.deliver(t.event('o', 'x', '{}') - 'type') AS no_type, t.deliver(t.event('o', 'x', '{}', '{"type": 5}')) AS number,
	t.deliver(t.event('o', 'x', '{}') - 'data') AS no_data;
SELECT t.fingerprint() = :'before' AS unchanged;
SELECT type, t.deliver(t.event('o' || n, type, '{"id": "x_1", "object": "x"}')) AS unusable FROM unnest(ARRAY['charge.succeeded', 'charge.updated',
	'charge.refunded', 'charge.refund.updated', 'refund.created', 'refund.updated', 'refund.failed', 'charge.dispute.created',
	'charge.dispute.funds_withdrawn', 'invoice.paid', 'invoice_payment.paid']) WITH ORDINALITY AS u (type, n);
SELECT t.deliver(t.refund('o20', 'o20', 5)) AS waits, t.deliver(t.refund('o20', 'o20', 5)) AS again,
	t.short(stripe_credit.replay('evt_o20')) AS replayed;
SELECT * FROM t.waiting() WHERE event_id LIKE 'evt\_o%';

--
-- resolve() and replay(), in every state
--
SELECT t.deliver(t.session('p1', '{"currency": "chf"}')) AS unmatched;
SELECT t.try($$SELECT stripe_credit.resolve('evt_p1', 'paul', 0)$$) AS zero,
	t.try($$SELECT stripe_credit.resolve('evt_p1', NULL, 1)$$) AS nobody,
	t.try($$SELECT stripe_credit.resolve('evt_p1', '', 1)$$) AS empty,
	t.try($$SELECT stripe_credit.resolve(NULL, 'paul', 1)$$) AS no_event,
	t.try($$SELECT stripe_credit.resolve('evt_none', 'paul', 1)$$) AS unknown;
SELECT stripe_credit.resolve('evt_p1', 'paul', 42) AS resolved;
SELECT stripe_credit.resolve('evt_p1', 'paul', 42) AS again;
SELECT t.try($$SELECT stripe_credit.resolve('evt_p1', 'paul', 43)$$) AS otherwise;
SELECT t.try($$SELECT stripe_credit.resolve('evt_p1', 'paula', 42)$$) AS somebody_else;
-- what a person said stands against whatever comes
SELECT t.deliver(t.session('p1', t.meta('paula', 'starter'), '{"id": "evt_p1_more"}')) AS metadata;
SELECT t.deliver(t.session('p1', '{"currency": "chf"}')) AS delivered_again;
SELECT * FROM t.entries('paul', 'paula');
SELECT t.try($$SELECT stripe_credit.resolve('evt_a1', 'paul', 42)$$) AS applied,
	t.try($$SELECT stripe_credit.resolve('evt_o20', 'paul', 42)$$) AS pending,
	t.try($$SELECT stripe_credit.resolve('evt_o1', 'paul', 42)$$) AS no_payment,
	t.try($$SELECT stripe_credit.resolve('evt_a1_other', 'paul', 42)$$) AS duplicate;
-- several events of one payment: one decision for all of them
SELECT t.deliver(t.session('p2', t.meta(NULL, 'starter'))) AS one,
	t.deliver(t.session('p2', t.meta(NULL, 'starter'), '{"id": "evt_p2_more"}')) AS two;
SELECT t.short(stripe_credit.resolve('evt_p2', 'paul', 5)) AS resolved;
SELECT event_id, status, reason FROM stripe_credit.event WHERE event_id LIKE 'evt\_p2%' ORDER BY 1;
-- a subscription's: whose it is, but no money
SELECT t.short(stripe_credit.resolve('evt_d2', 'dave', 50)) AS subscription;
-- no payment can be told
SELECT t.deliver(t.session('p3', t.meta('paul', 'starter') || '{"id": 5}')) AS no_id,
	t.deliver(t.session('p4', t.meta('paul', 'starter') || '{"payment_intent": "ch_1"}')) AS no_intent,
	t.deliver(t.intent('p5', t.meta('paul', 'starter') || '{"id": "cs_1"}')) AS no_intent_id;
SELECT t.short(stripe_credit.resolve('evt_p3', 'paul', 6)) AS resolved, t.short(stripe_credit.resolve('evt_p3', 'paul', 6)) AS again;
SELECT t.short(stripe_credit.resolve('evt_m4', 'mia', 1)) AS no_livemode;

SELECT t.try($$SELECT stripe_credit.replay('evt_none')$$) AS unknown, t.try($$SELECT stripe_credit.replay(NULL)$$) AS no_event;
SELECT stripe_credit.replay('evt_a1') AS applied, stripe_credit.replay('evt_a1_other') AS duplicate;
SELECT t.deliver(t.session('q1', t.meta('quinn', 'later'))) AS no_pack;
SELECT t.short(stripe_credit.replay('evt_q1')) AS still_none;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('later', 8, 1000, 'usd');
SELECT t.short(stripe_credit.replay('evt_q1')) AS now_there, t.short(stripe_credit.replay('evt_q1')) AS again;
SELECT t.deliver(t.session('q2', t.meta('quinn', 'latest'))) AS no_pack;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency) VALUES ('latest', 9, 1000, 'usd');
SELECT t.deliver(t.session('q2', t.meta('quinn', 'latest'))) AS delivered_again;
SELECT t.deliver(t.session('q3', t.meta('quinn', 'starter') || '{"payment_status": "unpaid"}')) AS unpaid,
	t.short(stripe_credit.replay('evt_q3')) AS replayed;
SELECT * FROM t.entries('quinn');

--
-- The catalogue changes after the posting: nothing else does
--
SELECT t.deliver(t.session('r1', t.meta('rosa', 'starter'))) AS before,
	t.deliver(t.session('r2', t.meta('rosa', 'starter') || '{"payment_status": "unpaid"}')) AS unpaid,
	t.deliver(t.session('r3', '{"client_reference_id": "rosa"}')) AS rate;
UPDATE stripe_credit.pack SET credits = 1, unit_amount = 500 WHERE pack_id = 'starter';
UPDATE stripe_credit.rate SET credits = 2 WHERE currency = 'usd';
SELECT t.deliver(t.session('r1', t.meta('rosa', 'starter'), '{"id": "evt_r1_again"}')) AS cheaper,
	t.deliver(t.session('r3', '{"client_reference_id": "rosa"}', '{"id": "evt_r3_again"}')) AS rate;
DELETE FROM stripe_credit.pack WHERE pack_id = 'starter';
SELECT t.deliver(t.session('r1', t.meta('rosa', 'starter'), '{"id": "evt_r1_gone"}')) AS gone;
-- what was computed when the buyer bought stands, though he paid later
SELECT t.deliver(t.session('r2', t.meta('rosa', 'starter'),
	'{"id": "evt_r2_async", "type": "checkout.session.async_payment_succeeded"}')) AS paid_later;
SELECT * FROM t.entries('rosa');

--
-- Expiry and priority of a pack go with the lot, counted from the payment
--
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, expires_after, priority)
	VALUES ('century', 100, 1000, 'usd', '100 years 1 mon', 3), ('minute', 100, 1000, 'usd', '1 minute', NULL),
		('forever', 100, 1000, 'usd', NULL, -1);
SET TimeZone = 'Pacific/Apia';
SET IntervalStyle = sql_standard;
SELECT t.deliver(t.session('s1', t.meta('sara', 'century'))) AS century, t.deliver(t.session('s2', t.meta('sara', 'forever'))) AS forever;
RESET IntervalStyle;
RESET TimeZone;
SELECT payment_id, priority, expires_at AT TIME ZONE 'UTC' AS expires_at, granted, remaining FROM stripe_credit.lot
	WHERE account_id = 'sara' ORDER BY lot_id;
SELECT next_expiry AT TIME ZONE 'UTC' AS next_expiry FROM stripe_credit.balance('sara');
-- an event that says paid earlier moves it there; a later one doesn't
SELECT t.deliver(t.session('s1', t.meta('sara', 'century'), jsonb_build_object('id', 'evt_s1_later', 'created', t.created() + 60))) AS later,
	t.deliver(t.session('s1', t.meta('sara', 'century'), jsonb_build_object('id', 'evt_s1_earlier', 'created', t.created() - 86400))) AS earlier;
SELECT expires_at AT TIME ZONE 'UTC' AS expires_at FROM stripe_credit.lot WHERE payment_id = 'pi_s1';
SELECT next_expiry AT TIME ZONE 'UTC' AS next_expiry, balance FROM stripe_credit.balance('sara');
-- a time is needed for that, and only for that
SELECT t.deliver(t.session('s3', t.meta('sara', 'century'), '{"created": "today"}')) AS no_time,
	t.deliver(t.session('s4', t.meta('sara', 'century'), '{"created": 999999999999}')) AS no_such_year,
	t.deliver(t.session('s5', t.meta('sara', 'forever'), '{"created": null}')) AS not_needed;
-- delivered so late that it has expired already
SELECT t.deliver(t.session('s6', t.meta('sue', 'minute'))) AS late;
SELECT balance, available, next_expiry FROM stripe_credit.balance('sue');

--
-- Corrected downwards after it was spent: debt, clamp, and gifts
--
CREATE FUNCTION t.corrected(name text, object jsonb DEFAULT '{}') RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT t.deliver(t.session(name, object || t.meta(NULL, NULL, '40'), jsonb_build_object('id', 'evt_' || name || '_40')))
$$;
SELECT t.deliver(t.session('u1', '{"client_reference_id": "ulf"}' || t.meta(NULL, NULL, '100'))) AS ulf,
	(SELECT balance FROM stripe_credit.adjust_credits('ulf', -90, 'used', 'used')) AS left;
SELECT t.corrected('u1', '{"client_reference_id": "ulf"}') AS debt;
SELECT kind, id, account_id, detail FROM stripe_credit.attention WHERE kind = 'debt';
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.deliver(t.session('u2', '{"client_reference_id": "uma"}' || t.meta(NULL, NULL, '100'))) AS uma,
	(SELECT balance FROM stripe_credit.adjust_credits('uma', -90, 'used', 'used')) AS left,
	(SELECT balance FROM stripe_credit.grant_credits('uma', 20, 'gift')) AS gift;
SELECT t.corrected('u2', '{"client_reference_id": "uma"}') AS clamp;
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
-- the buyer wrote the receiver's name into a payment link: nothing of the receiver's own is touched
SELECT t.deliver(t.session('u3', '{"client_reference_id": "udo", "payment_link": "plink_x"}' || t.meta(NULL, NULL, '100'))) AS udo,
	(SELECT balance FROM stripe_credit.adjust_credits('udo', -90, 'used', 'used')) AS left,
	(SELECT balance FROM stripe_credit.grant_credits('udo', 20, 'own')) AS own;
SELECT t.corrected('u3', '{"client_reference_id": "udo", "payment_link": "plink_x"}') AS gift;
-- a correction that turns out too large gives back what it wrote off first: any order ends alike
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
UPDATE stripe_credit.pack SET credits = 100, unit_amount = 1000 WHERE pack_id = 'linked';
SELECT t.deliver(t.session(name, t.meta(name) || '{"payment_link": "plink_1"}')) AS hundred,
	(SELECT balance FROM stripe_credit.adjust_credits(name, -90, 'used', 'used')) AS left FROM (VALUES ('u5'), ('u6')) AS x (name);
SELECT t.deliver(t.intent('u5', t.meta('u5', NULL, '40'), '{"id": "evt_u5_40"}')) AS forty,
	split_part(t.deliver(t.session('u5', t.meta('u5', NULL, '80'), '{"id": "evt_u5_80"}')), ' ', 1) AS eighty;
SELECT t.deliver(t.session('u6', t.meta('u6', NULL, '80'), '{"id": "evt_u6_80"}')) AS eighty,
	t.deliver(t.intent('u6', t.meta('u6', NULL, '40'), '{"id": "evt_u6_40"}')) AS forty;
SELECT account_id, balance FROM stripe_credit.account WHERE account_id IN ('u5', 'u6') ORDER BY 1;
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
-- what nobody spent is just taken
SELECT t.deliver(t.session('u4', t.meta('una', NULL, '100'))) AS una,
	t.deliver(t.session('u4', t.meta('una', NULL, '40'), '{"id": "evt_u4_40"}')) AS corrected;
SELECT * FROM t.entries('ulf', 'uma', 'udo', 'una');
SELECT account_id, lot_id, payment_id, granted, remaining FROM stripe_credit.lot
	WHERE account_id IN ('ulf', 'uma', 'udo', 'una') ORDER BY 1, 2;

-- by another name, as drivers hand it over
SELECT t.short(stripe_credit.webhook_bytes(b, t.sign(b))) AS bytes
	FROM (SELECT convert_to(t.session('w1', t.meta('wim', 'forever') || '{"customer": "cus_w"}')::text, 'UTF8') AS b) x;
-- a buyer's name with a euro sign
SELECT t.deliver(t.session('w2', t.meta('w€ndy', 'forever'))) AS euro;

DELETE FROM stripe_credit.payment_link WHERE payment_link = 'plink_gone';
SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
