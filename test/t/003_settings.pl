# Settings and secrets are in force at once in every session, as a pool of
# connections has them open.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my $node = new_node('settings');
my $admin = $node->background_psql('postgres', on_error_stop => 0);
my @pool = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
my $events = 0;

# A new purchase each time, for an account that is new with it if we say so
sub purchase
{
	my (%options) = @_;

	$events++;
	return session_event("evt_$events", account => $options{account} // 'alice', %options);
}

# What all sessions of the pool say to a new purchase each
sub pool_says
{
	my ($expected, $what, %options) = @_;

	my $n = 0;
	my @said =
	  map { $n++; status_of($_, purchase(account => "account_$n", %options), %options) } @pool;
	is_deeply(\@said, [ ($expected) x @pool ], $what);
	return;
}

my $bad = 'webhook signature verification failed';
my $none = 'no webhook secret is valid';

# One of them is inside of a transaction, another in one with an old snapshot.
$pool[1]->query_safe('BEGIN');
$pool[2]->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$pool[2]->query_safe('SELECT 1');

is(status_of($pool[2], purchase(account => 'bob')), 'applied', 'the settings are known there');

$admin->query_safe(q{UPDATE stripe_credit.settings SET mode = 'live'});
pool_says('ignored', 'live: test events are ignored');
$admin->query_safe(q{UPDATE stripe_credit.settings SET mode = 'test'});
pool_says('applied', 'test: test events count again');
$pool[$_]->query_safe('COMMIT') for 1, 2;

$admin->query_safe('BEGIN');
$admin->query_safe(q{UPDATE stripe_credit.settings SET create_accounts = false, max_payload = 10});
pool_says('applied', 'what is not committed is not in force');
is(status_of($admin, purchase()), 'webhook payload is too large', 'but it is for whoever changed it');
$admin->query_safe('ROLLBACK');
pool_says('applied', 'what was rolled back never was');
is(status_of($admin, purchase()), 'applied', 'nor for whoever changed it');

$admin->query_safe('BEGIN');
$admin->query_safe('SAVEPOINT s');
$admin->query_safe(q{UPDATE stripe_credit.settings SET mode = 'live'});
is(status_of($admin, purchase()), 'ignored', 'under a savepoint it is in force');
$admin->query_safe('ROLLBACK TO s');
is(status_of($admin, purchase()), 'applied', 'and no more when that was undone');
$admin->query_safe('COMMIT');

$admin->query_safe(q{UPDATE stripe_credit.settings SET create_accounts = false});
is_deeply([ map { status_of($_, purchase(account => "nobody_$_")) } @pool ],
	[ ('unmatched') x @pool ], 'accounts are not made any more');
$admin->query_safe(q{UPDATE stripe_credit.settings SET create_accounts = true});

$admin->query_safe(q{UPDATE stripe_credit.settings SET account_from = '{client_reference_id}'});
pool_says('applied', 'accounts come from another field',
	account => undef, object => { client_reference_id => 'carol' });
is($admin->query_safe(q{SELECT balance FROM stripe_credit.balance('carol')}), 400, 'and went to whom it names');
$admin->query_safe(q{UPDATE stripe_credit.settings SET account_from = DEFAULT});

$admin->query_safe(q{UPDATE stripe_credit.settings SET signature_tolerance = '10 s'});
pool_says($bad, 'a signature of a minute ago is too old now', time => time - 60);
$admin->query_safe(q{UPDATE stripe_credit.settings SET signature_tolerance = DEFAULT});
pool_says('applied', 'and is not by default', time => time - 60);

# A new row takes the place of the old one, as a restore does it.
$admin->query_safe(q{INSERT INTO stripe_credit.settings (mode) VALUES ('live')});
pool_says('ignored', 'a new row is in force');
$admin->query_safe(q{INSERT INTO stripe_credit.settings (mode) VALUES ('test')});
pool_says('applied', 'so is the next');

# Secrets: the new one is added, both count, the old one is removed.
pool_says($bad, 'a secret that is not known yet', secret => 'whsec_new');
my $new = $admin->query_safe(q{SELECT stripe_credit.add_webhook_secret('whsec_new')});
pool_says('applied', 'the new secret', secret => 'whsec_new');
pool_says('applied', 'the old secret beside it');
$admin->query_safe('BEGIN');
$admin->query_safe("SELECT stripe_credit.remove_webhook_secret($new)");
pool_says('applied', 'a secret whose removal is not committed', secret => 'whsec_new');
is(status_of($admin, purchase(), secret => 'whsec_new'), $bad, 'is gone for whoever removed it');
$admin->query_safe('ROLLBACK');
is(status_of($admin, purchase(), secret => 'whsec_new'), 'applied', 'and is back when that was rolled back');
my ($old) = split /\n/, $admin->query_safe('SELECT id FROM stripe_credit.webhook_secret ORDER BY id');
$admin->query_safe("SELECT stripe_credit.remove_webhook_secret($old)");
pool_says($bad, 'the old secret is refused');
pool_says('applied', 'the new one still counts', secret => 'whsec_new');
$admin->query_safe('UPDATE stripe_credit.webhook_secret SET valid_until = now()');
pool_says($none, 'a secret whose time has come', secret => 'whsec_new');
$admin->query_safe(q{UPDATE stripe_credit.webhook_secret SET valid_until = 'infinity'});
pool_says('applied', 'valid again', secret => 'whsec_new');
$admin->query_safe('TRUNCATE stripe_credit.webhook_secret');
pool_says($none, 'no secret at all', secret => 'whsec_new');

# A secret in a file, which changes without our hearing of it
my $file = $node->basedir . '/secret';
append_to_file($file, "whsec_in_a_file\n");
$admin->query_safe("SELECT stripe_credit.add_webhook_secret('file:$file')");
pool_says('applied', 'a secret in a file', secret => 'whsec_in_a_file');
unlink $file;
append_to_file($file, "whsec_in_another_file\n");
pool_says($bad, 'what stood in it counts no more', secret => 'whsec_in_a_file');
pool_says('applied', 'what stands in it does', secret => 'whsec_in_another_file');

# Dropped and made again under open sessions
$admin->query_safe('DROP EXTENSION stripe_credit');
install($node, 'postgres');
$events = 0;
pool_says('applied', 'after DROP and CREATE EXTENSION');
is( $admin->query_safe('SELECT sum(balance) FROM stripe_credit.account'),
	100 * @pool, 'credited to the new books');
$admin->query_safe(q{UPDATE stripe_credit.settings SET mode = 'live'});
pool_says('ignored', 'whose settings are in force too');
$admin->query_safe(q{UPDATE stripe_credit.settings SET mode = 'test'});

ok(books_are_right($node), 'the books are right');
$_->quit for @pool, $admin;

# What a superuser's settings are cannot be said before the library is loaded.
$node->safe_psql('postgres', q{
	CREATE ROLE plain LOGIN;
	GRANT USAGE ON SCHEMA stripe_credit TO plain;
	GRANT EXECUTE ON FUNCTION stripe_credit.balance(text) TO plain;
});

sub as_plain
{
	my ($script, $options) = @_;

	local $ENV{PGOPTIONS} = $options // '';
	my ($rc, $stdout) = $node->psql('postgres', $script,
		extra_params => [ '-U', 'plain' ], on_error_stop => 0);
	return $stdout;
}

my $load = q{SELECT balance FROM stripe_credit.balance('x');};
my $show = 'SHOW stripe_credit.api_base;';
my $ours = "0\nhttps://api.stripe.com";

is(as_plain("$load $show"), $ours, 'the default of api_base');
is( as_plain("SET stripe_credit.api_base = 'https://evil.example'; $load $show"),
	$ours, 'SET before the library was loaded does not count');
is(as_plain("$load $show", '-c stripe_credit.api_base=https://evil.example'),
	$ours, 'nor do PGOPTIONS');
is( as_plain("$load SET stripe_credit.api_base = 'https://evil.example'; $show"),
	$ours, 'nor does SET behind it');

$node->safe_psql('postgres', q{ALTER ROLE plain SET stripe_credit.api_base = 'http://127.0.0.1:1'});
is(as_plain("$load $show"), "0\nhttp://127.0.0.1:1", 'what a superuser has set for the role does');

$node->stop;
done_testing();
