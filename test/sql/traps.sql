\i test/helpers.sql
-- What users of other systems suffered from: each thread's trap, and that the books stay right.
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, price_id, expires_after) VALUES
	('hundred', 100, 1000, 'usd', NULL, NULL), ('monthly', 100, 1000, 'usd', 'price_t', NULL), ('fifty', 100, 1000, 'usd', NULL, '50 years'),
	('yen', 100, 1000, 'jpy', NULL, NULL);
-- a life begins with this; $ is its name
CREATE FUNCTION t.bought(pack text DEFAULT 'hundred', object jsonb DEFAULT '{}', envelope jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.session('$', t.meta('$', pack) || object, envelope)
$$;
CREATE FUNCTION t.later(seconds bigint, type text DEFAULT NULL) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('created', t.created() + seconds, 'type', type))
$$;

--
-- Duplicates
--
-- open-saas#688: credits were incremented again by each further invoice.paid
SELECT t.story('a1', t.subscription('$', t.meta('$')), t.invoice('$i', '$', jsonb_build_array(t.line('$i'))), t.invoice('$i', '$', jsonb_build_array(t.line('$i'))),
	t.invoice('$i', '$', jsonb_build_array(t.line('$i')), '{}', t.later(60) || '{"id": "evt_$j"}')) AS story;
-- pollinations#10621, theopenco/llmgateway#1713, The-Leetcode-City#377, The-Leetcode-City#518, couchers#1664: one purchase, delivered again, credited again
SELECT t.story('a2', t.bought(), t.bought(), t.bought(envelope => '{"id": "evt_$b"}'), t.bought(envelope => '{"id": "evt_$c", "type": "checkout.session.async_payment_succeeded"}')) AS story;
-- pay#371, pay#382, pay#780, dj-stripe#1239, dj-stripe#409: charges and refunds that came twice were recorded twice
SELECT t.story('a3', t.charge('$c', '$'), t.charge('$c', '$'), t.bought(), t.charge('$d', '$'), t.refunded('$e', '$', 300), t.refunded('$e', '$', 300), t.refunded('$f', '$', 300)) AS story;
-- lago-api#3223, lago-api#5398, webrenew/memories#396, unicon#56, Cogtrix#125: what guards against it must be no list of seen events that can be lost
SELECT t.story('a4', t.bought()) AS bought;
DELETE FROM stripe_credit.event WHERE event_id = 'evt_a4';
SELECT t.story('a4', t.bought(), t.refund('$r', '$', 500)) AS forgotten;
DELETE FROM stripe_credit.event WHERE event_id IN ('evt_a4', 'evt_a4r');
SELECT t.story('a4', t.bought(), t.refund('$r', '$', 500)) AS forgotten;
SELECT * FROM stripe_credit.check_books();

--
-- Refunds and disputes
--
-- elizaOS/eliza#10920, Helicone#4728, clipia#28, akash-network/console#2302, stripe-firebase#315: who got his money back kept the credits
SELECT t.story('b1', t.bought(), t.refunded('$c', '$', 1000)) AS refunded, t.story('b2', t.bought(), t.dispute('$d', '$', 'lost')) AS charged_back;
-- elizaOS/eliza#10938, elizaOS/eliza#10963: a balance that may not be negative refused the reversal of what was spent
SELECT t.story('b3', t.bought()) AS bought, (SELECT balance FROM stripe_credit.spend('b3', 80, 'used')) AS used;
SELECT t.story('b3', t.refunded('$c', '$', 1000)) AS refunded, t.state($$SELECT stripe_credit.spend('b3', 1, 'more')$$) AS spend;
-- elizaOS/eliza#10997: taken when the dispute was opened, and never given back when the money was
SELECT t.story('b4', t.bought(), t.dispute('$d', '$', 'needs_response', '{}', t.later(0, 'charge.dispute.created')),
	t.dispute('$w', '$', 'needs_response', '{}', t.later(1, 'charge.dispute.funds_withdrawn')),
	t.dispute('$r', '$', 'won', '{}', t.later(60, 'charge.dispute.funds_reinstated')), t.dispute('$c', '$', 'won', '{}', t.later(60, 'charge.dispute.closed'))) AS story;
-- elizaOS/eliza#11155: what had been reinstated still counted as taken, so a later refund took too little
SELECT t.story('b5', t.bought(), t.dispute('$d', '$', 'needs_response', '{}', t.later(0, 'charge.dispute.funds_withdrawn')),
	t.dispute('$r', '$', 'won', '{}', t.later(60, 'charge.dispute.funds_reinstated')), t.refunded('$c', '$', 1000, '{}', t.later(120))) AS story;
-- opencode#28398: a partial refund took what the whole had brought, and again with each delivery
SELECT t.story('b6', t.bought(), t.refunded('$c', '$', 100), t.refunded('$c', '$', 100), t.refunded('$d', '$', 100)) AS story;
-- replyinmyvoice#301: of two partial refunds the second was taken from what the first had left
SELECT t.story('b7', t.bought(), t.refunded('$c', '$', 500), t.refunded('$d', '$', 750, '{}', t.later(60))) AS by_charge,
	t.story('b8', t.bought(), t.refund('$r', '$', 500), t.refund('$s', '$', 250)) AS by_refund;
-- octopus#577: the cumulative figure was taken as if it was each refund's own
SELECT t.story('b9', t.bought(), t.refund('$r', '$', 200), t.refunded('$c', '$', 200), t.refund('$s', '$', 200, 'succeeded', jsonb_build_object('created', t.created() + 60), t.later(60)),
	t.refunded('$d', '$', 400, '{}', t.later(60))) AS story;
-- pollinations#10583: below zero, or clamped? the owner decides; and a refund's amount has tax in it, as the charge's has
SELECT t.story('b10', t.bought('hundred', '{"amount_total": 1190, "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 190}}'), t.refund('$r', '$', 595)) AS half,
	t.story('b10', t.refund('$s', '$', 595)) AS all_of_it;
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.story('b11', t.bought()) AS bought, (SELECT balance FROM stripe_credit.spend('b11', 80, 'used')) AS used;
SELECT t.story('b11', t.refunded('$c', '$', 1000)) AS clamped;
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
-- managoat/fountain#1126: a refund after a dispute took the same again
SELECT t.story('b12', t.bought(), t.dispute('$d', '$', 'lost'), t.refunded('$c', '$', 1000), t.refund('$r', '$', 1000)) AS story;
-- managoat/fountain#1126: expiry took credits of other lots that were paid for
SELECT t.story('b13', t.bought('fifty'), t.session('$b', t.meta('$', 'hundred')), t.bought('fifty', '{}', '{"id": "evt_$early", "created": 0}')) AS story,
	(SELECT balance FROM stripe_credit.balance('b13')) AS balance;
-- managoat/fountain#1126: what had expired and was not swept yet could be spent
SELECT t.story('b14', t.bought('fifty', '{}', '{"created": 0}')) AS bought, t.state($$SELECT stripe_credit.spend('b14', 1, 'k')$$) AS spend;
-- hyperwhisper#3: the fee is the seller's, and no part of what went back
SELECT t.story('b15', t.bought(), t.dispute('$d', '$', 'needs_response', '{"amount": 400, "balance_transactions":
	[{"id": "txn_$1", "amount": -400, "fee": 1500, "net": -1900, "currency": "usd"}]}'), t.dispute('$e', '$', 'under_review', '{"amount": 400, "balance_transactions":
	[{"id": "txn_$1", "amount": -400, "fee": 1500, "net": -1900, "currency": "usd"}, {"id": "txn_$2", "amount": 400, "fee": 0, "net": 400, "currency": "usd"}]}', t.later(60))) AS story;
-- HiEvents#1067: who listened to refund.updated alone never heard of what cards tell by charge.refunded and refund.created
SELECT t.story('b16', t.bought(), t.refunded('$c', '$', 500)) AS charge_refunded, t.story('b17', t.bought(), t.refund('$r', '$', 500)) AS refund_created,
	t.story('b18', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{}', '{"type": "refund.updated"}')) AS refund_updated,
	t.story('b19', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{}', '{"type": "charge.refund.updated"}')) AS charge_refund_updated;
SELECT * FROM stripe_credit.check_books();

--
-- The shape of a refund
--
-- stripe-java#1567, stripe-go#1695, async-stripe#347, woocommerce-gateway-stripe#2497, woocommerce-gateway-stripe#2499, pgeu-system#156:
-- since 2022-11-15 a charge has no list of its refunds, which used to be read
SELECT what, t.story('c' || n, t.bought(), t.refunded('$c', '$', 500, object)) AS story FROM (VALUES
	(1, 'a list', '{"refunds": {"object": "list", "has_more": false, "data": [{"id": "re_$", "object": "refund", "amount": 500, "currency": "usd", "status": "succeeded"}]}}'::jsonb),
	(2, 'null', '{"refunds": null}'),
	(3, 'none', '{}'),
	(4, 'an empty list', '{"refunds": {"object": "list", "has_more": false, "data": []}}')
) AS c (n, what, object) ORDER BY n;
-- in any version of the API, and from before payment intents
SELECT t.story('c5', t.bought(), t.charge('$b', '$'), t.refunded('$c', '$', 500, '{"payment_intent": null}', '{"api_version": "2017-08-15"}')) AS without_intent;
SELECT * FROM stripe_credit.check_books();

--
-- Out of order, and in one second
--
-- stripe-cli#418, stripe-sync-engine#268, fxa#10934: what happened first is delivered last
SELECT t.orders('d1x', t.bought(), t.charge('$c', '$'), t.refunded('$d', '$', 1000, '{}', t.later(60)), t.refund('$r', '$', 1000, 'succeeded', '{}', t.later(60))) AS story;
-- posthog#98651: of two events of one second the one that was delivered last won
SELECT t.story('d2', t.bought(), t.dispute('$d', '$', 'needs_response'), t.dispute('$w', '$', 'won')) AS won,
	t.story('d3', t.bought(), t.dispute('$w', '$', 'won'), t.dispute('$d', '$', 'needs_response')) AS other_way_round;
SELECT t.story('d4', t.bought(), t.refunded('$c', '$', 300), t.refunded('$d', '$', 600)) AS two_refunds, t.story('d5', t.bought(), t.refunded('$d', '$', 600), t.refunded('$c', '$', 300)) AS other_way_round;
-- posthog#98651: an endpoint of no version was sent bodies of another
SELECT t.orders('d6x', t.subscription('$', t.meta('$')), t.invoice('$a', '$', jsonb_build_array(t.line('$a'))),
	t.old_invoice('$a', '$', jsonb_build_array(t.old_line('$a')), '{}', '{"id": "evt_$old"}')) AS both_shapes;
-- webrenew/memories#397, Ghost Members#240: the subscription was not there yet when its invoice came
SELECT t.story('d7', t.invoice('$a', '$', jsonb_build_array(t.line('$a'))), t.subscription('$', t.meta('$'))) AS story;
SELECT * FROM stripe_credit.check_books();

--
-- Paid later
--
-- GSA#1216: unpaid was taken for a failure, so that the customer paid again and again
SELECT t.story('e1', t.bought('hundred', '{"payment_status": "unpaid"}')) AS unpaid, (SELECT count(*) FROM stripe_credit.attention WHERE id IN ('evt_e1', 'pi_e1')) AS alarms;
-- AI-Shipping-Labs#1423: the first event was final, and the success that followed did nothing; or unpaid was granted
SELECT t.story('e2', t.bought('hundred', '{"payment_status": "unpaid"}'), t.bought(envelope => t.later(60, 'checkout.session.async_payment_succeeded') || '{"id": "evt_$2"}')) AS story;
-- t3dotgg/stripe-recommendations#25: the money failed after the session was complete
SELECT t.story('e3', t.bought('hundred', '{"payment_status": "unpaid"}'),
	t.bought('hundred', '{"payment_status": "unpaid"}', t.later(60, 'checkout.session.async_payment_failed') || '{"id": "evt_$2"}')) AS story;
-- woocommerce#1943: and after that it came nevertheless, by its payment intent
SELECT t.story('e3', t.intent('$', t.meta('$', 'hundred'), t.later(120) || '{"id": "evt_$3"}')) AS story;
SELECT t.orders('e4x', t.bought('hundred', '{"payment_status": "unpaid"}'), t.bought(envelope => t.later(60, 'checkout.session.async_payment_succeeded') || '{"id": "evt_$2"}'),
	t.refund('$r', '$', 500, 'pending', '{}', t.later(90)), t.refund('$r', '$', 500, 'failed', '{}', t.later(120, 'refund.failed') || '{"id": "evt_$r2"}')) AS story;
SELECT * FROM stripe_credit.check_books();

--
-- Live and test
--
-- stripe_event#33, pay#999, stripe-ruby-mock#498, solidus_stripe#192: events of the other mode moved real balances
UPDATE stripe_credit.settings SET mode = 'live';
SELECT t.story('f1', t.bought(envelope => '{"livemode": true}'), t.refund('$r', '$', 500), t.refunded('$c', '$', 1000), t.dispute('$d', '$', 'lost'), t.charge('$e', '$')) AS test_in_live;
UPDATE stripe_credit.settings SET mode = 'test';
SELECT t.story('f2', t.bought(envelope => '{"livemode": true}')) AS live_in_test;
-- opencollective-api#86: an endpoint of a Connect platform is sent both, and events of others' accounts
SELECT t.story('f3', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{}', '{"account": "acct_1"}'), t.refund('$s', '$', 500, 'succeeded', '{}', '{"account": "acct_1", "livemode": true}')) AS connected;
SELECT * FROM stripe_credit.check_books();

--
-- Whose it is
--
-- zulip#20434, stripe-firebase#404: whoever typed somebody else's e-mail was taken for him
SELECT t.story('g1', t.session('$', t.meta(NULL, 'hundred') || '{"customer_details": {"email": "g1"}, "customer_email": "g1"}')) AS typed;
-- headshots-starter#74: a pricing table brought no client_reference_id, and the purchase was lost
SELECT t.story('g2', t.session('$', t.meta(NULL, 'hundred'))) AS nobodys, t.short(stripe_credit.resolve('evt_g2', 'g2', 100)) AS resolved;
-- AI-Shipping-Labs#643: bought with another e-mail than he is registered with
SELECT t.story('g3', t.bought('hundred', '{"customer_details": {"email": "other@example.com"}}')) AS story, (SELECT balance FROM stripe_credit.balance('other@example.com')) AS other;
-- where the owner asks for it all the same, a chargeback costs the one who was named nothing of his own
UPDATE stripe_credit.settings SET account_from = '{metadata,customer_details_email}';
SELECT balance FROM stripe_credit.grant_credits('g4@example.com', 50, 'own');
SELECT t.deliver(t.session('g4', t.meta(NULL, 'hundred') || '{"customer_details": {"email": "G4@Example.com"}}')) AS typed,
	(SELECT balance FROM stripe_credit.spend('g4@example.com', 120, 'used')) AS used, (SELECT balance FROM stripe_credit.grant_credits('g4@example.com', 50, 'more')) AS more;
SELECT t.deliver(t.dispute('g4d', 'g4', 'lost')) AS charged_back, t.told('g4@example.com');
UPDATE stripe_credit.settings SET account_from = '{metadata,client_reference_id}';
SELECT * FROM stripe_credit.check_books();

--
-- Currencies
--
-- langwatch#2363, calcom#23328: the buyer paid in his own currency, and the amounts did not agree with the catalogue's
SELECT t.story('h1', t.bought('hundred', '{"currency": "eur", "amount_subtotal": 921, "amount_total": 921,
		"currency_conversion": {"source_currency": "usd", "amount_subtotal": 1000, "amount_total": 1000, "fx_rate": "0.921"}}'),
	t.refunded('$c', '$', 921, '{"amount": 921, "currency": "eur"}')) AS before_2025,
	t.story('h2', t.bought('hundred', '{"presentment_details": {"presentment_amount": 921, "presentment_currency": "eur"}}'), t.refund('$r', '$', 500)) AS since_2025;
-- an amount that is the pack's, of another currency
SELECT t.story('h3', t.bought('hundred', '{"currency": "jpy"}')) AS no_pack_of_that, t.story('h4', t.bought('yen', '{"currency": "jpy"}'), t.refund('$r', '$', 500, 'succeeded', '{"currency": "jpy"}')) AS no_decimals;
SELECT * FROM stripe_credit.check_books();
SELECT * FROM t.waiting();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
