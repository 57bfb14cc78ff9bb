# Lives of payments, drawn at random: paid at once, later or never, refunded in
# parts, disputed, subscriptions with their invoices.  What Stripe tells of them
# comes in any order, more than once, over several connections at the same time,
# some of which break; in between credits are granted and spent.  In the end
# every account and every payment is what happened at Stripe.
#
# The lives come from a seed: STRIPE_CREDIT_SEED names it.
# STRIPE_CREDIT_HISTORIES says how many there are.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;
use Time::HiRes qw(time);

BEGIN
{
	plan skip_all => 'DBD::Pg is not installed' unless eval { require DBD::Pg };
}

use StripeCredit::Crowd ();
use StripeCredit::Lives qw(prepare_catalogue random_life);
use StripeCredit::Model qw(
  balances_of
  complaints_about
  errors_in_books
  events_that_wait
  is_flawless
  is_unpaid
  read_payments
  wrong_balances
);
use StripeCredit::Orders qw(deliver_copies differing_copies make_copies);
use StripeCredit::Postman;
use StripeCredit::Random;
use StripeCredit::Worker qw(connect_to read_history);

use constant {
	POSTMEN => 6,
	PHASES => 12,    # that many deliveries of what was never acknowledged
	ORDERS => 12     # of each life that is delivered alone
};

my $seed = $ENV{STRIPE_CREDIT_SEED} || time ^ $$;
my $histories = $ENV{STRIPE_CREDIT_HISTORIES} || 2000;

# For those who want to see it again
END
{
	diag("STRIPE_CREDIT_SEED=$seed STRIPE_CREDIT_HISTORIES=$histories")
	  if $? || !Test::More->builder->is_passing;
}

# How near to each other the events of a life are delivered: within how many
# lives; and whether a transaction holds more than one event, so that two of
# them can wait for each other.
my @batches = (
	{ window => 2, deadlocks => 0 },
	{ window => 40, deadlocks => 1 },
	{ window => 8, deadlocks => 1 },
	{ window => 100_000, deadlocks => 0 });

my $node = new_node('histories', conf => "max_connections = 50\ndeadlock_timeout = 20ms\n");
my $dbh = connect_to($node, 'the test');
my (@all_lives, @changes);
my $last_life = 0;

note("seed $seed, $histories histories");
prepare_catalogue($dbh);


#
# What is delivered
#

# Where in the queue something stands that belongs to a life
sub place
{
	my ($r, $batch, $index) = @_;

	return $index + $r->below(1000 * $batch->{window}) / 1000;
}

# Where the buyer could name the account, a refund leaves alone what it doesn't
# find of his own: nothing is spent there.
sub is_named_by_buyer
{
	my ($life) = @_;

	return grep { $_->{order} && $_->{order}{payment_link} } @{ $life->{payments} };
}

# Spends and grants in between, for accounts of the lives
sub draw_operations
{
	my ($r, $batch, @lives) = @_;
	my @operations;

	for my $index (grep { !is_named_by_buyer($lives[$_]) } 0 .. $#lives)
	{
		my ($tag, $account) = @{ $lives[$index] }{qw(tag account)};
		my %operation = (account => $account, place => place($r, $batch, $index));

		push @operations, { %operation, op => 'spend', key => "spend $tag", credits => $r->between(1, 500) }
		  if $r->chance(60);
		push @operations, { %operation, op => 'grant_credits', key => "grant $tag", credits => $r->between(1, 90) }
		  if $r->chance(5);
	}
	return @operations;
}

# Every event at least once, in the order in which they are delivered
sub draw_queue
{
	my ($r, $batch, @lives) = @_;
	my @queue = draw_operations($r, $batch, @lives);

	for my $index (0 .. $#lives)
	{
		for my $event (@{ $lives[$index]{events} })
		{
			my $times = 1 + $r->weighted(0 => 75, 1 => 20, 2 => 5);

			push @queue, map { { %$event, place => place($r, $batch, $index) } } 1 .. $times;
		}
	}
	@queue = sort { $a->{place} <=> $b->{place} } @queue;
	$queue[$_]{delivery} = $_ for 0 .. $#queue;
	return @queue;
}

# Rounds for each postman: what comes next in the queue goes to the next of them.
sub deal
{
	my ($r, $batch, $phase, @queue) = @_;
	my @lists = map { [] } 1 .. POSTMEN;
	my $turn = 0;

	while (@queue)
	{
		my $end =
		    $phase > 2 ? 'alone'
		  : $r->weighted(alone => 80, commit => 8, rollback => 6, 'hang up' => 2, die => 2, unheard => 2);
		my $count = $batch->{deadlocks} ? $r->between(2, 4) : 1;
		my @items;

		# A refusal is an error, after which a block doesn't go on.
		$count = 1 if $end eq 'alone' || $end eq 'unheard';
		push @items, shift @queue while @queue && @items < $count && $queue[0]{body};
		($end, @items) = ('alone', shift @queue) unless @items;
		push @{ $lists[ $turn++ % POSTMEN ] }, { end => $end, items => \@items };
	}
	return \@lists;
}

# Until everything was answered for good.  Stripe delivers again what was not
# answered, also if it was a second delivery.  Returns the history.
sub deliver_queue
{
	my ($r, $batch, @queue) = @_;
	my @history;

	for my $phase (1 .. PHASES)
	{
		my %answered;
		my @files;

		@files = StripeCredit::Postman::deliver_rounds(
			deal($r, $batch, $phase, @queue),
			node => $node,
			dir => PostgreSQL::Test::Utils::tempdir(),
			deadlocks => $batch->{deadlocks});
		StripeCredit::Crowd::wait_until_alone($node) or die 'the postmen are still there';
		push @history, read_history(@files);
		%answered = map { $_->{delivery} => 1 } grep { $_->{outcome} ne 'error' } @history;
		@queue = grep { !$answered{ $_->{delivery} } } @queue;
		return @history unless @queue;
	}
	fail('everything is answered in the end') || diag(scalar(@queue) . ' are not');
	return @history;
}


#
# What has come of it
#

# A life that went wrong: what it was, in which order its events were answered,
# and whether that order alone is enough
sub tell_of
{
	my ($life, @history) = @_;
	my %index = map { $life->{events}[$_]{id} => $_ } 0 .. $#{ $life->{events} };
	my @order = grep { defined } map { $index{ $_->{id} } } grep { $_->{outcome} eq 'ok' } @history;
	my $alone = random_life($seed, $life->{number}, alone => 1);
	my @copies = make_copies($alone, \@order);

	diag(join "\n",
		$life->describe,
		'  answered in the order ' . StripeCredit::Orders::order_of($copies[0]),
		'the same life alone in that order:',
		deliver_copies($node, @copies), differing_copies($dbh, @copies), '(that is all)');
	return;
}

# Whether what waits is nothing worse than a call of maintain() late
sub tell_what_maintain_does
{
	my (%waits) = @_;
	my $answer;

	$dbh->do('BEGIN');
	($answer) = $dbh->selectrow_array('SELECT stripe_credit.maintain(100000)');
	diag("maintain() answers $answer, then there wait " . scalar events_that_wait($dbh, %waits));
	$dbh->do('ROLLBACK');
	return;
}

sub names_of
{
	my ($payment) = @_;

	return (StripeCredit::Life::root_of($payment), StripeCredit::Life::other_names($payment));
}

sub judge_payments
{
	my ($what, $history, @lives) = @_;
	my $rows = read_payments($dbh, map { names_of($_) } map { @{ $_->{payments} } } @lives);
	my (@wrong, $first);

	for my $life (@lives)
	{
		my @complaints = complaints_about($life, $rows) or next;

		$first ||= $life;
		push @wrong, "$life->{name}: " . join '; ', @complaints;
	}
	is_flawless("$what: every payment is what happened to it", @wrong);
	tell_of($first, @$history) if $first;
	return;
}

# What is wrong once isn't so again in the next batch.
sub judge_balances
{
	my ($what, @lives) = @_;
	my @wrong = wrong_balances($dbh, balances_of([], @changes));

	is_flawless("$what: every account has what is its own", map { "$_->[0] has $_->[1], not $_->[2]" } @wrong);
	return unless @wrong;
	diag(join "\n", "the lives of $wrong[0][0]:",
		map { "  $_->{name}: " . $_->balance } grep { $_->{account} eq $wrong[0][0] } @lives);
	push @changes, map { ([ $_->[0], $_->[1] ], [ $_->[0], -$_->[2] ]) } @wrong;
	return;
}

sub judge_events
{
	my ($what, $history, @lives) = @_;
	my %waits = map { $_->{tag} => is_unpaid($_) } @lives;
	my @wrong = events_that_wait($dbh, %waits);

	is_flawless("$what: nothing waits that has come", map { $_->[1] } @wrong);
	return unless @wrong;
	tell_of($_, @$history) for grep { $_->{tag} eq $wrong[0][0] } @lives;
	tell_what_maintain_does(%waits);
	return;
}

sub judge
{
	my ($what, $history, @lives) = @_;

	is_flawless("$what: no errors but those that say no or not now",
		map { "$_->{id}: $_->{message}" } grep { $_->{outcome} eq 'error' } @$history);
	judge_payments($what, $history, @lives);
	judge_balances($what, @lives);
	judge_events($what, $history, @lives);
	is_flawless("$what: the books are right", errors_in_books($dbh));
	return;
}

# The changes that were answered
sub changes_by
{
	my ($operations, @history) = @_;
	my %is_done = map { $_->{id} => 1 } grep { $_->{outcome} eq 'ok' } @history;

	return map { [ $_->{account}, $_->{op} eq 'spend' ? -$_->{credits} : $_->{credits} ] }
	  grep { $is_done{ $_->{key} } } @$operations;
}

for my $number (0 .. $#batches)
{
	my $batch = $batches[$number];
	my $began = time;
	my $r = StripeCredit::Random->new($seed, 'batch', $number);
	my $count = int($histories / @batches) || 1;
	my @lives = map { random_life($seed, $_) } $last_life + 1 .. $last_life + $count;
	my @queue = draw_queue($r, $batch, @lives);
	my @operations = grep { $_->{op} } @queue;
	my @history = deliver_queue($r, $batch, @queue);
	my $refused = grep { $_->{outcome} eq 'refused' } @history;

	$last_life += $count;
	push @all_lives, @lives;
	push @changes, (map { [ $_->{account}, $_->balance ] } @lives), changes_by(\@operations, @history);
	note(sprintf '%d lives, %d deliveries, %d spends and grants, %d of them refused, in %.1f s',
		$count, @queue - @operations, scalar @operations, $refused, time - $began);
	judge("batch $number", \@history, @lives);
	note(sprintf 'judged after %.1f s', time - $began);
}
is( $dbh->selectrow_array(q{
		SELECT count(*) FROM stripe_credit.event
		WHERE type IN ('invoice.payment_succeeded', 'customer.subscription.deleted')}),
	0,
	'what is not listened to leaves no row');

# A judge who sees nothing is no judge.
{
	my ($life) = grep { $_->balance ne '0' && @{ $_->{payments} } == 1 } @all_lives;
	my ($payment) = @{ $life->{payments} };
	my $root = StripeCredit::Life::root_of($payment);
	my $seen = sub {
		my (%changed) = @_;
		my $rows = read_payments($dbh, names_of($payment));

		$rows->{$root} = { %{ $rows->{$root} }, %changed };
		return scalar complaints_about($life, $rows);
	};

	ok($seen->(%$_), 'seen if wrong: ' . join ' ', %$_)
	  for { posted => -1 }, { paid => 0 }, { account_id => 'nobody' }, { amount => 1 }, { same_as => 'pi_other' };
	ok(scalar wrong_balances($dbh, balances_of([], @changes, [ $life->{account}, 1 ])), 'seen if wrong: a balance');
}

# Whatever the order, and with some of it twice, a life comes to the same.
{
	my $began = time;
	my $r = StripeCredit::Random->new($seed, 'orders');
	my @lives = map { random_life($seed, $_, alone => 1) } $last_life + 1 .. $last_life + 1 + $histories / 25;
	my (%waits, @wrong);

	for my $life (@lives)
	{
		my @events = 0 .. $#{ $life->{events} };

		$life->{copies} = [
			make_copies($life, [@events], [ reverse @events ],
				map { [ $r->shuffle(@events, map { $r->one_of(@events) } 1 .. $r->below(3)) ] } 1 .. ORDERS)
		];
		$waits{ $_->{tag} } = is_unpaid($life) for @{ $life->{copies} };
	}
	is_flawless('all orders of a life: no errors', deliver_copies($node, map { @{ $_->{copies} } } @lives));
	for my $life (@lives)
	{
		my @complaints = differing_copies($dbh, @{ $life->{copies} }) or next;

		diag(join "\n", $life->describe) unless @wrong;
		push @wrong, "$life->{name} " . join "\n  ", @complaints;
	}
	is_flawless('all orders of a life: the same payment and the same balance', @wrong);
	is_flawless('all orders of a life: nothing waits that has come', map { $_->[1] } events_that_wait($dbh, %waits));
	is_flawless('all orders of a life: the books are right', errors_in_books($dbh));
	note(sprintf '%d lives in %d orders each, in %.1f s', scalar @lives, ORDERS + 2, time - $began);
}
$dbh->disconnect;
$node->stop;
done_testing();
