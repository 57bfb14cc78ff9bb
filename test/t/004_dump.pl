# The books survive pg_dump and a restore, and no secret comes along.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my $node = new_node('dump');
my $dir = PostgreSQL::Test::Utils::tempdir;

sub query
{
	my ($dbname, $query, @params) = @_;

	return $node->safe_psql($dbname, $query, @params);
}

# Who may do what with the extension's objects
sub grants_in
{
	my ($dbname) = @_;

	return query($dbname, q{
		SELECT o.name, x.grantee::regrole, x.privilege_type, x.is_grantable
		FROM (SELECT nspname::text AS name, nspacl AS acl
			  FROM pg_namespace WHERE nspname = 'stripe_credit'
			  UNION ALL
			  SELECT oid::regclass::text, relacl FROM pg_class
			  WHERE relnamespace = 'stripe_credit'::regnamespace
			  UNION ALL
			  SELECT attrelid::regclass || '.' || attname, attacl
			  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
			  WHERE relnamespace = 'stripe_credit'::regnamespace
			  UNION ALL
			  SELECT oid::regprocedure::text, proacl FROM pg_proc
			  WHERE pronamespace = 'stripe_credit'::regnamespace) AS o,
			 aclexplode(o.acl) AS x
		ORDER BY o.name, x.grantee::regrole::text COLLATE "C", x.privilege_type});
}

sub charge_event
{
	my ($event_id, %charge) = @_;

	return event(
		$event_id,
		$charge{amount_refunded} ? 'charge.refunded' : 'charge.succeeded',
		{ object => 'charge', amount => 1000, currency => 'usd', paid => JSON::PP::true, %charge });
}

sub refund_event
{
	my ($event_id, %refund) = @_;

	return event(
		$event_id,
		'refund.updated',
		{
			object => 'refund',
			created => 1700000000,
			currency => 'usd',
			status => 'succeeded',
			%refund
		});
}

sub dispute_event
{
	my ($event_id, $status, @transactions) = @_;

	return event(
		$event_id,
		'charge.dispute.updated',
		{
			id => 'du_1',
			object => 'dispute',
			charge => 'ch_dora',
			amount => 500,
			currency => 'usd',
			status => $status,
			balance_transactions =>
			  [ map { { id => "txn_$_", amount => $transactions[$_] } } 0 .. $#transactions ]
		});
}

sub invoice_line
{
	my ($id, %line) = @_;

	return {
		id => $id,
		object => 'line_item',
		currency => 'usd',
		parent => {
			type => 'subscription_item_details',
			subscription_item_details => { proration => JSON::PP::false, subscription => 'sub_emma' }
		},
		%line
	};
}

sub price { return (pricing => { type => 'price_details', price_details => { price => $_[0] } }) }

# Something in every table, and no setting at its default
query('postgres', q{
	CREATE ROLE manager LOGIN;
	CREATE ROLE clerk LOGIN;
	SELECT stripe_credit.administer('manager');
	SELECT stripe_credit.add_webhook_secret('file:/nowhere/whsec_reference');
	UPDATE stripe_credit.settings SET
		signature_tolerance = '400 s', account_from = '{metadata,customer_email}',
		on_overdraw = 'clamp', keep_payload = 'all', max_payload = 2000000,
		connected_accounts = '{acct_1}', success_url = 'https://shop.example/thanks',
		cancel_url = 'https://shop.example/cart';
	INSERT INTO stripe_credit.pack
		(pack_id, name, credits, unit_amount, currency, expires_after, priority, active)
		VALUES ('Größe "L"', E'tab\there', 30, 100, 'usd', '1 year', 5, false);
	INSERT INTO stripe_credit.pack (pack_id, credits, price_id, recurring_interval, expires_after)
		VALUES ('plan', 40, 'price_plan', 'month', '1000 years'), ('extra', 7, 'price_extra', 'month', NULL);
	INSERT INTO stripe_credit.rate VALUES ('eur', 3, 7);
	INSERT INTO stripe_credit.payment_link VALUES ('plink_1', 'starter');
});
query('postgres', q{
	GRANT USAGE ON SCHEMA stripe_credit TO clerk;
	GRANT EXECUTE ON FUNCTION stripe_credit.webhook(text, text) TO clerk;
}, extra_params => [ '-U', 'manager' ]);
query('postgres', q{
	CREATE ROLE buyer LOGIN;
	CREATE SCHEMA api AUTHORIZATION manager;
	SET ROLE manager;
	SELECT stripe_credit.expose('api', user_role => 'buyer');
});

my $applied = session_event('evt_applied', account => 'alice');
my $expiring = session_event('evt_expiring', account => "Z\x{fc}rich", pack => 'starter',
	object => { customer => 'cus_1' });
my $pending = session_event('evt_pending', account => 'alice', payment_status => 'unpaid');
my $unmatched = session_event('evt_unmatched', account => 'bob', pack => 'later');
my $refund = charge_event('evt_refund', id => 'ch_unheard', payment_intent => 'pi_unheard',
	amount_refunded => 300);

# A purchase of which much has gone back, in part by a refund that is still to fail
my $bought = session_event('evt_bought', payment => 'dora', account => 'dora');
my @went_back = (
	charge_event('evt_charge', id => 'ch_dora', payment_intent => 'pi_dora'),
	refund_event('evt_refunded', id => 're_1', charge => 'ch_dora', amount => 200),
	refund_event('evt_failing', id => 're_2', charge => 'ch_dora', amount => 100, status => 'pending'),
	dispute_event('evt_disputed', 'needs_response', -500));

# One that was posted under its session's name before its payment's was known
my $unnamed = session_event('evt_unnamed', payment => 'frank', account => 'frank',
	object => { payment_intent => undef });
my $named = session_event('evt_named', payment => 'frank', account => 'frank');

# A subscription's invoice of two lines, half of it refunded
my $subscription = session_event('evt_subscription', payment => 'emma', account => 'emma',
	object => { mode => 'subscription', subscription => 'sub_emma', payment_intent => undef });
my $invoice = event(
	'evt_invoice',
	'invoice.paid',
	{
		id => 'in_emma',
		object => 'invoice',
		amount_paid => 3000,
		currency => 'usd',
		billing_reason => 'subscription_cycle',
		parent => { type => 'subscription_details', subscription_details => { subscription => 'sub_emma' } },
		lines => {
			has_more => JSON::PP::false,
			data => [
				invoice_line('il_1', amount => 2000, quantity => 2, price('price_plan')),
				invoice_line('il_2', amount => 1000, quantity => 1, price('price_extra'))
			]
		}
	});
my @of_invoice = (
	charge_event('evt_charge_of_invoice', id => 'ch_emma', payment_intent => 'pi_emma', amount => 3000),
	event(
		'evt_invoice_payment',
		'invoice_payment.paid',
		{
			id => 'inpay_1',
			object => 'invoice_payment',
			invoice => 'in_emma',
			payment => { type => 'payment_intent', payment_intent => 'pi_emma' }
		}),
	refund_event('evt_refund_of_invoice', id => 're_3', charge => 'ch_emma', amount => 1500));

is(delivered($node, $applied), 'applied', 'a purchase');
is(delivered($node, $expiring), 'applied', 'a purchase of another account');
is(delivered($node, $pending), 'pending', 'a delayed payment');
is(delivered($node, $unmatched), 'unmatched', 'a purchase of an unknown pack');
is(delivered($node, $refund), 'pending', 'a refund of an unknown payment');
is(delivered($node, $bought), 'applied', 'a purchase that will go back');
query('postgres', q{SELECT stripe_credit.spend('dora', 60)});
is(delivered($node, $_), 'applied', 'and some of it does') for @went_back;
is(delivered($node, $unnamed), 'applied', 'a session without its payment');
is(delivered($node, $named), 'applied', 'and with it');
is(delivered($node, $invoice), 'pending', 'an invoice');
is(delivered($node, $subscription), 'applied', 'its subscription');
is(delivered($node, $_), 'applied', 'and what belongs to it') for @of_invoice;
is( query('postgres', q{
		SELECT payment_id || ' ' || posted || coalesce(' as ' || posted_as, '') || ': ' ||
			(SELECT string_agg(key || ' ' || jsonb_array_length(value), ', ' ORDER BY key COLLATE "C") FROM jsonb_each(details))
		FROM stripe_credit.payment WHERE details IS NOT NULL AND posted_to IS NOT NULL ORDER BY 1}),
	"in_emma 43: charges 1, lines 2, refunds 1\npi_dora 20: charges 1, disputes 1, refunds 2, transactions 1",
	'payments have parts of every kind');
is( query('postgres', q{
		SELECT string_agg(payment_id, ' ' ORDER BY payment_id) FROM stripe_credit.payment WHERE same_as IS NOT NULL}),
	'ch_dora ch_emma ch_unheard cs_test_frank pi_emma', 'and several names');
is( query('postgres', q{SELECT payment_id || ' is ' || posted_as FROM stripe_credit.payment WHERE posted_as IS NOT NULL}),
	'pi_frank is cs_test_frank', 'one of them in the ledger under its old name');
is( query('postgres', q{
		SELECT string_agg(account_id || ' ' || balance, ', ' ORDER BY account_id) FROM stripe_credit.account
		WHERE account_id IN ('dora', 'emma', 'frank')}),
	'dora 0, emma 43, frank 100', 'and what they bought is right');
query('postgres', q{
	SELECT stripe_credit.grant_credits('alice', 5, 'welcome', '2100-01-01', 3, '{"why": "first"}');
	SELECT stripe_credit.adjust_credits('alice', -300, 'mistake', 'twice');
	SELECT stripe_credit.grant_credits('carl', 10, 'first', '2100-01-01'), stripe_credit.grant_credits('carl', 10, 'second');
	SELECT stripe_credit.spend('carl', 3, 'job'), stripe_credit.hold('carl', 12, 'stream', '1 year'),
		stripe_credit.hold('carl', 2, 'caught', '1 year'), stripe_credit.capture('carl', 'caught', 1);
});

my $state = state_of($node, 'postgres');
my $grants = grants_in('postgres');
like($grants, qr/manager/, 'the administrator has his rights');
like($grants, qr/clerk/, 'and has granted of them');
like($state, qr/evt_$_/, "evt_$_ is in the books")
  for qw(applied expiring pending unmatched refund bought disputed invoice);

# A dump in each form, and what comes out of it
$node->command_ok([ 'pg_dump', '-f', "$dir/plain.sql", 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-Fc', '-Z0', '-f', "$dir/custom.dump", 'postgres' ], 'pg_dump -Fc');
$node->command_ok([ 'pg_dumpall', '--globals-only', '-f', "$dir/globals.sql" ], 'pg_dumpall --globals-only');
$node->command_ok([ 'pg_dumpall', '-f', "$dir/all.sql" ], 'pg_dumpall');

for my $file (qw(plain.sql custom.dump globals.sql all.sql))
{
	my $dump = slurp_file("$dir/$file");

	unlike($dump, qr/whsec_/, "$file holds no secret");
	like($dump, qr/evt_applied/, "$file holds the books") unless $file eq 'globals.sql';
}

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain custom);
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', 'plain', '-f', "$dir/plain.sql" ],
	'restored by psql');
$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '--no-privileges', '-j', '2', '-d', 'custom', "$dir/custom.dump" ],
	'restored by pg_restore -j 2');

# What the administrator granted on needs his own rights, and with several jobs
# pg_restore may come to it before it has given him those.
my ($list) = run_command([ 'pg_restore', '-l', "$dir/custom.dump" ]);
append_to_file("$dir/acl.list", join "\n", grep({ / ACL / } split /\n/, $list), '');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-L', "$dir/acl.list", '-d', 'custom', "$dir/custom.dump" ],
	'and the grants by one job');

for my $dbname (qw(plain custom))
{
	is(state_of($node, $dbname), $state, "$dbname: all tables are equal");
	is(query($dbname, 'SELECT count(*) FROM stripe_credit.settings'), 1, "$dbname: one row of settings");
	is(grants_in($dbname), $grants, "$dbname: all grants are there");
	is(query($dbname, 'SELECT count(*) FROM stripe_credit.webhook_secret'), 0, "$dbname: no secret");
	ok(books_are_right($node, $dbname), "$dbname: the books are right");

	is(delivered($node, $applied, dbname => $dbname), '55000', "$dbname: nothing is accepted without a secret");
	query($dbname, 'SELECT stripe_credit.add_webhook_secret(' . literal(SECRET) . ')',
		extra_params => [ '-U', 'manager' ]);
	is(delivered($node, $applied, dbname => $dbname), 'duplicate', "$dbname: what was applied is a duplicate");
	is(delivered($node, $expiring, dbname => $dbname), 'duplicate', "$dbname: so is the other");
	is( query($dbname, q{SELECT duplicate FROM stripe_credit.grant_credits('alice', 5, 'welcome')}),
		't', "$dbname: a key is still used");
	is( query($dbname, q{SELECT duplicate FROM stripe_credit.spend('carl', 3, 'job')}),
		't', "$dbname: so is a spend's");
	is( query($dbname, q{SELECT balance FROM stripe_credit.capture('carl', 'stream', 11)}),
		5, "$dbname: an open hold can be captured");
	is( query($dbname, q{SELECT balance FROM stripe_credit.reverse_spend('carl', 'stream')}),
		16, "$dbname: and undone");
	is( query($dbname, q{SELECT string_agg(lot_id || ':' || CASE lot_id WHEN head_lot THEN head_remaining ELSE remaining END, ' ' ORDER BY lot_id)
		FROM stripe_credit.lot JOIN stripe_credit.account USING (account_id) WHERE account_id = 'carl'}),
		'1:7 2:9', "$dbname: its credits return to where they came from");
	is( delivered($node, session_event('evt_paid', payment => 'evt_pending', account => 'alice',
			type => 'checkout.session.async_payment_succeeded'), dbname => $dbname),
		'applied', "$dbname: the delayed payment comes");
	is( query($dbname, q{SELECT status FROM stripe_credit.event WHERE event_id = 'evt_pending'}),
		'applied', "$dbname: and what waited for it waits no more");
	is(delivered($node, $_, dbname => $dbname), 'duplicate', "$dbname: and what went back is a duplicate")
	  for @went_back, $named, $subscription, $invoice, @of_invoice;
	is( delivered($node,
			refund_event('evt_failed', id => 're_2', charge => 'ch_dora', amount => 100, status => 'failed'),
			dbname => $dbname),
		'applied', "$dbname: a refund fails");
	is(delivered($node, dispute_event('evt_won', 'won', -500, 500), dbname => $dbname),
		'applied', "$dbname: a dispute is won");
	is( delivered($node, refund_event('evt_again', id => 're_4', payment_intent => 'pi_emma', amount => 1500),
			dbname => $dbname),
		'applied', "$dbname: the rest of the invoice is refunded");
	is( delivered($node, charge_event('evt_all', id => 'ch_frank', payment_intent => 'pi_frank',
				amount_refunded => 1000), dbname => $dbname),
		'applied', "$dbname: so is what is posted under an old name");
	is( query($dbname, q{
			SELECT string_agg(account_id || ' ' || balance, ', ' ORDER BY account_id) FROM stripe_credit.account
			WHERE account_id IN ('dora', 'emma', 'frank')}),
		'dora 20, emma 0, frank 0', "$dbname: and they have what they paid for");
	is( query($dbname, q{
			SELECT string_agg(payment_id || ' ' || posted, ', ' ORDER BY payment_id) FROM stripe_credit.payment
			WHERE payment_id IN ('pi_dora', 'in_emma', 'pi_frank')}),
		'in_emma 0, pi_dora 80, pi_frank 0', "$dbname: and so have their payments");
	is(delivered($node, session_event('evt_heard', payment => 'unheard', account => 'gina'), dbname => $dbname),
		'applied', "$dbname: a payment comes after its refund");
	is(query($dbname, q{SELECT balance FROM stripe_credit.balance('gina')}), 70, "$dbname: which counts");
	query($dbname, q{INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency)
		VALUES ('later', 7, 1000, 'usd')}, extra_params => [ '-U', 'manager' ]);
	is(query($dbname, q{SELECT stripe_credit.replay('evt_unmatched') ->> 'status'}),
		'applied', "$dbname: what was unmatched can be replayed");
	is(query($dbname, call(session_event('evt_new', account => 'bob')),
			extra_params => [ '-U', 'clerk' ]) =~ /"status": "applied"/,
		1, "$dbname: a new purchase counts");
	is( query($dbname, q{SELECT balance FROM stripe_credit.balance('bob')}),
		107, "$dbname: with the right sum");
	is( query($dbname, q{SELECT balance FROM stripe_credit.balance('alice')}),
		-95, "$dbname: and that of the other account");
	is( query($dbname, q{SET request.jwt.claims = '{"sub": "alice"}'; SELECT balance FROM api.credits()},
			extra_params => [ '-U', 'buyer' ]),
		-95, "$dbname: which its owner sees through PostgREST");
	is( query($dbname, q{SELECT stripe_credit.unexpose('api'); SELECT count(*) FROM pg_proc WHERE pronamespace = 'api'::regnamespace},
			extra_params => [ '-U', 'manager' ]),
		"\n0", "$dbname: whose functions are still known as ours");
	ok(books_are_right($node, $dbname), "$dbname: the books are still right");
}
is(state_of($node, 'postgres'), $state, 'the dumped books are as they were');

$node->stop;
done_testing();
