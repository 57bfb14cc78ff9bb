# The books survive pg_dump and a restore, and no secret comes along.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

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
	INSERT INTO stripe_credit.rate VALUES ('eur', 3, 7);
	INSERT INTO stripe_credit.payment_link VALUES ('plink_1', 'starter');
});
query('postgres', q{
	GRANT USAGE ON SCHEMA stripe_credit TO clerk;
	GRANT EXECUTE ON FUNCTION stripe_credit.webhook(text, text) TO clerk;
}, extra_params => [ '-U', 'manager' ]);

my $applied = session_event('evt_applied', account => 'alice');
my $expiring = session_event('evt_expiring', account => "Z\x{fc}rich", pack => 'starter',
	object => { customer => 'cus_1' });
my $pending = session_event('evt_pending', account => 'alice', payment_status => 'unpaid');
my $unmatched = session_event('evt_unmatched', account => 'bob', pack => 'later');
my $refund = '{"id": "evt_refund", "object": "event", "type": "charge.refunded", '
  . '"created": 1700000000, "livemode": false, "data": {"object": {"id": "ch_1"}}}';

is(delivered($node, $applied), 'applied', 'a purchase');
is(delivered($node, $expiring), 'applied', 'a purchase of another account');
is(delivered($node, $pending), 'pending', 'a delayed payment');
is(delivered($node, $unmatched), 'unmatched', 'a purchase of an unknown pack');
is(delivered($node, $refund), 'pending', 'a refund');
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
like($state, qr/evt_$_/, "evt_$_ is in the books") for qw(applied expiring pending unmatched refund);

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
	ok(books_are_right($node, $dbname), "$dbname: the books are still right");
}
is(state_of($node, 'postgres'), $state, 'the dumped books are as they were');

$node->stop;
done_testing();
