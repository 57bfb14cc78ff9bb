# The server crashes while a crowd of workers spends, holds and captures: what
# was acknowledged is there afterwards, once, and what nobody heard of can be done
# again with its key.  What was committed with synchronous_commit off may be lost;
# the books are right all the same.
#
# STRIPE_CREDIT_SEED names the seed of the operations.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;
use Time::HiRes qw(sleep);

BEGIN
{
	plan skip_all => 'DBD::Pg is not installed' unless eval { require DBD::Pg };
}

use StripeCredit::Crowd;
use StripeCredit::Oracle qw(lost_entries read_books);
use StripeCredit::Worker qw(call_once connect_to);

use constant ACCOUNTS => 3;

my $seed = $ENV{STRIPE_CREDIT_SEED} || time ^ $$;

# For those who want to see it again
END { diag("STRIPE_CREDIT_SEED=$seed") if $? || !Test::More->builder->is_passing }

# Asynchronous commits reach the disk late, so that a crash does lose some.
my $node = new_node('spending_crash', conf => <<'CONF');
max_connections = 100
wal_writer_delay = 10s
wal_writer_flush_after = 0
bgwriter_delay = 10s
autovacuum = off
CONF

# At a moment that nobody knows
sub crash_soon
{
	sleep rand 0.5;
	$node->stop('immediate');
	return;
}

# The accounts of a round
sub books_of
{
	my ($dbh, $prefix) = @_;
	my $books = read_books($dbh);

	return { map { $_ => $books->{$_} } grep { /^\Q$prefix\E/ } keys %$books };
}

# What was only seen or refused may have been so for the sake of something that
# was lost.
sub may_be_lost
{
	my (@history) = @_;

	for my $call (@history)
	{
		my ($row) = @{ $call->{rows} || [] };

		$call->{weak} = 1 if $call->{op} eq 'look' || $row && $row->{duplicate};
		$call->{outcome} = 'undone' if $call->{outcome} eq 'refused';
	}
	return @history;
}

sub adjust
{
	my ($dbh, $account, $credits, $key) = @_;

	return call_once($dbh, { op => 'adjust_credits', account => $account, credits => $credits, key => $key });
}

# Credits for a round that brings none; returns the calls.
sub rich_accounts
{
	my ($prefix, $credits) = @_;
	my $dbh = connect_to($node, 'the test');

	return $credits ? map { adjust($dbh, "${prefix}account $_", $credits, 'start') } 1 .. ACCOUNTS : ();
}

# So that nothing that is done again is refused for want of credits
sub give_plenty
{
	my ($dbh, $books) = @_;

	return map { adjust($dbh, $_, 1_000_000, 'plenty') } sort keys %$books;
}

# A crowd at work until the server crashes, and what is done again afterwards.
# Returns what is to be judged.
sub round
{
	my ($n, $kind, %options) = @_;
	my $prefix = "round $n ";
	my $what = "round $n, $kind";
	my $weak = $options{weak};
	my $crashed = 0;
	my @history = rich_accounts($prefix, $options{credits});

	push @history, run_crowd(
		$node,
		{
			prefix => $prefix,
			seed => $seed + $n,
			operations => 6000,
			workers => 8,
			accounts => ACCOUNTS,
			mortal => 1,
			%options
		},
		sub { crash_soon() unless $crashed++ });
	$node->stop('immediate') unless $crashed;
	$node->start;
	@history = may_be_lost(@history) if $weak;

	my $dbh = connect_to($node, 'the test');
	my $books = books_of($dbh, $prefix);
	my @again;

	note("$what: $_") for outcomes(@history);
	note("$what: " . lost_entries($books, @history) . ' commits were lost') if $weak;
	is_deeply($dbh->selectall_arrayref('SELECT * FROM stripe_credit.check_books()'), [],
		"$what: the books are right after the crash");
	sell_later($dbh);
	push @history, give_plenty($dbh, $books);
	@again = heal($node, $dbh, 20, @history);
	is(scalar(grep { ($_->{sqlstate} || '') eq 'PT402' } @again), 0, "$what: enough for all that is done again");
	$dbh->disconnect;
	return [ $what, $prefix, @history, @again ];
}

note("seed $seed");
my $dbh = connect_to($node, 'the test');
prepare_catalogue($dbh);
$dbh->disconnect;

# A webhook's commit is never weak, and takes all before it to the disk: so do all
# commits that are not of the kind that is looked at.
my @rounds = (
	round(1, 'all operations'),
	round(2, 'spends', credits => 1_000_000, names => 'spend'),
	round(3, 'holds', credits => 1_000_000, names => 'hold|capture|release'),
	round(4, 'asynchronous', weak => 1, names => '(?!purchase).*'),
	round(5, 'asynchronous spends', weak => 1, credits => 1_000_000, names => 'spend'));

$dbh = connect_to($node, 'the test');
settle($dbh);
for my $round (@rounds)
{
	my ($what, $prefix, @history) = @$round;

	is_right($what, books_of($dbh, $prefix), @history);
}
$dbh->disconnect;

$node->stop;
done_testing();
