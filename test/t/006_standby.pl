# A standby takes no money, says so with 25006, so that Stripe tries again, and
# takes it once it has been promoted.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my $primary = new_node('primary', init => { allows_streaming => 1 });
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $read_only = 'cannot execute INSERT in a read-only transaction';
my $before = session_event('evt_before', account => 'alice');
my $during = session_event('evt_during', account => 'alice');

is(delivered($primary, $before), 'applied', 'a delivery to the primary');
$primary->safe_psql('postgres', q{SELECT stripe_credit.grant_credits('alice', 5, 'welcome');
	SELECT stripe_credit.grant_credits('bob', 5, 'stays');
	SELECT stripe_credit.grant_credits('bob', 7, 'goes', clock_timestamp() + interval '0.2 s');
	SELECT stripe_credit.hold('bob', 10, 'goes too', '0.1 s')});
$primary->wait_for_catchup($standby);

# What only reads works.
is( $standby->safe_psql('postgres', q{SELECT balance FROM stripe_credit.balance('alice')}),
	105, 'the standby knows the balance');
is( $standby->safe_psql('postgres', q{SELECT count(*) FROM stripe_credit.statement('alice')}),
	2, 'and the statement');
$standby->poll_query_until('postgres', q{SELECT min(expires_at) < clock_timestamp() FROM stripe_credit.lot WHERE account_id = 'bob'});
is( $standby->safe_psql('postgres', q{SELECT balance, held, available FROM stripe_credit.balance('bob')}),
	'5|0|5', 'without what has expired, though nobody has entered that');
ok(books_are_right($standby), 'its books are right');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM stripe_credit.attention'), 0, 'nothing needs attention');

# What writes does not.
is(delivered($standby, $during), '25006', 'a delivery to the standby');
is(delivered($standby, $before), '25006', 'one that the books know');
is(delivered($standby, $during, secret => 'whsec_other'), 'PT400', 'one with a bad signature');
like($standby->psql('postgres', $_) && ($standby->psql('postgres', "\\set VERBOSITY sqlstate\n$_"))[2],
	qr/25006/, "not on a standby: $_")
  for (
	q{SELECT stripe_credit.grant_credits('alice', 5, 'thanks')},
	q{SELECT stripe_credit.grant_credits('alice', 5, 'welcome')},
	q{SELECT stripe_credit.adjust_credits('alice', -5, 'mistake', 'twice')},
	q{SELECT stripe_credit.spend('alice', 5)},
	q{SELECT stripe_credit.spend_many('alice', '{5}')},
	q{SELECT stripe_credit.hold('alice', 5, 'stream')},
	q{SELECT stripe_credit.release('bob', 'goes too')},
	q{SELECT stripe_credit.maintain()},
	q{SELECT stripe_credit.add_webhook_secret('whsec_other')},
	q{SELECT stripe_credit.replay('evt_before')},
	q{SELECT stripe_credit.resolve('evt_before', 'alice', 1)});

# Sessions of the standby hear of new settings, too.
my $session = $standby->background_psql('postgres', on_error_stop => 0);
is(status_of($session, $during), $read_only, 'an open session of the standby');
$primary->safe_psql('postgres', q{UPDATE stripe_credit.settings SET mode = 'live'});
$primary->wait_for_catchup($standby);
is(status_of($session, $during), 'ignored', 'live: the same event is ignored');
$primary->safe_psql('postgres', q{UPDATE stripe_credit.settings SET mode = 'test'});
$primary->safe_psql('postgres', 'UPDATE stripe_credit.webhook_secret SET valid_until = now()');
$primary->wait_for_catchup($standby);
is(status_of($session, $during), 'no webhook secret is valid', 'without a secret, it is refused');
$primary->safe_psql('postgres', q{UPDATE stripe_credit.webhook_secret SET valid_until = 'infinity'});
$primary->wait_for_catchup($standby);
is(status_of($session, $during), $read_only, 'as it was');

# The primary is gone; Stripe tries again.
$primary->stop('immediate');
$standby->promote;
is(status_of($session, $during), 'applied', 'promoted: the open session applies it');
is(delivered($standby, $before), 'duplicate', 'promoted: what the primary had applied is a duplicate');
is(delivered($standby, $during), 'duplicate', 'promoted: so is what was applied since');
is( $standby->safe_psql('postgres', q{SELECT balance FROM stripe_credit.balance('alice')}),
	205, 'promoted: the balance');
is( $standby->safe_psql('postgres', q{SELECT balance FROM stripe_credit.spend('bob', 5, 'all')}),
	0, 'promoted: a spend');
ok(books_are_right($standby), 'promoted: the books are right');

$session->quit;
$standby->stop;
done_testing();
