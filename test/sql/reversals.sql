\i test/helpers.sql
-- What goes back of a payment, and comes again: refunds, disputes, and who bears them.
SELECT stripe_credit.add_webhook_secret('whsec_t') > 0 AS added;
INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, expires_after, priority) VALUES
	('hundred', 100, 1000, 'usd', NULL, NULL), ('nearly', 100, 999, 'usd', NULL, NULL), ('first', 100, 1000, 'usd', NULL, 1),
	('fifty', 100, 1000, 'usd', '50 years', NULL), ('yen', 7, 500, 'jpy', NULL, NULL), ('dinar', 9, 1500, 'kwd', NULL, NULL);
INSERT INTO stripe_credit.payment_link VALUES ('plink_1', 'hundred');
-- a life begins with this; $ is its name
CREATE FUNCTION t.bought(pack text DEFAULT 'hundred', object jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.session('$', t.meta('$', pack) || object)
$$;
CREATE FUNCTION t.later(seconds bigint, type text DEFAULT NULL) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('created', t.created() + seconds, 'type', type))
$$;
CREATE FUNCTION t.lot_rows(who text) RETURNS TABLE (lot bigint, remaining bigint, expired bigint, written_off bigint,
		reversed_expired bigint, reversed_lots bigint[], reversed_credits bigint[])
	LANGUAGE sql VOLATILE AS $$
	SELECT l.lot_id, n.remaining, l.expired, l.written_off, l.reversed_expired, l.reversed_lots, l.reversed_credits
	FROM stripe_credit.lot l JOIN t.lots() n USING (account_id, lot_id) WHERE l.account_id = who ORDER BY 1
$$;

--
-- How much: by each refund, by the charge's cumulative figure, and by both
--
SELECT what, t.story('a' || n, VARIADIC t.bought() || events) AS story FROM (VALUES
	(1, 'half, by its refund', ARRAY[t.refund('$r', '$', 500)]),
	(2, 'half, by its charge', ARRAY[t.refunded('$c', '$', 500)]),
	(3, 'by both, the refund first', ARRAY[t.refund('$r', '$', 500), t.refunded('$c', '$', 500)]),
	(4, 'by both, the charge first', ARRAY[t.refunded('$c', '$', 500), t.refund('$r', '$', 500)]),
	(5, 'all of it, by its refund', ARRAY[t.refund('$r', '$', 1000)]),
	(6, 'all of it, by its charge', ARRAY[t.refunded('$c', '$', 1000)]),
	(7, 'two parts', ARRAY[t.refund('$r', '$', 300), t.refund('$s', '$', 300)]),
	(8, 'two parts, by the charge', ARRAY[t.refunded('$c', '$', 300), t.refunded('$d', '$', 600)]),
	(9, 'the charge as it was before comes later', ARRAY[t.refunded('$d', '$', 600, '{}', t.later(60)), t.refunded('$c', '$', 300)]),
	(10, 'two parts, one of them by the charge first', ARRAY[t.refund('$r', '$', 300), t.refunded('$c', '$', 600, '{}', t.later(60)),
		t.refund('$s', '$', 300, 'succeeded', '{}', t.later(30))]),
	(11, 'a refund that the charge did not know yet', ARRAY[t.refunded('$c', '$', 300),
		t.refund('$s', '$', 200, 'succeeded', jsonb_build_object('created', t.created() + 60), t.later(60))]),
	(12, 'more than was charged', ARRAY[t.refund('$r', '$', 5000)]),
	(13, 'nothing', ARRAY[t.refund('$r', '$', 0)]),
	(14, 'the same refund by other events', ARRAY[t.refund('$r', '$', 500), t.refund('$r', '$', 500, 'succeeded', '{}', '{"id": "evt_$other"}'),
		t.refund('$r', '$', 500)]),
	(15, 'the same charge by other events', ARRAY[t.refunded('$c', '$', 500), t.refunded('$d', '$', 500), t.refunded('$c', '$', 500)]),
	(16, 'by its payment intent alone', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{"charge": null}')]),
	(17, 'a charge of another kind', ARRAY[t.refunded('$c', '$', 500, '{"id": "py_$"}'), t.refund('$r', '$', 500, 'succeeded', '{"charge": "py_$"}')])
) AS c (n, what, events) ORDER BY n;
-- whoever gets a part of his money back keeps no credit that he didn't pay
SELECT what, t.story('b' || n, VARIADIC t.bought('nearly', '{"amount_subtotal": 999, "amount_total": 999}') || events) AS story FROM (VALUES
	(1, 'a cent', ARRAY[t.refund('$r', '$', 1)]),
	(2, 'a cent, nine cents and one more', ARRAY[t.refund('$r', '$', 1), t.refund('$s', '$', 9), t.refund('$u', '$', 1)]),
	(3, 'all but a cent', ARRAY[t.refund('$r', '$', 998)]),
	(4, 'all but ten', ARRAY[t.refund('$r', '$', 989)])
) AS c (n, what, events) ORDER BY n;
SELECT * FROM t.entries('a10', 'a12');
SELECT payment_id, posted, details FROM stripe_credit.payment WHERE payment_id IN ('pi_a4', 'pi_a10') ORDER BY 1;
SELECT * FROM stripe_credit.check_books();

--
-- What becomes of a refund
--
SELECT what, t.story('c' || n, VARIADIC t.bought() || events) AS story FROM (VALUES
	(1, 'pending', ARRAY[t.refund('$r', '$', 500, 'pending')]),
	(2, 'requires_action', ARRAY[t.refund('$r', '$', 500, 'requires_action')]),
	(3, 'failed', ARRAY[t.refund('$r', '$', 500, 'failed')]),
	(4, 'canceled', ARRAY[t.refund('$r', '$', 500, 'canceled')]),
	(5, 'no status, as there was none once', ARRAY[t.refund('$r', '$', 500) #- '{data,object,status}']),
	(6, 'pending, then succeeded', ARRAY[t.refund('$r', '$', 500, 'pending'),
		t.refund('$r', '$', 500, 'succeeded', '{}', t.later(60, 'refund.updated') || '{"id": "evt_$r2"}')]),
	(7, 'requires_action, then canceled', ARRAY[t.refund('$r', '$', 500, 'requires_action'),
		t.refund('$r', '$', 500, 'canceled', '{}', t.later(60, 'refund.updated') || '{"id": "evt_$r2"}')]),
	(8, 'fails after it succeeded', ARRAY[t.refund('$r', '$', 500),
		t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')]),
	(9, 'failed, and its success comes late', ARRAY[t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed')),
		t.refund('$r', '$', 500, 'succeeded', '{}', '{"id": "evt_$r2"}')]),
	(10, 'succeeded, and it was pending before', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{}', t.later(60, 'refund.updated')),
		t.refund('$r', '$', 500, 'pending', '{}', '{"id": "evt_$r2"}')]),
	(11, 'by charge.refund.updated', ARRAY[t.refund('$r', '$', 500, 'pending'),
		t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'charge.refund.updated') || '{"id": "evt_$r2"}')]),
	(12, 'known to the charge first, then it fails', ARRAY[t.refunded('$c', '$', 500), t.refund('$r', '$', 500),
		t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')]),
	(13, 'and Stripe lowers the figure', ARRAY[t.refunded('$c', '$', 500), t.refund('$r', '$', 500),
		t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}'), t.refunded('$d', '$', 0, '{}', t.later(60))]),
	(14, 'known to the charge, and by its failure only', ARRAY[t.refunded('$c', '$', 500),
		t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed'))]),
	(15, 'one of two fails', ARRAY[t.refund('$r', '$', 300), t.refund('$s', '$', 200),
		t.refund('$s', '$', 200, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$s2"}')]),
	(16, 'one of two fails, and the other was known to the charge only', ARRAY[t.refunded('$c', '$', 500), t.refund('$s', '$', 200),
		t.refund('$s', '$', 200, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$s2"}')]),
	(17, 'refund.failed without a status', ARRAY[t.refund('$r', '$', 500),
		t.refund('$r', '$', 500, NULL, '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')]),
	(18, 'failed, whatever is said later', ARRAY[t.refund('$r', '$', 500, 'failed'),
		t.refund('$r', '$', 500, 'succeeded', '{}', t.later(60, 'refund.updated') || '{"id": "evt_$r2"}')]),
	(19, 'succeeded, and pending is said later', ARRAY[t.refund('$r', '$', 500),
		t.refund('$r', '$', 500, 'pending', '{}', t.later(60, 'refund.updated') || '{"id": "evt_$r2"}')])
) AS c (n, what, events) ORDER BY n;
-- whichever comes first: made, known to the charge, failed, and the charge as it is afterwards
SELECT t.orders('d1x', t.bought(), t.refund('$r', '$', 500), t.refunded('$c', '$', 500),
	t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS failed_refund;
SELECT t.orders('d2x', t.bought(), t.refund('$r', '$', 300), t.refunded('$c', '$', 300),
	t.refund('$s', '$', 200, 'pending', jsonb_build_object('created', t.created() + 60), t.later(60))) AS two_refunds;
SELECT * FROM stripe_credit.check_books();

--
-- Disputes
--
SELECT what, t.story('e' || n, t.bought(), t.dispute('$d', '$', what)) AS story FROM (VALUES
	(1, 'warning_needs_response'), (2, 'warning_under_review'), (3, 'warning_closed'), (4, 'needs_response'), (5, 'under_review'),
	(6, 'lost'), (7, 'won'), (8, 'prevented'), (9, 'appeal_needs_response'), (10, 'appeal_under_review')
) AS c (n, what) ORDER BY n;
CREATE FUNCTION t.moved(VARIADIC movements bigint[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('balance_transactions', jsonb_agg(jsonb_build_object('id', 'txn_$' || n, 'object', 'balance_transaction',
		'amount', amount, 'currency', 'usd', 'net', amount, 'type', 'adjustment') ORDER BY n))
	FROM unnest(movements) WITH ORDINALITY AS m (amount, n)
$$;
SELECT what, t.story('f' || n, VARIADIC t.bought() || events) AS story FROM (VALUES
	(1, 'withdrawn, then reinstated', ARRAY[t.dispute('$d', '$', 'needs_response', '{}', t.later(0, 'charge.dispute.funds_withdrawn')),
		t.dispute('$e', '$', 'under_review', '{}', t.later(60, 'charge.dispute.funds_reinstated'))]),
	(2, 'reinstated, and only then withdrawn before', ARRAY[t.dispute('$e', '$', 'under_review', '{}', t.later(60, 'charge.dispute.funds_reinstated')),
		t.dispute('$d', '$', 'needs_response', '{}', t.later(0, 'charge.dispute.funds_withdrawn'))]),
	(3, 'an inquiry that becomes a chargeback', ARRAY[t.dispute('$d', '$', 'warning_needs_response', '{}', t.later(0, 'charge.dispute.created')),
		t.dispute('$e', '$', 'needs_response', '{}', t.later(60))]),
	(4, 'an inquiry that ends', ARRAY[t.dispute('$d', '$', 'warning_needs_response', '{}', t.later(0, 'charge.dispute.created')),
		t.dispute('$e', '$', 'warning_closed', '{}', t.later(60, 'charge.dispute.closed'))]),
	(5, 'won', ARRAY[t.dispute('$d', '$', 'needs_response'), t.dispute('$e', '$', 'won', '{}', t.later(60, 'charge.dispute.closed'))]),
	(6, 'lost', ARRAY[t.dispute('$d', '$', 'needs_response'), t.dispute('$e', '$', 'lost', '{}', t.later(60, 'charge.dispute.closed'))]),
	(7, 'prevented', ARRAY[t.dispute('$d', '$', 'needs_response'), t.dispute('$e', '$', 'prevented', '{}', t.later(60, 'charge.dispute.closed'))]),
	(8, 'lost, appealed and won', ARRAY[t.dispute('$d', '$', 'lost'), t.dispute('$e', '$', 'appeal_under_review', '{}', t.later(60)),
		t.dispute('$g', '$', 'won', '{}', t.later(120))]),
	(9, 'won, and the bank appeals', ARRAY[t.dispute('$d', '$', 'needs_response'), t.dispute('$e', '$', 'won', '{}', t.later(60)),
		t.dispute('$g', '$', 'appeal_needs_response', '{}', t.later(120))]),
	(10, 'won and lost in the same second', ARRAY[t.dispute('$d', '$', 'lost'), t.dispute('$e', '$', 'won')]),
	(11, 'the other way round', ARRAY[t.dispute('$e', '$', 'won'), t.dispute('$d', '$', 'lost')]),
	(12, 'a part', ARRAY[t.dispute('$d', '$', 'lost', '{"amount": 400}')]),
	(13, 'a part in another currency is the whole', ARRAY[t.dispute('$d', '$', 'lost', '{"amount": 400, "currency": "eur"}')]),
	(14, 'an inquiry in another currency is nothing', ARRAY[t.dispute('$d', '$', 'warning_under_review', '{"amount": 400, "currency": "eur"}')]),
	(15, 'two of one charge', ARRAY[t.dispute('$d', '$', 'lost', '{"id": "dp_$a", "amount": 400}'),
		t.dispute('$e', '$', 'lost', '{"id": "dp_$b", "amount": 400}')]),
	(16, 'a fact told again', ARRAY[t.dispute('$d', '$', 'needs_response'), t.dispute('$e', '$', 'needs_response'),
		t.dispute('$g', '$', 'needs_response', '{}', t.later(60))])
) AS c (n, what, events) ORDER BY n;
-- the movements of the money say more than the status, but for one that ends well
SELECT what, t.story('g' || n, VARIADIC t.bought() || events) AS story FROM (VALUES
	(1, 'withdrawn', ARRAY[t.dispute('$d', '$', 'needs_response', t.moved(-1000))]),
	(2, 'withdrawn, whatever the status says', ARRAY[t.dispute('$d', '$', 'warning_needs_response', t.moved(-1000))]),
	(3, 'withdrawn and reinstated', ARRAY[t.dispute('$d', '$', 'under_review', t.moved(-1000, 1000))]),
	(4, 'each counts once', ARRAY[t.dispute('$d', '$', 'needs_response', t.moved(-1000)),
		t.dispute('$e', '$', 'under_review', t.moved(-1000, 1000), t.later(60)), t.dispute('$g', '$', 'under_review', t.moved(-1000), t.later(60))]),
	(5, 'won, and the money is still to come', ARRAY[t.dispute('$d', '$', 'won', t.moved(-1000))]),
	(6, 'won, and it is back', ARRAY[t.dispute('$d', '$', 'won', t.moved(-1000, 1000))]),
	(7, 'won, but not all of it came back', ARRAY[t.dispute('$d', '$', 'won', t.moved(-1000, 900))]),
	(8, 'won, withdrawn again', ARRAY[t.dispute('$d', '$', 'won', t.moved(-1000, 1000)), t.dispute('$e', '$', 'won', t.moved(-1000, 1000, -1000), t.later(60))]),
	(9, 'lost, but reinstated', ARRAY[t.dispute('$d', '$', 'lost', t.moved(-1000, 1000))]),
	(10, 'they go before the funds events', ARRAY[t.dispute('$d', '$', 'needs_response', t.moved(-1000), t.later(0, 'charge.dispute.funds_reinstated'))]),
	(11, 'none of them can be read', ARRAY[t.dispute('$d', '$', 'needs_response', '{"balance_transactions": [{"id": "txn_$", "amount": "-1000"}]}')]),
	(12, 'there is no list', ARRAY[t.dispute('$d', '$', 'needs_response', '{"balance_transactions": null}')])
) AS c (n, what, events) ORDER BY n;
-- refunds and disputes together take no more than was paid
SELECT what, t.story('h' || n, VARIADIC t.bought() || events) AS story FROM (VALUES
	(1, 'a part refunded, all disputed', ARRAY[t.refund('$r', '$', 700), t.dispute('$d', '$', 'lost')]),
	(2, 'all disputed, a part refunded', ARRAY[t.dispute('$d', '$', 'lost'), t.refund('$r', '$', 700)]),
	(3, 'all of both', ARRAY[t.refunded('$c', '$', 1000), t.refund('$r', '$', 1000), t.dispute('$d', '$', 'lost')]),
	(4, 'and the dispute is won', ARRAY[t.refund('$r', '$', 700), t.dispute('$d', '$', 'needs_response'), t.dispute('$e', '$', 'won', '{}', t.later(60))]),
	(5, 'and the refund fails', ARRAY[t.refund('$r', '$', 700), t.dispute('$d', '$', 'lost', '{"amount": 400}'),
		t.refund('$r', '$', 700, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')])
) AS c (n, what, events) ORDER BY n;
-- before 2019 a dispute named its charge only, and once it had no id: then the charge names it
SELECT what, t.story('i' || n, VARIADIC ARRAY[t.bought(), t.charge('$c', '$')] || events) AS story FROM (VALUES
	(1, 'a charge only', ARRAY[t.dispute('$d', '$', 'lost', '{}') #- '{data,object,payment_intent}']),
	(2, 'no id', ARRAY[t.dispute('$d', '$', 'needs_response', '{"amount": 400}') #- '{data,object,payment_intent}' #- '{data,object,id}',
		t.dispute('$e', '$', 'won', '{"amount": 400, "id": null, "payment_intent": null}', t.later(60))])
) AS c (n, what, events) ORDER BY n;
SELECT t.orders('j1x', t.bought(), t.dispute('$d', '$', 'needs_response', t.moved(-1000), t.later(0, 'charge.dispute.created')),
	t.dispute('$e', '$', 'needs_response', t.moved(-1000), t.later(1, 'charge.dispute.funds_withdrawn')),
	t.dispute('$g', '$', 'won', t.moved(-1000, 1000), t.later(60, 'charge.dispute.closed'))) AS won;
SELECT payment_id, posted, details FROM stripe_credit.payment WHERE payment_id = 'pi_g4';
SELECT * FROM stripe_credit.check_books();

--
-- Before the payment itself is known
--
SELECT what, t.story('k' || n, VARIADIC events) AS story FROM (VALUES
	(1, 'a refund', ARRAY[t.refund('$r', '$', 500), t.refund('$r', '$', 500), t.bought()]),
	(2, 'a refunded charge', ARRAY[t.refunded('$c', '$', 500), t.bought()]),
	(3, 'a dispute that is won', ARRAY[t.dispute('$d', '$', 'lost'), t.bought(), t.dispute('$e', '$', 'won', '{}', t.later(60))]),
	(4, 'all of it, which fails', ARRAY[t.refund('$r', '$', 1000), t.bought(),
		t.refund('$r', '$', 1000, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')]),
	(5, 'half of it, which fails', ARRAY[t.refund('$r', '$', 500), t.bought(),
		t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')]),
	(6, 'a refund that failed', ARRAY[t.refund('$r', '$', 500, 'failed'), t.bought()]),
	(7, 'of an unpaid session, which is paid later', ARRAY[t.bought('hundred', '{"payment_status": "unpaid"}'), t.refund('$r', '$', 500),
		t.session('$', t.meta('$', 'hundred'), t.later(60, 'checkout.session.async_payment_succeeded') || '{"id": "evt_$2"}')]),
	(8, 'of an unpaid session, which is never paid', ARRAY[t.bought('hundred', '{"payment_status": "unpaid"}'), t.refund('$r', '$', 500),
		t.session('$', t.meta('$', 'hundred') || '{"payment_status": "unpaid"}', t.later(60, 'checkout.session.async_payment_failed') || '{"id": "evt_$2"}')]),
	(9, 'and then the session, unpaid', ARRAY[t.refund('$r', '$', 500), t.bought('hundred', '{"payment_status": "unpaid"}')]),
	(10, 'of a payment intent', ARRAY[t.refund('$r', '$', 500), t.intent('$', t.meta('$', 'hundred'))])
) AS c (n, what, events) ORDER BY n;
SELECT event_id, status, reason, payload IS NULL AS forgotten FROM stripe_credit.event WHERE event_id IN ('evt_k1r', 'evt_k2c', 'evt_k3d', 'evt_k9r') ORDER BY 1;
SELECT * FROM t.waiting();
-- without its payload, what it said is kept
UPDATE stripe_credit.settings SET keep_payload = 'none';
SELECT t.story('k11', t.refund('$r', '$', 500)) AS pending, (SELECT payload OR NOT facts FROM t.waiting() WHERE event_id = 'evt_k11r') AS payload,
	t.short(stripe_credit.replay('evt_k11r')) AS replayed, t.story('k11', t.bought()) AS bought;
UPDATE stripe_credit.settings SET keep_payload = 'unapplied';
-- what nobody could match, and was refunded meanwhile: a person says what the whole was worth
SELECT t.story('l1', t.bought('gone'), t.refund('$r', '$', 500)) AS story, t.short(stripe_credit.resolve('evt_l1', 'l1', 60)) AS resolved, t.told('l1');
SELECT t.story('l2', t.refund('$r', '$', 1000), t.bought('gone')) AS story, t.short(stripe_credit.resolve('evt_l2', 'l2', 60)) AS resolved, t.told('l2');
SELECT t.try($$SELECT stripe_credit.resolve('evt_l1r', 'l1', 61)$$) AS of_the_refund;
-- what a person said stands, and refunds count against it
SELECT t.story('l1', t.refund('$s', '$', 300)) AS more;
SELECT * FROM stripe_credit.check_books();

--
-- By the charge alone: what links it to the payment may come first, last or between
--
SELECT t.orders('m1x', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'), t.charge('$c', '$')) AS charge_succeeded;
SELECT t.orders('m2x', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'),
	t.charge('$c', '$', '{}', '{"type": "charge.updated"}')) AS charge_updated;
SELECT t.orders('m3x', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'), t.refunded('$c', '$', 500)) AS charge_refunded;
SELECT t.orders('m4x', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'),
	t.intent('$', t.meta('$', 'hundred'), '{"id": "evt_$pi"}')) AS latest_charge;
SELECT t.orders('m5x', t.bought(), t.dispute('$d', '$', 'lost', '{"payment_intent": null, "amount": 400}'), t.charge('$c', '$')) AS dispute;
SELECT t.orders('m6x', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'), t.refund('$s', '$', 200, 'succeeded', '{"charge": null}'),
	t.charge('$c', '$')) AS by_one_name_each;
SELECT t.orders('m7x', t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'),
	t.session('$', t.meta('$', 'hundred') || '{"payment_intent": null, "payment_status": "unpaid"}', '{"id": "evt_$u"}'), t.charge('$c', '$')) AS unpaid_without_intent;
-- nothing links it yet
SELECT what, t.story('n' || n, VARIADIC events) AS story FROM (VALUES
	(1, 'a refund waits for its charge', ARRAY[t.bought(), t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}'), t.charge('$c', '$')]),
	(2, 'a charge is news once', ARRAY[t.charge('$c', '$'), t.charge('$c', '$', '{}', '{"id": "evt_$d", "type": "charge.updated"}'), t.charge('$c', '$'),
		t.bought(), t.charge('$c', '$', '{}', '{"id": "evt_$e"}')]),
	(3, 'one that failed, and another that did not', ARRAY[t.charge('$c', '$', '{"id": "ch_$failed", "paid": false, "status": "failed"}', '{"type": "charge.updated"}'),
		t.charge('$d', '$'), t.bought(), t.refund('$r', '$', 500)])
) AS c (n, what, events) ORDER BY n;
SELECT payment_id, same_as, posted, posted_to, posted_as FROM stripe_credit.payment WHERE payment_id LIKE '%\_m1x001' OR payment_id LIKE '%\_n3%' ORDER BY 1;
SELECT * FROM stripe_credit.check_books();

--
-- Justice: its own lot first, then what it would cost, and back the same way
--
-- credits that would be spent before them are not touched while its own are there
SELECT balance FROM stripe_credit.grant_credits('o1', 50, 'gift');
SELECT t.story('o1', t.bought(), t.refund('$r', '$', 500)) AS own_lot;
SELECT * FROM t.lot_rows('o1');
-- what was spent of it is taken elsewhere, then owed
SELECT t.story('o2', t.bought('first')) AS bought, (SELECT balance FROM stripe_credit.grant_credits('o2', 60, 'gift')) AS gift,
	(SELECT balance FROM stripe_credit.spend('o2', 90, 'used')) AS used;
SELECT t.story('o2', t.refund('$r', '$', 1000)) AS debt;
SELECT * FROM t.lot_rows('o2');
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'o2';
SELECT t.state($$SELECT stripe_credit.spend('o2', 1, 'more')$$) AS spend, t.state($$SELECT stripe_credit.hold('o2', 1, 'h')$$) AS hold;
SELECT kind, id, account_id, detail FROM stripe_credit.attention WHERE id = 'o2';
-- the next purchase pays it
SELECT t.deliver(t.session('o2next', t.meta('o2', 'hundred'))) AS bought;
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'o2';
SELECT t.state($$SELECT stripe_credit.spend('o2', 1, 'more')$$) AS spend;
-- the refund fails: what it took returns where it was, and what it left as a debt, which is paid, to its own lot
SELECT t.story('o2', t.refund('$r', '$', 1000, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS given_back;
SELECT * FROM t.lot_rows('o2');
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'o2';
-- a debt that nobody paid is given back before anything else
SELECT t.story('o3', t.bought('first')) AS bought, (SELECT balance FROM stripe_credit.spend('o3', 90, 'used')) AS used;
SELECT t.story('o3', t.refund('$r', '$', 700), t.refund('$s', '$', 300), t.refund('$r', '$', 700, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS story;
SELECT balance, floor FROM stripe_credit.account WHERE account_id = 'o3';
SELECT * FROM t.lot_rows('o3');
SELECT * FROM stripe_credit.check_books();

-- its own credits that have expired cost nothing more
CREATE FUNCTION t.expires() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT t.session('$', t.meta('$', 'fifty'), '{"id": "evt_$early", "created": 0}')	-- the earliest event that says paid counts
$$;
SELECT t.story('p1', t.bought('fifty')) AS bought, (SELECT balance FROM stripe_credit.spend('p1', 30, 'used')) AS used,
	(SELECT balance FROM stripe_credit.grant_credits('p1', 20, 'gift')) AS gift;
SELECT t.story('p1', t.expires(), t.refund('$r', '$', 500)) AS half;
SELECT * FROM t.lot_rows('p1');
SELECT t.story('p1', t.refund('$s', '$', 500)) AS all_of_it;
SELECT * FROM t.lot_rows('p1');
SELECT t.story('p1', t.refund('$s', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$s2"}')) AS half_again;
SELECT t.story('p1', t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS nothing_of_it;
SELECT * FROM t.lot_rows('p1');
-- what is given back to a lot that has expired meanwhile has expired
SELECT t.story('p2', t.bought('fifty'), t.refund('$r', '$', 400), t.expires(),
	t.refund('$r', '$', 400, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS own_lot;
SELECT * FROM t.lot_rows('p2');
SELECT t.story('p3', t.bought('first')) AS bought, (SELECT balance FROM stripe_credit.spend('p3', 100, 'used')) AS used;
SELECT t.deliver(t.session('p3b', t.meta('p3', 'fifty'))) AS another;
SELECT t.story('p3', t.refund('$r', '$', 300)) AS taken_from_it;
SELECT * FROM t.lot_rows('p3');
SELECT t.deliver(t.session('p3b', t.meta('p3', 'fifty'), '{"id": "evt_p3b_early", "created": 0}')) AS expires;
SELECT t.story('p3', t.refund('$r', '$', 300, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS anothers_lot;
SELECT * FROM t.lot_rows('p3');
SELECT * FROM stripe_credit.check_books();

-- clamp: what is there is taken, and the rest written off; which is given back first
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.story(who, t.bought('first')) AS bought, (SELECT balance FROM stripe_credit.grant_credits(who, 60, 'gift')) AS gift,
	(SELECT balance FROM stripe_credit.spend(who, 90, 'used')) AS used FROM unnest(ARRAY['q1', 'q2', 'q3']) AS who;
SELECT t.story('q1', t.refund('$r', '$', 1000)) AS all_of_it;
SELECT * FROM t.lot_rows('q1');
SELECT t.story('q1', t.refund('$r', '$', 1000, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS given_back;
SELECT * FROM t.lot_rows('q1');
-- two refunds of which one fails are as the other alone
SELECT t.story('q2', t.refund('$r', '$', 700), t.refund('$s', '$', 300), t.refund('$r', '$', 700, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS one_fails;
SELECT t.story('q3', t.refund('$s', '$', 300)) AS the_other_alone;
SELECT * FROM t.lot_rows('q2');
SELECT * FROM t.lot_rows('q3');
-- what returns to the lot of a payment that was refunded too makes good what was written off of it
SELECT t.story('q5', t.bought('first')) AS bought, (SELECT balance FROM stripe_credit.spend('q5', 100, 'used')) AS used;
SELECT t.story('q5', t.session('$b', t.meta('$', 'hundred')), t.refund('$r', '$', 600), t.refund('$s', '$b', 1000),
	t.refund('$r', '$', 600, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS story;
SELECT * FROM t.lot_rows('q5');
-- never below zero, and nothing of a debt that is there already
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
SELECT t.story('q4', t.bought(), t.session('$b', t.meta('$', 'hundred'))) AS bought, (SELECT balance FROM stripe_credit.spend('q4', 200, 'used')) AS used;
SELECT t.story('q4', t.refund('$r', '$', 300)) AS debt;
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.story('q4', t.refund('$s', '$b', 300)) AS clamp;
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
SELECT * FROM stripe_credit.check_books();

-- gifts: the buyer wrote the receiver's name, who loses nothing of his own
SELECT t.story(who, t.session('$', t.meta(NULL, 'hundred') || '{"client_reference_id": "$"}' || link)) AS bought,
	(SELECT balance FROM stripe_credit.spend(who, 90, 'used')) AS used, (SELECT balance FROM stripe_credit.grant_credits(who, 20, 'own')) AS own
	FROM (VALUES ('r1', '{"payment_link": "plink_1"}'::jsonb), ('r2', '{}'), ('r3', '{"payment_link": "plink_other"}')) AS g (who, link);
SELECT who, t.story(who, t.dispute('$d', '$', 'needs_response')) AS charged_back FROM unnest(ARRAY['r1', 'r2', 'r3']) AS who ORDER BY 1;
SELECT * FROM t.lot_rows('r1');
SELECT who, t.story(who, t.dispute('$e', '$', 'won', '{}', t.later(60))) AS won FROM unnest(ARRAY['r1', 'r2', 'r3']) AS who ORDER BY 1;
SELECT * FROM t.lot_rows('r1');
-- by metadata the seller wrote it, payment link or not
SELECT t.story('r4', t.bought('hundred', '{"client_reference_id": "mallory", "payment_link": "plink_1"}')) AS bought, (SELECT balance FROM stripe_credit.spend('r4', 90, 'used')) AS used;
SELECT t.story('r4', t.dispute('$d', '$', 'lost')) AS charged_back;
UPDATE stripe_credit.settings SET account_from = '{customer_details_email,customer_email}';
SELECT t.deliver(t.session('r5', t.meta(NULL, 'hundred') || '{"customer_details": {"email": "R5@Example.com"}}')) AS typed,
	t.deliver(t.session('r6', t.meta(NULL, 'hundred') || '{"customer_details": {"email": null}, "customer_email": "R6@Example.com"}')) AS given;
SELECT (stripe_credit.spend(who, 90, 'used')).balance AS used, (stripe_credit.grant_credits(who, 20, 'own')).balance AS own
	FROM unnest(ARRAY['r5@example.com', 'r6@example.com']) AS who;
SELECT t.deliver(t.refund('r5r', 'r5', 1000)) AS typed, t.told('r5@example.com'), t.deliver(t.refund('r6r', 'r6', 1000)) AS given, t.told('r6@example.com');
UPDATE stripe_credit.settings SET account_from = '{metadata,client_reference_id}';
SELECT * FROM stripe_credit.check_books();

-- what is held counts as spent: the hold stays good, and what is released pays the debt
SELECT t.story(who, t.bought()) AS bought, (SELECT available FROM stripe_credit.hold(who, 80, 'job', '1 day')) AS available
	FROM unnest(ARRAY['s1', 's2', 's3', 's4', 's5']) AS who;
SELECT t.story('s1', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.capture('s1', 'job', 50);
SELECT t.told('s1');
SELECT t.story('s2', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.release('s2', 'job');
SELECT t.told('s2');
-- or what was written off
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT t.story('s3', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.capture('s3', 'job', 50);
SELECT t.told('s3');
SELECT t.story('s4', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.release('s4', 'job');
SELECT t.told('s4');
-- a part of it: what is released beyond it is the account's again
SELECT t.story('s5', t.refund('$r', '$', 500)) AS refunded;
SELECT * FROM stripe_credit.release('s5', 'job');
SELECT t.told('s5');
SELECT t.story('s5', t.refund('$r', '$', 500, 'failed', '{}', t.later(60, 'refund.failed') || '{"id": "evt_$r2"}')) AS given_back;
SELECT * FROM t.lot_rows('s5');
-- a spend that is undone afterwards does the same
SELECT t.story('s6', t.bought()) AS bought, (SELECT balance FROM stripe_credit.spend('s6', 80, 'job')) AS used;
SELECT t.story('s6', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.reverse_spend('s6', 'job');
SELECT t.told('s6');
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
SELECT t.story('s7', t.bought()) AS bought, (SELECT balance FROM stripe_credit.spend('s7', 80, 'job')) AS used;
SELECT t.story('s7', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.reverse_spend('s7', 'job');
SELECT t.told('s7');
SELECT * FROM stripe_credit.check_books();

--
-- Money: minor units of whatever currency, and what the charge says
--
SELECT what, t.story('u' || n, VARIADIC events) AS story FROM (VALUES
	(1, 'no decimals', ARRAY[t.bought('yen', '{"currency": "jpy", "amount_subtotal": 500, "amount_total": 500}'), t.refund('$r', '$', 100, 'succeeded', '{"currency": "jpy"}')]),
	(2, 'three decimals', ARRAY[t.bought('dinar', '{"currency": "kwd", "amount_subtotal": 1500, "amount_total": 1500}'), t.refund('$r', '$', 1, 'succeeded', '{"currency": "kwd"}')]),
	(3, 'tax and discount are in what was charged', ARRAY[t.bought('hundred', '{"amount_total": 952, "total_details": {"amount_discount": 200, "amount_tax": 152}}'),
		t.refund('$r', '$', 476)]),
	(4, 'and the charge says so', ARRAY[t.bought('hundred', '{"amount_total": 952, "total_details": {"amount_discount": 200, "amount_tax": 152}}'),
		t.refunded('$c', '$', 952, '{"amount": 952}')]),
	(5, 'converted: the buyer''s currency', ARRAY[t.bought('hundred', '{"currency": "chf", "amount_subtotal": 900, "amount_total": 950,
		"currency_conversion": {"source_currency": "usd", "amount_subtotal": 1000, "amount_total": 1056}}'), t.refund('$r', '$', 475, 'succeeded', '{"currency": "chf"}'),
		t.charge('$c', '$', '{"amount": 950, "currency": "chf"}')]),
	(6, 'another currency than the session''s, until the charge is seen', ARRAY[t.bought(), t.refund('$r', '$', 460, 'succeeded', '{"currency": "eur"}'),
		t.charge('$c', '$', '{"amount": 920, "currency": "eur"}')]),
	(7, 'the charge is more than the session', ARRAY[t.bought(), t.refund('$r', '$', 500), t.charge('$c', '$', '{"amount": 2000}')]),
	(8, 'the charge is less than the session', ARRAY[t.bought(), t.refund('$r', '$', 500), t.charge('$c', '$', '{"amount": 500}')]),
	(9, 'nothing was charged', ARRAY[t.bought('hundred', '{"amount_total": 0}'), t.refund('$r', '$', 500), t.dispute('$d', '$', 'lost', '{"currency": "eur"}')]),
	(10, 'until a charge says something', ARRAY[t.bought('hundred', '{"amount_total": 0}'), t.refund('$r', '$', 500), t.charge('$c', '$')]),
	(11, 'all there is, but one', ARRAY[t.session('$', t.meta('$', NULL, '9223372036854775807') || '{"amount_total": 9223372036854775807}'),
		t.refund('$r', '$', 9223372036854775806)]),
	(12, 'one of all there is', ARRAY[t.session('$', t.meta('$', NULL, '9223372036854775807') || '{"amount_total": 9223372036854775807}'),
		t.refunded('$c', '$', 1, '{"amount": 9223372036854775807}')]),
	(13, 'all there is for three, one of them back', ARRAY[t.session('$', t.meta('$', NULL, '9223372036854775807') || '{"amount_total": 3}'), t.refund('$r', '$', 1)]),
	(14, 'twice all there is', ARRAY[t.session('$', t.meta('$', NULL, '9223372036854775807') || '{"amount_total": 9223372036854775807}'),
		t.refund('$r', '$', 9223372036854775807), t.refund('$s', '$', 9223372036854775807), t.dispute('$d', '$', 'lost', '{"amount": 9223372036854775807}')]),
	(15, 'and movements of it', ARRAY[t.bought(), t.dispute('$d', '$', 'under_review', t.moved(VARIADIC '{-9223372036854775808,-9223372036854775808}')),
		t.dispute('$e', '$', 'under_review', t.moved(VARIADIC '{-9223372036854775808,-9223372036854775808,9223372036854775807,9223372036854775807,9}'), t.later(60))])
) AS c (n, what, events) ORDER BY n;
SELECT who, t.story(who, t.dispute('$z', '$', 'lost', '{"amount": 9223372036854775807}')) AS the_rest FROM unnest(ARRAY['u11', 'u12', 'u13']) AS who ORDER BY 1;
SELECT * FROM stripe_credit.check_books();

--
-- Whose it is, and what can't be used
--
SELECT what, t.story('v' || n, VARIADIC t.bought() || events) AS story FROM (VALUES
	(1, 'of another installation', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{"metadata": {"stripe_credit_install": "00000000-0000-0000-0000-000000000000"}}'),
		t.dispute('$d', '$', 'lost', '{"metadata": {"stripe_credit_install": "00000000-0000-0000-0000-000000000000"}}'),
		t.refunded('$c', '$', 500, '{"metadata": {"stripe_credit_install": "00000000-0000-0000-0000-000000000000"}}'),
		t.charge('$e', '$', '{"metadata": {"stripe_credit_install": "00000000-0000-0000-0000-000000000000"}}')]),
	(2, 'of a connected account', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{}', '{"account": "acct_1"}'), t.refund('$s', '$', 300, 'succeeded', '{}', '{"account": null}')]),
	(3, 'of no payment', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{"charge": null, "payment_intent": null}'),
		t.dispute('$d', '$', 'lost') #- '{data,object,charge}' #- '{data,object,payment_intent}']),
	(4, 'no amount', ARRAY[t.refund('$r', '$', NULL), t.refund('$s', '$', 500) #- '{data,object,amount}', t.dispute('$d', '$', 'lost', '{"amount": null}'),
		t.refunded('$c', '$', NULL), t.charge('$e', '$', '{"amount": null}')]),
	(5, 'an amount that is none', ARRAY[t.refund('$r', '$', -500), t.refund('$s', '$', 500, 'succeeded', '{"amount": 1.5}'),
		t.refund('$u', '$', 500, 'succeeded', '{"amount": 9223372036854775808}'), t.refund('$v', '$', 500, 'succeeded', '{"amount": "500"}')]),
	(6, 'no currency', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{"currency": null}'), t.dispute('$d', '$', 'lost', '{"currency": "USD"}'),
		t.charge('$c', '$', '{"currency": "dollar"}')]),
	(7, 'no id that could be one', ARRAY[t.refund('$r', '$', 500, 'succeeded', '{"id": null}'), t.refund('$s', '$', 500, 'succeeded', '{"charge": "src_$"}'),
		t.dispute('$d', '$', 'lost', '{"payment_intent": "cs_$"}'), t.charge('$c', '$', '{"id": "in_$"}')]),
	(8, 'no livemode', ARRAY[t.refund('$r', '$', 500) - 'livemode', t.refund('$s', '$', 500, 'succeeded', '{}', '{"livemode": "false"}')])
) AS c (n, what, events) ORDER BY n;
SELECT event_id, type, status, reason FROM stripe_credit.event WHERE event_id LIKE 'evt\_v%' AND event_id !~ '^evt_v[0-9]+$' ORDER BY 1;
-- a person can't make credits of them
SELECT t.try($$SELECT stripe_credit.resolve('evt_v4r', 'v4', 5)$$) AS refund, t.state($$SELECT stripe_credit.resolve('evt_v4d', 'v4', 5)$$) AS dispute,
	t.state($$SELECT stripe_credit.resolve('evt_v4e', 'v4', 5)$$) AS charge, t.state($$SELECT stripe_credit.resolve('evt_v3r', 'v4', 5)$$) AS ignored;
UPDATE stripe_credit.settings SET connected_accounts = '{acct_1}';
SELECT t.story('v2', t.refund('$u', '$', 200, 'succeeded', '{}', '{"account": "acct_1"}')) AS listed;
UPDATE stripe_credit.settings SET connected_accounts = '{}';

-- test and live
SELECT t.story('w1', t.session('$', t.meta('$', 'hundred'), '{"livemode": true}'), t.refund('$r', '$', 500, 'succeeded', '{}', '{"livemode": true}'))
	LIKE 'unmatched (mode), %: nothing' AS live_in_test;
UPDATE stripe_credit.settings SET mode = 'live';
SELECT split_part(t.short(stripe_credit.replay('evt_w1')), ' ', 1) AS replayed, stripe_credit.maintain() IS NOT NULL AS maintained,
	(SELECT balance FROM stripe_credit.balance('w1'));
SELECT t.story('w2', t.session('$', t.meta('$', 'hundred'), '{"livemode": true}'), t.refund('$r', '$', 500, 'succeeded', '{}', '{"livemode": true}')) AS live_in_live;
SELECT t.story('a1', t.refund('$t', '$', 100), t.dispute('$d', '$', 'lost'), t.refunded('$c', '$', 900), t.charge('$e', '$')) AS test_in_live;
-- what was posted goes back though the mode is test again
UPDATE stripe_credit.settings SET mode = 'test';
SELECT t.story('w2', t.refund('$s', '$', 300, 'succeeded', '{}', '{"livemode": true}')) AS live_in_test_again;
SELECT * FROM stripe_credit.check_books();

--
-- maintain(): what an earlier version left, what fails, and what nobody ever heard of
--
INSERT INTO stripe_credit.event (event_id, type, created, livemode, status, reason, payment_id, payload)
	SELECT event->>'id', event->>'type', to_timestamp(t.created()), false, 'pending', 'not acted on', NULL, event::text
	FROM (VALUES (t.refund('a1kept', 'a1', 100)), (t.refunded('a2kept', 'a2', 700, '{}', t.later(60))), (t.dispute('a13kept', 'a13', 'lost')),
		(t.refund('x1', 'x1', 100)), (t.charge('x2', 'x2'))) AS e (event);
INSERT INTO stripe_credit.event (event_id, type, created, livemode, status, reason, payload)
	VALUES ('evt_0damaged', 'refund.created', to_timestamp(t.created()), false, 'pending', 'not acted on', '{"id": "evt_0damaged"');
\set VERBOSITY terse
SELECT m->'complete' AS complete FROM stripe_credit.maintain() AS m;
\set VERBOSITY default
SELECT event_id, status, reason, payment_id FROM stripe_credit.event WHERE event_id LIKE 'evt%kept' OR event_id IN ('evt_x1', 'evt_x2', 'evt_0damaged') ORDER BY 1;
SELECT t.told('a1') AS refund, t.told('a2') AS charge, t.told('a13') AS dispute;
DELETE FROM stripe_credit.event WHERE event_id = 'evt_0damaged';
SELECT * FROM stripe_credit.check_books();
-- after thirty days nothing is kept of payments that were never heard of, but of all others
SELECT t.story('y1', t.refund('$r', '$', 500), t.charge('$c', '$'), t.invoice_payment('$p', '$', '$')) AS nothing_but_links,
	t.story('y2', t.refund('$r', '$', 500, 'succeeded', '{"payment_intent": null}')) AS charge_alone,
	t.story('y3', t.bought('hundred', '{"payment_status": "unpaid"}'), t.refund('$r', '$', 500)) AS unpaid,
	t.story('y4', t.bought('gone'), t.refund('$r', '$', 500)) AS unmatched,
	t.story('y5', t.refund('$r', '$', 500)) AS of_today;
UPDATE stripe_credit.payment SET created_at = now() - interval '31 days' WHERE payment_id ~ '_y[1-4]$';
SELECT count(*) AS names FROM stripe_credit.payment WHERE payment_id ~ '_y1$';
SELECT m->'pruned' AS pruned FROM stripe_credit.maintain() AS m;
SELECT payment_id, same_as FROM stripe_credit.payment WHERE payment_id ~ '_y[1-5]$' ORDER BY 1;
SELECT event_id, status FROM stripe_credit.event WHERE event_id LIKE 'evt\_y%' ORDER BY 1;
-- and what comes after all is new
SELECT t.story('y1', t.bought()) AS late, t.story('y4', t.refund('$s', '$', 100)) AS heard, t.short(stripe_credit.resolve('evt_y4', 'y4', 100)) AS resolved;
SELECT * FROM stripe_credit.check_books();

--
-- Test credits, once the mode is live
--
SELECT t.try($$SELECT stripe_credit.void_test_credits()$$) AS in_test_mode;
SELECT t.story('z1', t.bought()) AS bought, (SELECT balance FROM stripe_credit.spend('z1', 30, 'used')) AS used,
	(SELECT balance FROM stripe_credit.grant_credits('z1', 5, 'gift')) AS gift, (SELECT available FROM stripe_credit.hold('z1', 10, 'job', '1 day')) AS available;
SELECT sum(remaining) AS test_credits FROM t.lots() WHERE payment_id IS NOT NULL AND payment_id NOT IN ('pi_w1', 'pi_w2') \gset
UPDATE stripe_credit.settings SET mode = 'live';
SELECT id, detail FROM stripe_credit.attention WHERE kind = 'test credits' AND id = 'z1';
SELECT stripe_credit.void_test_credits() = :test_credits AS all_of_them;
SELECT count(*) AS left FROM stripe_credit.attention WHERE kind = 'test credits';
SELECT stripe_credit.void_test_credits() AS again;
SELECT t.told('z1');
SELECT * FROM stripe_credit.capture('z1', 'job', 4);
SELECT t.told('z1');
SELECT * FROM t.lot_rows('z1');
SELECT t.told('w2') AS live;
UPDATE stripe_credit.settings SET mode = 'test';
-- and refunded in test mode nevertheless
SELECT t.story('z1', t.refund('$r', '$', 1000)) AS refunded;
SELECT * FROM stripe_credit.check_books();

--
-- check_books(): what is wrong with what is known of a payment, and nothing else
--
SELECT t.story('zed', t.bought('hundred', '{"payment_link": "plink_1"}'), t.charge('$c', '$'), t.refund('$r', '$', 300),
	t.dispute('$d', '$', 'needs_response', '{"amount": 200}' || t.moved(-200))) AS story;
UPDATE stripe_credit.settings SET on_overdraw = 'clamp';
SELECT (stripe_credit.spend('zed', 45, 'used')).balance, t.story('zed', t.refund('$s', '$', 200)) AS story;
UPDATE stripe_credit.settings SET on_overdraw = 'debt';
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
	(1, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{refunds,0,amount}', '400') WHERE payment_id = 'pi_zed'$$),
	(2, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{refunds,0,status}', '"failed"') WHERE payment_id = 'pi_zed'$$),
	(3, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{refunds,0,currency}', '"eur"') WHERE payment_id = 'pi_zed'$$),
	(4, $$UPDATE stripe_credit.payment SET details = details #- '{refunds,1}' WHERE payment_id = 'pi_zed'$$),
	(5, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{charges,0,amount}', '2000') WHERE payment_id = 'pi_zed'$$),
	(6, $$UPDATE stripe_credit.payment SET details = jsonb_set(jsonb_set(details, '{charges,0,refunded}', '600'), '{charges,0,refunded_at}', '1700000000') WHERE payment_id = 'pi_zed'$$),
	(7, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{disputes,0,status}', '"won"') WHERE payment_id = 'pi_zed'$$),
	(8, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{disputes,0,amount}', '300') WHERE payment_id = 'pi_zed'$$),
	(9, $$UPDATE stripe_credit.payment SET details = jsonb_set(details, '{transactions,0,amount}', '200') WHERE payment_id = 'pi_zed'$$),
	(10, $$UPDATE stripe_credit.payment SET details = NULL WHERE payment_id = 'pi_zed'$$),
	(11, $$UPDATE stripe_credit.payment SET posted = 31 WHERE payment_id = 'pi_zed'$$),
	(12, $$UPDATE stripe_credit.payment SET posted_as = 'pi_other' WHERE payment_id = 'pi_zed'$$),
	(13, $$UPDATE stripe_credit.lot SET reversed_expired = 5 WHERE account_id = 'zed'$$),
	(14, $$UPDATE stripe_credit.lot SET written_off = 5 WHERE account_id = 'zed'$$),
	(15, $$UPDATE stripe_credit.payment SET paid = true WHERE payment_id = 'ch_zed'$$),
	(16, $$UPDATE stripe_credit.payment SET details = '{"refunds": []}' WHERE payment_id = 'ch_zed'$$),
	(17, $$UPDATE stripe_credit.payment SET posted_to = 'zed' WHERE payment_id = 'ch_zed'$$),
	(18, $$UPDATE stripe_credit.payment SET session_id = 'cs_test_other' WHERE payment_id = 'ch_zed'$$)
) AS c (n, statement) ORDER BY n;
-- what the ledger does not take back is not forgotten: no such account, or a balance out of range
UPDATE stripe_credit.settings SET create_accounts = false WHERE only_row;
SELECT t.deliver(t.refund('za1', 'za', 1000)) AS refund, t.deliver(t.session('za', t.meta('zack', NULL, '100'))) AS purchase,
	t.deliver(t.refund('za2', 'za', 1000, 'failed', '{"id": "re_za1"}')) AS failed;
SELECT id, account_id, detail FROM stripe_credit.attention WHERE id LIKE 'evt\_za%' ORDER BY 1;
INSERT INTO stripe_credit.account (account_id) VALUES ('zack');
SELECT t.short(stripe_credit.replay('evt_za')) AS replayed;
UPDATE stripe_credit.settings SET create_accounts = true WHERE only_row;
SELECT t.deliver(t.session('zb', t.meta('zora', NULL, '100'))) AS purchase, t.deliver(t.refund('zb1', 'zb', 1000)) AS refund,
	(SELECT balance FROM stripe_credit.grant_credits('zora', 9223372036854775800, 'nearly')),
	t.deliver(t.refund('zb2', 'zb', 1000, 'failed', '{"id": "re_zb1"}')) AS failed;
SELECT id, account_id, detail FROM stripe_credit.attention WHERE id LIKE 'evt\_zb%';
SELECT balance FROM stripe_credit.adjust_credits('zora', -1000, 'room', 'room');
SELECT t.short(stripe_credit.replay('evt_zb2')) AS replayed;
SELECT balance FROM stripe_credit.balance('zora');
SELECT * FROM t.waiting() WHERE event_id ~ '^evt_z[ab]';

SELECT * FROM stripe_credit.check_books();
DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
