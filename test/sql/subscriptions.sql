\i test/helpers.sql
-- Subscriptions: whose they are comes with the session or their metadata, the money with the invoices.
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, price_id, expires_after, priority) VALUES
	('monthly', 100, 1000, 'usd', 'price_t', NULL, NULL), ('extra', 30, 300, 'usd', 'price_extra', '50 years', 2),
	('metered', 7, NULL, NULL, 'price_metered', NULL, NULL), ('unlisted', 40, 1000, 'usd', NULL, NULL, 5);
-- $ is a life's name: of its account, subscription and session; $a, $b ... of its invoices
CREATE FUNCTION t.subscribed(metadata jsonb DEFAULT t.meta('$'), envelope jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.subscription('$', metadata, envelope)
$$;
CREATE FUNCTION t.billed(lines jsonb DEFAULT jsonb_build_array(t.line('$a')), object jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}',
		envelope jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.invoice('$a', '$', lines, object, envelope, metadata)
$$;
CREATE FUNCTION t.billed_before(lines jsonb DEFAULT jsonb_build_array(t.old_line('$a')), object jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}',
		envelope jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.old_invoice('$a', '$', lines, object, envelope, metadata)
$$;
CREATE FUNCTION t.ours(pack text DEFAULT 'unlisted', account text DEFAULT '$', credits text DEFAULT NULL) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.meta(account, pack, credits)->'metadata'
$$;
-- what create_checkout writes says what was sold
CREATE FUNCTION t.sold(credits text, unit_amount text, currency text DEFAULT 'usd') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('metadata', t.meta('$', 'unlisted', credits, '1')->'metadata'
		|| jsonb_build_object('stripe_credit_unit_amount', unit_amount, 'stripe_credit_currency', currency))
$$;
CREATE FUNCTION t.prorated(name text, amount bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_set(t.line(name, 'price_t', amount), '{parent,subscription_item_details,proration}', 'true')
$$;

--
-- What an invoice is worth, in both shapes, and who says so
--
SELECT what, t.story('a' || n, VARIADIC events) AS story FROM (VALUES
	(1, 'by the price', ARRAY[t.subscribed(), t.billed()]),
	(2, 'by the price, before 2025', ARRAY[t.subscribed(), t.billed_before()]),
	(3, 'by the plan, before 2020', ARRAY[t.subscribed(), t.billed_before(jsonb_build_array(t.old_line('$a') - 'price' || '{"plan": {"id": "price_t"}}'))]),
	(4, 'by a price that has no amount of its own', ARRAY[t.subscribed(), t.billed(jsonb_build_array(t.line('$a', 'price_metered', 1)))]),
	(5, 'by the session''s pack', ARRAY[t.subscribed(t.meta('$', 'unlisted')), t.billed(jsonb_build_array(t.line('$a', 'price_x')))]),
	(6, 'by the session''s pack, before 2025', ARRAY[t.subscribed(t.meta('$', 'unlisted')), t.billed_before(jsonb_build_array(t.old_line('$a', 'price_x')))]),
	(7, 'by the session''s credits', ARRAY[t.subscribed(t.sold('55', '900')), t.billed(jsonb_build_array(t.line('$a', 'price_x', 900)))]),
	(8, 'by the subscription''s metadata, without a session', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x')), '{}', t.ours())]),
	(9, 'the same before 2025', ARRAY[t.billed_before(jsonb_build_array(t.old_line('$a', 'price_x')), '{}', t.ours())]),
	(10, 'and before 2023', ARRAY[t.billed_before(jsonb_build_array(t.old_line('$a', 'price_x', 1000, jsonb_build_object('metadata', t.ours()))),
		'{"subscription_details": null}')]),
	(11, 'by a price, without a session', ARRAY[t.billed(jsonb_build_array(t.line('$a')), '{}', t.ours(NULL))]),
	(12, 'the price goes before the metadata', ARRAY[t.subscribed(t.meta('$', 'unlisted')), t.billed()]),
	(13, 'the session before the subscription', ARRAY[t.subscribed(t.sold('55', '1000')), t.billed(jsonb_build_array(t.line('$a', 'price_x')), '{}', t.ours())]),
	(14, 'also when it comes later', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x')), '{}', t.ours()), t.subscribed(t.sold('55', '1000'))]),
	(15, 'the same invoice by another event', ARRAY[t.subscribed(), t.billed(), t.billed(envelope => '{"id": "evt_$b"}'), t.billed()]),
	(16, 'a discount on all of it', ARRAY[t.subscribed(), t.billed(object => '{"amount_due": 0, "amount_paid": 0}')]),
	(17, 'the subscription is named by the line', ARRAY[t.subscribed(), t.billed_before(jsonb_build_array(t.old_line('$a') || '{"subscription": "sub_$"}'), '{"subscription": null}')])
) AS c (n, what, events) ORDER BY n;
SELECT payment_id, subscription_id, amount, currency, account_rank, account_id, credits_rank, credits, pack_id, posted, posted_to
	FROM stripe_credit.payment WHERE payment_id IN ('sub_a7', 'in_a7a', 'in_a9a') ORDER BY 1;
SELECT account_id, lot_id, payment_id, priority, expires_at, granted FROM stripe_credit.lot WHERE account_id IN ('a1', 'a5', 'a7') ORDER BY 1;

--
-- Units and lines
--
SELECT what, t.story('b' || n, VARIADIC t.subscribed(t.meta('$', 'unlisted')) || events) AS story FROM (VALUES
	(1, 'three of a price', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', 3000, '{"quantity": 3}')))]),
	(2, 'three of the metadata''s pack', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x', 3000, '{"quantity": 3}')))]),
	(3, 'three that are not what was sold', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x', 1000, '{"quantity": 3}')))]),
	(4, 'three of a price, at a price of its own', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', 1000, '{"quantity": 3}')))]),
	(5, 'another amount', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x', 900)))]),
	(6, 'another currency', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x', 1000, '{"currency": "eur"}')))]),
	(7, 'no quantity', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', 1000, '{"quantity": null}')))]),
	(8, 'no price', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', 1000, '{"pricing": null}')))]),
	(9, 'a trial', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', 0)), '{"amount_paid": 0}'), t.billed(jsonb_build_array(t.line('$a', 'price_t', 0)), '{"amount_paid": 0}', '{}', '{"id": "evt_$b"}')]),
	(10, 'no lines', ARRAY[t.billed('[]', '{"amount_paid": 0}')]),
	(11, 'prorations only', ARRAY[t.billed(jsonb_build_array(t.prorated('$a', 1500), t.prorated('$b', -500)))]),
	(12, 'prorations that come to nothing', ARRAY[t.billed(jsonb_build_array(t.prorated('$a', 500), t.prorated('$b', -500)), '{"amount_paid": 0}')]),
	(13, 'a proration beside it', ARRAY[t.billed(jsonb_build_array(t.prorated('$a', -500), t.line('$b')))]),
	(14, 'a proration beside it, before 2025', ARRAY[t.billed_before(jsonb_build_array(t.old_line('$a', 'price_t', -500, '{"proration": true}'), t.old_line('$b')))]),
	(15, 'something that is no subscription''s', ARRAY[t.billed(jsonb_build_array(t.line('$a'), t.line('$b', 'price_extra', 300, '{"parent": {"type": "invoice_item_details",
		"subscription_item_details": null, "invoice_item_details": {"proration": false, "subscription": "sub_$"}}}')))]),
	(16, 'the same before 2025', ARRAY[t.billed_before(jsonb_build_array(t.old_line('$a'), t.old_line('$b', 'price_extra', 300, '{"type": "invoiceitem"}')))]),
	(17, 'more lines than there are here', ARRAY[jsonb_set(t.billed(), '{data,object,lines,has_more}', 'true')]),
	(18, 'a line that says nothing', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', NULL)))]),
	(19, 'a line twice', ARRAY[t.billed(jsonb_build_array(t.line('$a'), t.line('$a')))]),
	(20, 'an amount paid that is none', ARRAY[t.billed(object => '{"amount_paid": null}')]),
	(21, 'made by hand', ARRAY[t.billed(object => '{"billing_reason": "manual"}')]),
	(22, 'of no subscription', ARRAY[t.billed(object => '{"parent": null}'), t.billed_before(object => '{"subscription": null}')]),
	(23, 'of another installation', ARRAY[t.billed(metadata => '{"stripe_credit_install": "00000000-0000-0000-0000-000000000000"}'),
		t.billed_before(metadata => '{"stripe_credit_install": "00000000-0000-0000-0000-000000000000"}')])
) AS c (n, what, events) ORDER BY n;
SELECT event_id, status, reason, payment_id FROM stripe_credit.event WHERE event_id ~ '^evt_b[0-9]+a$' AND status <> 'applied' ORDER BY 1;
SELECT count(*) AS ignored FROM stripe_credit.event WHERE event_id IN ('evt_b21a', 'evt_b22a', 'evt_b23a');
-- two packs: two lots, each as its pack says
SELECT t.story('c1', t.subscribed(), t.billed(jsonb_build_array(t.line('$b', 'price_extra', 600, '{"quantity": 2}'), t.line('$a')), '{"amount_paid": 1600}')) AS two_packs;
SELECT lot_id, payment_id, priority, expires_at AT TIME ZONE 'UTC' AS expires_at, remaining FROM t.lots() WHERE account_id = 'c1' ORDER BY 1;
SELECT * FROM t.entries('c1');
-- an event that says paid earlier moves each of them
SELECT t.story('c4', t.subscribed(), t.billed(jsonb_build_array(t.line('$b', 'price_extra', 300), t.line('$a')), '{"amount_paid": 1300}'),
	t.billed(jsonb_build_array(t.line('$b', 'price_extra', 300), t.line('$a')), '{"amount_paid": 1300}', '{}',
		jsonb_build_object('id', 'evt_$early', 'created', t.created() - 86400))) AS earlier;
SELECT lot_id, expires_at AT TIME ZONE 'UTC' AS expires_at FROM t.lots() WHERE account_id = 'c4' ORDER BY 1;
-- one line known and one not: the whole waits, and comes as a whole
SELECT t.story('c2', t.subscribed(), t.billed(jsonb_build_array(t.line('$b', 'price_later', 300), t.line('$a')), '{"amount_paid": 1300}')) AS one_unknown,
	t.story('c3', t.subscribed(), t.billed(jsonb_build_array(t.line('$b', 'price_later', 300), t.line('$a')), '{"amount_paid": 1300}')) AS another;
SELECT t.short(stripe_credit.replay('evt_c2a')) AS still_unknown;
INSERT INTO stripe_credit.pack (pack_id, credits, price_id) VALUES ('later', 20, 'price_later');
SELECT t.short(stripe_credit.replay('evt_c2a')) AS known, stripe_credit.maintain()->'applied' AS maintained, t.told('c2') AS c2, t.told('c3') AS c3;
SELECT * FROM stripe_credit.check_books();

--
-- The session and the invoice in any order
--
SELECT what, t.story('d' || n, VARIADIC events) AS story FROM (VALUES
	(1, 'the invoice first', ARRAY[t.billed(), t.billed(), t.subscribed()]),
	(2, 'two invoices first', ARRAY[t.billed(), t.invoice('$b', '$', jsonb_build_array(t.line('$b'))), t.subscribed()]),
	(3, 'the session names nobody', ARRAY[t.subscribed(t.meta()), t.billed()]),
	(4, 'the session comes later, and names nobody', ARRAY[t.billed(), t.subscribed(t.meta())]),
	(5, 'nor does it say what', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_x'))), t.subscribed()]),
	(6, 'a trial first', ARRAY[t.billed(jsonb_build_array(t.line('$a', 'price_t', 0)), '{"amount_paid": 0}'), t.subscribed(),
		t.invoice('$b', '$', jsonb_build_array(t.line('$b')))]),
	(7, 'renewals', ARRAY[t.subscribed(), t.billed(), t.invoice('$b', '$', jsonb_build_array(t.line('$b')), '{}', '{"created": 1702592000}'),
		t.invoice('$c', '$', jsonb_build_array(t.line('$c')), '{}', '{"created": 1705184000}')]),
	(8, 'a session that failed says nothing', ARRAY[t.subscribed(t.meta('$'), '{"type": "checkout.session.async_payment_failed"}'), t.billed()])
) AS c (n, what, events) ORDER BY n;
SELECT * FROM t.waiting() WHERE event_id LIKE 'evt\_d%';
SELECT event_id, status, reason, payload IS NULL AS forgotten FROM stripe_credit.event WHERE event_id IN ('evt_d1a', 'evt_d2a', 'evt_d2b') ORDER BY 1;
-- a person says whose the subscription is, and what a unit of it is worth
SELECT t.short(stripe_credit.resolve('evt_d3', 'd3', 60)) AS resolved, t.told('d3'), t.short(stripe_credit.resolve('evt_d4', 'd4', 60)) AS later, t.told('d4');
SELECT t.short(stripe_credit.resolve('evt_d3', 'd3', 60)) AS again, t.state($$SELECT stripe_credit.resolve('evt_d3', 'd3', 61)$$) AS otherwise;
-- which holds for what comes
SELECT t.story('d3', t.invoice('$b', '$', jsonb_build_array(t.line('$b', 'price_x', 2000, '{"quantity": 2}')))) AS renewal;
-- or of one invoice, that it is worth so much
SELECT t.short(stripe_credit.resolve('evt_d5a', 'd5', 15)) AS resolved, t.told('d5');
SELECT * FROM t.waiting() WHERE event_id LIKE 'evt\_d%';
-- without their payloads
UPDATE stripe_credit.settings SET keep_payload = 'none';
SELECT t.story('d9', t.billed(), t.subscribed(t.meta())) AS nobody, t.short(stripe_credit.resolve('evt_d9', 'd9', 1)) AS resolved;
SELECT t.story('d10', t.billed(jsonb_build_array(t.line('$a', 'price_next'))), t.subscribed()) AS no_pack;
INSERT INTO stripe_credit.pack (pack_id, credits, price_id) VALUES ('next', 3, 'price_next');
SELECT t.short(stripe_credit.replay('evt_d10a')) AS from_facts;
UPDATE stripe_credit.settings SET keep_payload = 'unapplied';
-- both shapes, in every order
SELECT t.orders('e1x', t.subscribed(t.meta('$', 'unlisted')), t.billed(jsonb_build_array(t.line('$a', 'price_x'))), t.invoice('$b', '$', jsonb_build_array(t.line('$b')))) AS two_invoices;
SELECT t.orders('e2x', t.subscribed(t.sold('55', '1000')), t.billed(jsonb_build_array(t.line('$a', 'price_x')), '{}', t.ours()),
	t.old_invoice('$b', '$', jsonb_build_array(t.old_line('$b', 'price_x')), '{}', '{}', t.ours('unlisted', '$', '70'))) AS disagreeing;
SELECT * FROM stripe_credit.check_books();

--
-- Refunds: by whatever names the invoice's charge
--
-- since 2025 an event of its own says which payment intent paid it
SELECT t.orders('f1x', t.subscribed(), t.billed(), t.invoice_payment('$p', '$a', '$a'), t.refund('$r', '$a', 500)) AS by_invoice_payment;
SELECT t.orders('f2x', t.subscribed(), t.billed(), t.invoice_payment('$p', '$a', '$a'), t.refunded('$c', '$a', 500)) AS by_its_charge;
SELECT t.orders('f3x', t.subscribed(), t.billed(), t.invoice_payment('$p', '$a', '$a', '{"payment": {"type": "charge", "charge": "ch_$a"}}'),
	t.dispute('$d', '$a', 'lost', '{"amount": 400, "payment_intent": null}')) AS by_invoice_payment_of_a_charge;
-- before, the invoice did, or the charge
SELECT t.orders('f4x', t.subscribed(), t.billed_before(), t.refund('$r', '$a', 500)) AS by_payment_intent;
SELECT t.orders('f5x', t.subscribed(), t.billed_before(object => '{"payment_intent": null}'), t.refund('$r', '$a', 500, 'succeeded', '{"payment_intent": null}')) AS by_charge;
SELECT t.orders('f6x', t.subscribed(), t.billed_before(object => '{"payment_intent": null, "charge": null}'), t.charge('$c', '$a', '{"invoice": "in_$a"}'),
	t.refund('$r', '$a', 500)) AS by_invoice_of_charge;
SELECT t.story('f7', t.subscribed(), t.billed(), t.refund('$r', '$a', 500), t.invoice_payment('$p', '$a', '$a'), t.invoice_payment('$q', '$a', '$a')) AS waits_for_its_link;
SELECT payment_id, same_as, posted, posted_to FROM stripe_credit.payment WHERE payment_id LIKE '%\_f7%' ORDER BY 1;
-- the session waits, and so does what was refunded
SELECT t.story('f8', t.billed(), t.invoice_payment('$p', '$a', '$a'), t.refund('$r', '$a', 500), t.subscribed()) AS refunded_before_the_session;
-- of several lots
SELECT t.story('g1', t.subscribed(), t.billed(jsonb_build_array(t.line('$a'), t.line('$b', 'price_extra', 300)), '{"amount_paid": 1300}'), t.invoice_payment('$p', '$a', '$a'),
	t.refund('$r', '$a', 650)) AS half;
SELECT lot_id, remaining FROM t.lots() WHERE account_id = 'g1' ORDER BY 1;
SELECT t.story('g1', t.refund('$s', '$a', 650)) AS all_of_it;
SELECT lot_id, remaining FROM t.lots() WHERE account_id = 'g1' ORDER BY 1;
SELECT t.story('g1', t.refund('$s', '$a', 650, 'failed', '{}', '{"id": "evt_$s2", "type": "refund.failed"}')) AS half_again;
SELECT lot_id, remaining FROM t.lots() WHERE account_id = 'g1' ORDER BY 1;
SELECT t.story('g1', t.refund('$r', '$a', 650, 'failed', '{}', '{"id": "evt_$r2", "type": "refund.failed"}')) AS nothing_of_it;
SELECT lot_id, remaining FROM t.lots() WHERE account_id = 'g1' ORDER BY 1;
SELECT t.story('g2', t.refund('$r', '$a', 650), t.subscribed(), t.billed_before(jsonb_build_array(t.old_line('$a'), t.old_line('$b', 'price_extra', 300)), '{"amount_paid": 1300}')) AS half_before;
SELECT lot_id, remaining FROM t.lots() WHERE account_id = 'g2' ORDER BY 1;
SELECT t.story('g3', t.refund('$r', '$a', 1300), t.subscribed(), t.billed_before(jsonb_build_array(t.old_line('$a'), t.old_line('$b', 'price_extra', 300)), '{"amount_paid": 1300}'),
	t.refund('$r', '$a', 1300, 'failed', '{}', '{"id": "evt_$r2", "type": "refund.failed"}')) AS all_of_it_before;
SELECT lot_id, remaining FROM t.lots() WHERE account_id = 'g3' ORDER BY 1;
-- one of two renewals, and no more than that
SELECT t.story('g4', t.subscribed(), t.billed_before(), t.old_invoice('$b', '$', jsonb_build_array(t.old_line('$b'))), t.refund('$r', '$b', 5000)) AS one_of_two;
-- what is released makes good what was written off of its payment, whichever of its lots it was written off of
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.story('g5', t.subscribed(), t.billed_before(jsonb_build_array(t.old_line('$a', 'price_extra', 300), t.old_line('$b')), '{"amount_paid": 1300}')) AS bought,
	(SELECT balance FROM stripe_credit.spend('g5', 30, 'used')) AS used, (SELECT available FROM stripe_credit.hold('g5', 100, 'job', '1 day')) AS available;
SELECT t.story('g5', t.refund('$r', '$a', 300)) AS refunded, (SELECT balance FROM stripe_credit.release('g5', 'job')) AS released;
SELECT t.told('g5');
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
SELECT * FROM stripe_credit.check_books();

--
-- One payment is one payment
--
-- a payment intent with our metadata pays an invoice, which is worth credits too
SELECT t.orders('h1x', t.subscribed(), t.billed(), t.intent('$a', t.meta('$', NULL, '100'), '{"id": "evt_$i"}'), t.invoice_payment('$p', '$a', '$a')) AS intent_and_invoice;
SELECT t.orders('h2x', t.subscribed(), t.billed(), t.intent('$a', t.meta('$', NULL, '100'), '{"id": "evt_$i"}'), t.invoice_payment('$p', '$a', '$a'),
	t.refund('$r', '$a', 500)) AS refunded;
-- a payment intent that pays two invoices
SELECT t.orders('h3x', t.subscribed(), t.billed(), t.invoice('$b', '$', jsonb_build_array(t.line('$b'))), t.invoice_payment('$p', '$a', '$a'),
	t.invoice_payment('$q', '$b', '$a')) AS two_invoices;
-- two payments of one invoice
SELECT t.orders('h4x', t.subscribed(), t.billed(), t.invoice_payment('$p', '$a', '$a'), t.invoice_payment('$q', '$a', '$b'), t.refund('$r', '$b', 500)) AS two_payments;
SELECT * FROM stripe_credit.check_books();

--
-- Live and test
--
SELECT t.story('l1', t.subscribed(t.meta('$'), '{"livemode": true}'), t.billed(envelope => '{"livemode": true}')) AS live_in_test,
	t.story('l2', t.billed(envelope => '{"livemode": true}')) AS no_session, t.story('l3', t.billed(jsonb_build_array(t.line('$a')), '{}', t.ours(), '{"livemode": true}')) AS metadata;
SELECT event_id, status, reason FROM stripe_credit.event WHERE event_id ~ '^evt_l[1-3]' ORDER BY 1;
UPDATE stripe_credit.settings SET mode = 'live';
SELECT t.story('l4', t.subscribed(), t.billed()) AS test_in_live;
SELECT t.short(stripe_credit.replay('evt_l1a')) AS invoice, t.short(stripe_credit.replay('evt_l1')) AS session, t.told('l1');
SELECT t.story('l2', t.subscribed(t.meta('$'), '{"livemode": true}')) AS session_after;
SELECT stripe_credit.maintain()->'applied' AS applied, t.told('l2') AS l2, t.told('l3') AS l3;
SELECT * FROM t.waiting() WHERE event_id LIKE 'evt\_l%';
UPDATE stripe_credit.settings SET mode = 'test';
-- accounts that are there, if none may be made
UPDATE stripe_credit.settings SET create_accounts = false;
SELECT t.story('m1', t.subscribed(), t.billed(jsonb_build_array(t.line('$a'), t.line('$b', 'price_extra', 300)))) AS unknown;
UPDATE stripe_credit.settings SET create_accounts = true;
SELECT t.short(stripe_credit.replay('evt_m1a')) AS known, t.told('m1');
-- more than an account can hold
SELECT balance FROM stripe_credit.grant_credits('m2', 9223372036854775700, 'nearly');
SELECT t.story('m2', t.subscribed(), t.billed(jsonb_build_array(t.line('$a'), t.line('$b', 'price_extra', 300)))) AS beyond;
SELECT t.story('m3', t.subscribed(t.sold('9223372036854775807', '1000')), t.billed(jsonb_build_array(t.line('$a', 'price_x', 2000, '{"quantity": 2}')))) AS too_many;
SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
