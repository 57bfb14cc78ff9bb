# A crowd at work, what heals behind it, and the judgement.

package StripeCredit::Crowd;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils ();
use Storable qw(dclone);
use StripeCredit::Oracle qw(judge new_case read_books);
use StripeCredit::Plan qw(make_plan);
use StripeCredit::Worker qw(call_once connect_to is_keyed read_history start_workers wait_for_workers);
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  prepare_catalogue
  sell_later
  run_crowd
  heal
  settle
  is_right
  sees_defects
  outcomes
);

# Every look at the workers comes after so many seconds, at least.
use constant PAUSE => 0.4;

# What the purchases of a plan buy; one pack isn't sold until later.
sub prepare_catalogue
{
	my ($dbh) = @_;

	$dbh->do(q{
		INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency)
		VALUES ('small', 20, 1000, 'usd')});
	return;
}

sub sell_later
{
	my ($dbh) = @_;

	$dbh->do(q{
		INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, priority)
		VALUES ('later', 30, 1000, 'usd', 2) ON CONFLICT DO NOTHING});
	return;
}

# Lets the workers of a plan loose and returns their history.  Meanwhile is called
# now and then, with the seconds since the start.
sub run_crowd
{
	my ($node, $options, $meanwhile) = @_;
	my $workers = start_workers(
		PostgreSQL::Test::Utils::tempdir(),
		make_plan(%$options),
		node => $node,
		mortal => $options->{mortal},
		until => $options->{until});
	my $start = time;
	my $last = $start;
	my $failed = wait_for_workers(
		$workers,
		sub {
			return if !$meanwhile || time - $last < PAUSE;
			$meanwhile->(time - $start);
			$last = time;
		});

	is($failed, 0, 'all workers come to their end');
	return read_history(values %$workers);
}

# A statement whose client has gone may still be at work.
sub wait_until_alone
{
	my ($node) = @_;

	return $node->poll_query_until('postgres',
		q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'worker %'});
}

# What is done again when it is over: all of which nobody knows whether it was
# done, and all purchases, as Stripe would deliver them; and some of what was
# done, to be told that it was.  Returns the calls.
sub heal
{
	my ($node, $dbh, $again, @history) = @_;
	my @known = grep { $_->{outcome} eq 'ok' && !$_->{weak} && $_->{op} !~ /^(?:look|maintain)$/ } @history;
	my %chosen;

	wait_until_alone($node) or die 'the workers are still there';
	$chosen{ $known[ rand @known ]{call} } = 1 for 1 .. $again;
	return map { call_once($dbh, operation_of($_)) } grep {
		$_->{op} !~ /^(?:look|maintain)$/
		  && is_keyed($_)
		  && ($_->{outcome} eq 'unknown' || $_->{weak} || $_->{op} eq 'purchase' || $chosen{ $_->{call} })
	} @history;
}

# The operation that a call was of
sub operation_of
{
	my ($call) = @_;

	return { map { $_ => $call->{$_} } grep { exists $call->{$_} } qw(op account key credits ttl expires priority pack call) };
}

# Waits until what expires soon has expired, and lets maintain() enter it.
sub settle
{
	my ($dbh) = @_;
	my ($wait) = $dbh->selectrow_array(q{
		SELECT extract(epoch FROM max(expires_at) - clock_timestamp())
		FROM (SELECT expires_at FROM stripe_credit.lot UNION ALL SELECT expires_at FROM stripe_credit.hold) e
		WHERE expires_at < clock_timestamp() + '10 s'::interval});
	my $complete;

	sleep $wait if ($wait || 0) > 0;
	for (1 .. 1000)
	{
		($complete) =
		  eval { $dbh->selectrow_array(q{SELECT stripe_credit.maintain(100) @> '{"complete": true, "expired": 0}'}) };
		last if $complete || !defined $complete;
	}
	ok($complete, 'maintain() comes to an end') || diag($dbh->errstr // 'there is always more');
	is_deeply($dbh->selectall_arrayref('SELECT * FROM stripe_credit.check_books()'), [], 'the books are right');
	return;
}

# What speaks against the books and a history, per judgement
sub complaints
{
	my ($books, @history) = @_;

	return map { [ shift @$_, $_ ] } judge(new_case($books, @history));
}

# One test for each judgement
sub is_right
{
	my ($what, $books, @history) = @_;

	for my $complaint (complaints($books, @history))
	{
		my ($judgement, $wrong) = @$complaint;

		ok(!@$wrong, "$what: $judgement");
		diag(scalar(@$wrong) . " times, such as\n" . join("\n", grep { defined } @$wrong[ 0 .. 2 ])) if @$wrong;
	}
	return;
}

# Defects, each as what it does to the books of one account and a history, and
# the judgement that must see it
my @defects = (
	[
		'the last quarter of the ledger is lost',
		'what was acknowledged is in the ledger, once',
		sub {
			my ($account) = @_;
			splice @{ $account->{ledger} }, 0.75 * @{ $account->{ledger} };
			$account->{balance} = $account->{ledger}[-1]{balance};
		}
	],
	[
		'a spend is in the ledger twice',
		'nothing else is in the ledger',
		sub {
			my ($account) = @_;
			my ($spend) = grep { $_->{kind} eq 'spend' && defined $_->{idempotency_key} } @{ $account->{ledger} };
			my $last = $account->{ledger}[-1];

			$account->{balance} += $spend->{credits};
			push @{ $account->{ledger} },
			  { %$spend, seq => $last->{seq} + 1, balance => $account->{balance}, time => $last->{time} };
		}
	],
	[
		'a hold that was captured says that it was released',
		'what was said of holds is true',
		sub {
			my ($account) = @_;
			$_->{state} =~ s/captured/released/ for values %{ $account->{holds} };
		}
	],
	[
		'a hold stays open',
		'holds are what was made of them',
		sub {
			my ($account) = @_;
			my ($hold) = grep { $_->{state} eq 'expired' } values %{ $account->{holds} };

			$hold->{state} = 'open';
			$account->{held} += $hold->{credits};
		}
	],
	[
		'priorities are the other way round',
		'lots are spent in order, and expire in time',
		sub {
			my ($account) = @_;
			$_->{priority} = -$_->{priority} for grep { defined $_->{priority} } values %{ $account->{lots} };
		}
	],
	[
		'lots are spent after their end',
		'lots are spent in order, and expire in time',
		sub {
			my ($account) = @_;
			$_->{expires} -= 0.25 for values %{ $account->{lots} };
		}
	],
	[
		'a key works twice',
		'refusals have their reason',
		sub {
			my ($account, @history) = @_;
			$_->{duplicate} = 0 for map { @{ $_->{rows} } } grep { $_->{outcome} eq 'ok' } @history;
		}
	],
	[
		'a deadlock',
		'only errors that say no or not now',
		sub {
			my ($account, @history) = @_;
			my ($call) = grep { $_->{outcome} eq 'undone' } @history;

			@$call{qw(sqlstate message)} = ('40P01', 'deadlock detected');
		}
	],
	[
		'what was done is refused',
		'refusals have their reason',
		sub {
			my ($account, @history) = @_;

			for my $call (grep { $_->{outcome} eq 'ok' && ($_->{rows}[0] || {})->{duplicate} } @history)
			{
				@$call{qw(outcome sqlstate message rows detail)} =
				  ('refused', 'PT402', 'not enough credits', undef, 'The account has 0 available, 1 were asked for.');
			}
		}
	],
	[
		'who looks is late',
		'nobody saw the past',
		sub {
			my ($account, @history) = @_;
			splice @{ $_->{rows} }, 0, 4 for grep { $_->{op} eq 'look' && $_->{outcome} eq 'ok' } @history;
		}
	]);

# A judge who sees nothing is no judge: one account's case with each defect
sub sees_defects
{
	my ($books, $account, @history) = @_;
	my @of_account = grep { ($_->{account} || '') eq $account } @history;

	for my $defect (@defects)
	{
		my ($what, $judgement, $make) = @$defect;
		my ($spoilt, @calls) = @{ dclone([ $books->{$account}, @of_account ]) };
		my %seen;

		$make->($spoilt, @calls);
		%seen = map { $_->[0] => scalar @{ $_->[1] } } complaints({ $account => $spoilt }, @calls);
		ok($seen{$judgement}, "seen if $what: $judgement");
	}
	return;
}

# How many calls of each operation ended how
sub outcomes
{
	my (@history) = @_;
	my %count;

	for my $call (@history)
	{
		my $outcome = $call->{sqlstate} || $call->{end} || $call->{outcome};

		$outcome = 'duplicate' if $outcome eq 'ok' && $call->{rows}[0] && $call->{rows}[0]{duplicate};
		$count{ $call->{op} }{$outcome}++;
	}
	return map {
		my $op = $_;

		"$op: " . join ', ', map { "$count{$op}{$_} $_" } sort keys %{ $count{$op} }
	} sort keys %count;
}

1;
