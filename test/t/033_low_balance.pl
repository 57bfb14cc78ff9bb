# A notice when what an account has available falls below its threshold: once
# for each time it crosses it downwards, whatever takes it there, and for those
# only who have asked for it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my $node = new_node('low_balance');

# The accounts that a session hears of while it runs a script
sub notices
{
	my ($script) = @_;
	my ($rc, $stdout, $stderr) =
	  $node->psql('postgres', "LISTEN stripe_credit_low_balance;\n$script\n;");

	return join ' ', map { /"stripe_credit_low_balance" with payload "(.*?)" received/ } split /\n/, $stdout;
}

sub account
{
	my ($account, $credits, $low_balance) = @_;

	$node->safe_psql('postgres', "SELECT stripe_credit.grant_credits('$account', $credits, 'to begin with')");
	$node->safe_psql('postgres', "UPDATE stripe_credit.account SET low_balance = $low_balance WHERE account_id = '$account'")
	  if defined $low_balance;
	return;
}

account('alice', 100);
is(notices(q{SELECT stripe_credit.spend('alice', 100)}), '', 'nobody asked for it');

account('bob', 100, 50);
is(notices(q{SELECT stripe_credit.spend('bob', 50, 'job')}), '', 'as much as the threshold');
is(notices(q{SELECT stripe_credit.spend('bob', 1, 'job 2')}), 'bob', 'less than the threshold');
is(notices(q{SELECT stripe_credit.spend('bob', 1)}), '', 'less again');
is(notices(q{SELECT stripe_credit.spend('bob', 1, 'job 2')}), '', 'a duplicate');
is(notices(q{SELECT stripe_credit.reverse_spend('bob', 'job')}), '', 'above it again');
is(notices(q{SELECT stripe_credit.hold('bob', 60, 'stream')}), 'bob', 'a hold');
is(notices(q{SELECT stripe_credit.capture('bob', 'stream', 60)}), '', 'its capture');
is(notices(q{SELECT stripe_credit.grant_credits('bob', 50, 'more')}), '', 'a grant');
is(notices(q{BEGIN; SELECT stripe_credit.spend('bob', 80); ROLLBACK}), '', 'a spend that was rolled back');
is(notices(q{SELECT stripe_credit.spend('bob', 1000)}), '', 'a spend that was refused');
is(notices(q{SELECT stripe_credit.spend_many('bob', '{20,20}', '{a,b}')}), 'bob', 'many spends');
is(notices(q{SELECT stripe_credit.grant_credits('bob', 51, 'still more')}), '', 'a grant');
is(notices(q{SELECT stripe_credit.adjust_credits('bob', -60, 'mistake', 'twice')}), 'bob', 'an adjustment');

# From one lot to the next, which is not the short way
account('carl', 10, 15);
is(notices(q{SELECT stripe_credit.grant_credits('carl', 10, 'another lot'); SELECT stripe_credit.spend('carl', 12)}),
	'carl', 'a spend of two lots');

# A purchase that is taken back
my $bought = session_event('evt_bought', account => 'dave');
my $corrected = session_event('evt_corrected', payment => 'evt_bought', account => 'dave',
	object => { metadata => { stripe_credit_account => 'dave', stripe_credit_credits => '10' } });
is(delivered($node, $bought), 'applied', 'a purchase');
$node->safe_psql('postgres', q{UPDATE stripe_credit.account SET low_balance = 20 WHERE account_id = 'dave'});
is(notices(call($corrected)), 'dave', 'a purchase that is corrected');

# What expires, by the call that enters it
account('erin', 10, 15);
$node->safe_psql('postgres',
	q{SELECT stripe_credit.grant_credits('erin', 10, 'goes', clock_timestamp() + interval '0.3 s')});
$node->poll_query_until('postgres', q{SELECT available = 10 FROM stripe_credit.balance('erin')});
is(notices(q{SELECT stripe_credit.maintain()}), 'erin', 'an expiry');
is(notices(q{SELECT stripe_credit.maintain()}), '', 'which is entered once');

ok(books_are_right($node), 'the books are right');
$node->stop;
done_testing();
