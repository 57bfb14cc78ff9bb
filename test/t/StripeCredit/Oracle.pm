# Whether the books are what the workers were told: their history against what
# the database holds in the end.  Each judgement returns what speaks against it,
# as texts, and nothing when all is well.

package StripeCredit::Oracle;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(any first max sum0);
use StripeCredit::Lots qw(replay);

our @EXPORT_OK = qw(read_books new_case judge told lost_entries);

# Clocks are read in microseconds, and a history keeps some digits less.
use constant EPSILON => 0.001;

use constant MOST_TOLD => 15;

#
# The books: per account the ledger by seq, the lots by id and the holds by key
#

sub rows
{
	my ($dbh, $query) = @_;

	return @{ $dbh->selectall_arrayref($query, { Slice => {} }) };
}

sub read_books
{
	my ($dbh) = @_;
	my %books = map { $_->{account_id} => { %$_, ledger => [], lots => {}, holds => {} } } rows($dbh, q{
		SELECT account_id, balance, held, extract(epoch FROM clock_timestamp()) AS time
		FROM stripe_credit.account});

	push @{ $books{ $_->{account_id} }{ledger} }, $_ for rows($dbh, q{
		SELECT account_id, seq, kind, credits, balance, idempotency_key, payment_id, lot_id, lots, taken,
			   reverses, metadata->>'call' AS call, extract(epoch FROM created_at) AS time
		FROM stripe_credit.ledger ORDER BY account_id, seq});
	$books{ $_->{account_id} }{lots}{ $_->{lot_id} } = $_ for rows($dbh, q{
		SELECT l.account_id, l.lot_id, l.payment_id, l.priority, l.granted, l.expired,
			   CASE WHEN l.lot_id = a.head_lot THEN a.head_remaining ELSE l.remaining END AS left,
			   extract(epoch FROM l.expires_at) AS expires
		FROM stripe_credit.lot l JOIN stripe_credit.account a USING (account_id)});
	$books{ $_->{account_id} }{holds}{ $_->{idempotency_key} } = $_ for rows($dbh, q{
		SELECT account_id, idempotency_key, credits, captured, state, lots, taken,
			   extract(epoch FROM created_at) AS time, extract(epoch FROM expires_at) AS expires,
			   extract(epoch FROM closed_at) AS closed
		FROM stripe_credit.hold});
	return \%books;
}

#
# The case: the books, and the history as calls of single operations
#

# What stands in the ledger when an operation was done
my %kind = (
	spend => 'spend',
	reverse_spend => 'spend_reversal',
	capture => 'capture',
	grant_credits => 'grant',
	adjust_credits => 'adjustment',
	purchase => 'purchase');
my %sign = (spend => -1, capture => -1);

# A call of spend_many is as many of spend.
sub single_calls
{
	my ($call) = @_;
	my @rows = @{ $call->{rows} || [] };

	return { %$call, row => $rows[0] } if $call->{op} ne 'spend_many';
	return map {
		{
			%$call,
			op => 'spend',
			batch => $call->{call},
			key => $call->{key} ? $call->{key}[$_] : undef,
			credits => $call->{credits}[$_],
			row => $rows[$_]
		}
	} 0 .. $#{ $call->{credits} };
}

sub is_done { return $_[0]{outcome} eq 'ok' }

# Done by this call, and not by one before
sub is_first { return is_done($_[0]) && $_[0]{row} && !$_[0]{row}{duplicate} }

# It may have been done.  What was committed weakly may be lost, and so may be
# what an answer that it is a duplicate referred to.
sub may_be_done { return $_[0]{outcome} eq 'unknown' }

sub settle_weak
{
	my ($call) = @_;

	$call->{outcome} = 'unknown' if is_done($call) && $call->{weak};
	return $call;
}

sub new_case
{
	my ($books, @history) = @_;
	my %case = (books => $books, history => [ map { settle_weak($_) } map { single_calls($_) } @history ]);

	for my $call (@{ $case{history} })
	{
		push @{ $case{by_key}{ $call->{account} }{ $call->{key} } }, $call if defined $call->{key};
		push @{ $case{by_call}{ $call->{call} } }, $call if $call->{call};
		push @{ $case{keyless}{ $call->{account} } }, $call if $call->{op} eq 'spend' && !defined $call->{key};
	}
	for my $account (values %$books)
	{
		for my $entry (@{ $account->{ledger} })
		{
			my $key = entry_key($entry);

			push @{ $case{entries}{ $account->{account_id} }{$key}{ $entry->{kind} } }, $entry if defined $key;
		}
	}
	add_authors(\%case);
	return \%case;
}

# The key by which its caller knows an entry
sub entry_key
{
	my ($entry) = @_;

	return $entry->{payment_id} =~ s/^pi_evt_//r if $entry->{kind} eq 'purchase';
	return $entry->{idempotency_key};
}

sub entries
{
	my ($case, $account, $key, @kinds) = @_;
	my $of_key = $case->{entries}{$account}{$key} || {};

	return map { @{ $of_key->{$_} || [] } } @kinds ? @kinds : sort keys %$of_key;
}

sub hold_of
{
	my ($case, $call) = @_;

	return $case->{books}{ $call->{account} }{holds}{ $call->{key} };
}

# The entry that a call was told it made
sub entry_of
{
	my ($case, $call) = @_;
	my $account = $case->{books}{ $call->{account} } or return;

	return $account->{ledger}[ $call->{row}{seq} - 1 ];
}

# To the model of lots: when the call of an entry or hold began, and of which
# batch it is
sub add_authors
{
	my ($case) = @_;

	for my $call (grep { is_done($_) || may_be_done($_) } @{ $case->{history} })
	{
		my @rows =
		  defined $call->{key} ? entries($case, $call->{account}, $call->{key}, $kind{ $call->{op} } || ()) : ();

		if (is_first($call))
		{
			@rows = grep { defined }
			    $call->{op} eq 'hold' ? hold_of($case, $call)
			  : has_entry($call) ? entry_of($case, $call)
			  : ();
			$_->{started} = $call->{t0} for @rows;
		}
		next unless defined $call->{batch};
		$_->{batch} = $call->{batch} for @rows;
	}
	return;
}

#
# Saying what is wrong
#

sub told
{
	my ($call) = @_;
	my $row = $call->{row};
	my $answer =
	    $call->{sqlstate} ? "$call->{sqlstate} $call->{message}"
	  : $row ? join(' ', map { "$_=" . ($row->{$_} // 'NULL') } sort keys %$row)
	  : 'no answer';

	$answer =~ s/\n.*//s;
	return sprintf '%s(%s) at %.4f to %.4f in %s, %s%s: %s, %s',
	  $call->{op}, join(', ', map { $_ // 'NULL' } @$call{qw(account key credits)}),
	  $call->{t0}, $call->{t1}, $call->{tx}, $call->{level}, $call->{block} ? ' in a block' : '',
	  $call->{outcome}, $answer;
}

sub entry_text
{
	my ($entry) = @_;

	return join ' ', 'entry', map { "$_=" . ($entry->{$_} // 'NULL') }
	  qw(account_id seq kind credits balance idempotency_key time);
}

# With what was done under its key
sub with_history
{
	my ($case, $what, $account, $key) = @_;
	my @calls = defined $key ? @{ $case->{by_key}{$account}{$key} || [] } : ();

	splice @calls, MOST_TOLD if @calls > MOST_TOLD;
	return join "\n  ", $what, map { told($_) } @calls;
}

sub about
{
	my ($case, $what, $call) = @_;

	return with_history($case, "$what: " . told($call), @$call{qw(account key)});
}

#
# The judgements
#

# Of errors there may be these only.  A transaction touches one account, so
# nobody can be in a deadlock; at READ COMMITTED nothing need be serialized.
sub is_usual_error
{
	my ($call, $sqlstate) = @_;

	return 1 if $sqlstate =~ /^(?:PT40[249]|57014|57P..|08...)$/;
	return $call->{level} ne 'read committed' if $sqlstate eq '40001';
	return $call->{op} eq 'capture' || came_too_late($call) if $sqlstate eq '22023';
	return 0;
}

# A grant that had to wait until its credits would have expired
sub came_too_late
{
	my ($call) = @_;

	return $call->{op} eq 'grant_credits' && defined $call->{expires}
	  && $call->{t1} >= $call->{t0} + $call->{expires};
}

# What a call met, or else what ended its transaction; a refusal is another's.
sub errors_of
{
	my ($call) = @_;

	return $call->{sqlstate} if defined $call->{sqlstate};
	return grep { !/^(?:PT|22)/ } $call->{end} // ();
}

sub wrong_errors
{
	my ($case) = @_;
	my @wrong;

	for my $call (@{ $case->{history} })
	{
		push @wrong, map { about($case, "unexpected error $_", $call) }
		  grep { !is_usual_error($call, $_) } errors_of($call);
	}
	return @wrong;
}

# What follows an entry in the same call: what returned had expired
sub balance_behind
{
	my ($case, $entry, $balance) = @_;
	my $ledger = $case->{books}{ $entry->{account_id} }{ledger};
	my $n = $entry->{seq} - 1;

	until ($ledger->[$n]{balance} == $balance)
	{
		$n++;
		return 0 if !$ledger->[$n] || $ledger->[$n]{kind} ne 'expiry';
	}
	return 1;
}

sub has_entry { return $_[0]{row} && exists $_[0]{row}{seq} && $kind{ $_[0]{op} } }

# An entry is what the call asked for
sub is_entry_of
{
	my ($entry, $call) = @_;

	return 0 if $entry->{kind} ne $kind{ $call->{op} };
	return 0 if ($entry->{idempotency_key} // '') ne ($call->{key} // '');
	return 1 if $call->{op} eq 'reverse_spend';
	return $entry->{credits} == ($sign{ $call->{op} } || 1) * $call->{credits};
}

# Each that was told its entry finds it there, with that balance; and one of
# several with the same key was the first.
sub missing_entries
{
	my ($case) = @_;
	my (@wrong, %first);

	for my $call (grep { is_done($_) && has_entry($_) } @{ $case->{history} })
	{
		my $entry = entry_of($case, $call);

		push(@wrong, about($case, 'not in the ledger', $call)), next
		  unless $entry && is_entry_of($entry, $call);
		next if $call->{row}{duplicate};
		push @wrong, about($case, 'was done before', $call)
		  if $first{ $call->{account} }{ $entry->{seq} }++;
		push @wrong, about($case, "the ledger says $entry->{balance}", $call)
		  unless balance_behind($case, $entry, $call->{row}{balance});
		push @wrong, about($case, "the ledger says $entry->{time}", $call)
		  unless $entry->{time} > $call->{t0} - EPSILON && $entry->{time} < $call->{t1} + EPSILON;
	}
	return @wrong;
}

# The calls that may have made an entry
sub authors_of
{
	my ($case, $entry) = @_;
	my $key = entry_key($entry);

	return @{ $case->{by_key}{ $entry->{account_id} }{$key} || [] } if defined $key;
	return @{ $case->{by_call}{ $entry->{call} } || [] } if defined $entry->{call};
	return @{ $case->{keyless}{ $entry->{account_id} } || [] };
}

sub is_explained
{
	my ($case, $entry) = @_;
	my @authors = authors_of($case, $entry);

	return any { is_done($_) || may_be_done($_) } @authors if $entry->{kind} eq 'purchase';
	return any {
		$kind{ $_->{op} }
		  && is_entry_of($entry, $_)
		  && ( is_first($_) && $_->{row}{seq} == $entry->{seq}
			|| may_be_done($_) && $entry->{time} > $_->{t0} - EPSILON)
	} @authors;
}

# Nothing is in the ledger that nobody was told of, or did again what was undone;
# nothing twice.
sub unexplained_entries
{
	my ($case) = @_;
	my @wrong;

	for my $entry (map { @{ $_->{ledger} } } values %{ $case->{books} })
	{
		next if $entry->{kind} eq 'expiry' || is_explained($case, $entry);
		push @wrong, with_history($case, 'nobody was told of ' . entry_text($entry), $entry->{account_id}, entry_key($entry));
	}
	for my $account (sort keys %{ $case->{entries} })
	{
		for my $key (sort keys %{ $case->{entries}{$account} })
		{
			my @made = grep { $_->{kind} ne 'spend_reversal' } entries($case, $account, $key);
			my @undone = entries($case, $account, $key, 'spend_reversal');

			push @wrong, with_history($case, "$key of $account is in the ledger more than once", $account, $key)
			  if @made > 1 || @undone > 1;
		}
	}
	return (@wrong, keyless_twice($case));
}

sub keyless_twice
{
	my ($case) = @_;
	my %times;

	$times{ $_->{call} }++
	  for grep { defined $_->{call} && !defined $_->{idempotency_key} } map { @{ $_->{ledger} } } values %{ $case->{books} };
	return map { "call $_ is in the ledger $times{$_} times" } grep { $times{$_} > 1 } sort keys %times;
}

# The ledger by itself
sub broken_ledgers
{
	my ($case) = @_;
	my @wrong;

	for my $account (values %{ $case->{books} })
	{
		my ($balance, $seq, $time) = (0, 0, 0);

		for my $entry (@{ $account->{ledger} })
		{
			$balance += $entry->{credits};
			push @wrong, 'out of order: ' . entry_text($entry)
			  if $entry->{seq} != ++$seq || $entry->{balance} != $balance || $entry->{time} < $time;
			$time = $entry->{time};
		}
		push @wrong, "$account->{account_id} has $account->{balance}, and not $balance"
		  if $account->{balance} != $balance;
	}
	return @wrong;
}

# A reversal gives back what the spend took.
sub wrong_reversals
{
	my ($case) = @_;
	my @wrong;

	for my $entry (grep { $_->{reverses} != 0 } map { @{ $_->{ledger} } } values %{ $case->{books} })
	{
		my $spend = $case->{books}{ $entry->{account_id} }{ledger}[ $entry->{reverses} - 1 ];

		push @wrong, with_history($case, 'undoes no spend: ' . entry_text($entry), @$entry{qw(account_id idempotency_key)})
		  unless $spend
		  && $spend->{kind} =~ /^(?:spend|capture)$/
		  && $spend->{seq} < $entry->{seq}
		  && $spend->{credits} == -$entry->{credits}
		  && $spend->{idempotency_key} eq $entry->{idempotency_key};
	}
	return @wrong;
}

# How many entries of weak commits are not there
sub lost_entries
{
	my ($books, @history) = @_;
	my %case = (books => $books);

	return scalar grep {
		my $entry = entry_of(\%case, $_);

		!$entry || !is_entry_of($entry, $_);
	} grep { $_->{weak} && is_done($_) && has_entry($_) } map { single_calls($_) } @history;
}

#
# Holds
#

# What a call that was done says of its hold
my %hold_is_wrong = (
	hold => sub {
		my ($call, $hold) = @_;

		return 'has other credits' if $hold->{credits} != $call->{credits};
		return if $call->{row}{duplicate};
		return 'was made at another time'
		  if $hold->{time} < $call->{t0} - EPSILON || $hold->{time} > $call->{t1} + EPSILON;
		return 'expires at another time'
		  if $hold->{expires} < $call->{t0} + $call->{ttl} - EPSILON
		  || $hold->{expires} > $call->{t1} + $call->{ttl} + EPSILON;
		return;
	},
	capture => sub {
		my ($call, $hold) = @_;

		return "is $hold->{state}" if $hold->{state} ne 'captured' || $hold->{captured} != $call->{credits};
		return 'had expired' if !$call->{row}{duplicate} && $call->{t0} > $hold->{expires} + EPSILON;
		return;
	},
	release => sub {
		my ($call, $hold) = @_;

		return if $hold->{state} eq 'released';
		return "is $hold->{state}" if $hold->{state} ne 'expired' || !$call->{row}{duplicate};
		return $call->{t1} < $hold->{expires} - EPSILON ? 'had not expired' : undef;
	});

sub broken_promises
{
	my ($case) = @_;
	my (@wrong, %closed);

	for my $call (grep { is_done($_) && $hold_is_wrong{ $_->{op} } } @{ $case->{history} })
	{
		my $hold = hold_of($case, $call);
		my $what = $hold ? $hold_is_wrong{ $call->{op} }->($call, $hold) : 'is gone';

		push @wrong, about($case, "the hold $what", $call) if $what;
		next if $call->{row}{duplicate};
		push @wrong, about($case, 'done before', $call)
		  if $closed{ $call->{account} }{ $call->{key} }{ $call->{op} eq 'hold' ? 'made' : 'closed' }++;
	}
	return @wrong;
}

# Of each hold: who made it, who closed it, and its entry in the ledger
sub hold_is_odd
{
	my ($case, $hold) = @_;
	my ($account, $key) = @$hold{qw(account_id idempotency_key)};
	my @calls = grep { is_first($_) || may_be_done($_) } @{ $case->{by_key}{$account}{$key} || [] };
	my @entries = grep { $_->{kind} ne 'spend_reversal' } entries($case, $account, $key);

	return 'nobody made' unless any { $_->{op} eq 'hold' && $_->{credits} == $hold->{credits} } @calls;
	return 'has entries' if $hold->{state} ne 'captured' && @entries;
	return 'is not what it took' if sum0(@{ $hold->{taken} }) != $hold->{credits};
	if ($hold->{state} eq 'captured')
	{
		return 'was captured in another way'
		  unless @entries == 1 && $entries[0]{kind} eq 'capture' && $entries[0]{credits} == -$hold->{captured};
		return 'gave more than it has' if $hold->{captured} > $hold->{credits};
		return 'nobody captured' unless any { $_->{op} eq 'capture' && $_->{credits} == $hold->{captured} } @calls;
	}
	elsif ($hold->{state} eq 'released')
	{
		return 'nobody released' unless any { $_->{op} eq 'release' } @calls;
	}
	elsif ($hold->{expires} < $case->{books}{$account}{time} && $hold->{state} eq 'open')
	{
		return 'should have expired';
	}
	return 'gave something' if $hold->{state} ne 'captured' && $hold->{captured} != 0;
	return;
}

sub odd_holds
{
	my ($case) = @_;
	my @wrong;

	for my $account (values %{ $case->{books} })
	{
		my @holds = values %{ $account->{holds} };
		my $open = sum0(map { $_->{credits} } grep { $_->{state} eq 'open' } @holds);

		push @wrong, "$account->{account_id} holds $account->{held}, and not $open" if $account->{held} != $open;
		for my $hold (@holds)
		{
			my $what = hold_is_odd($case, $hold) or next;

			push @wrong, with_history($case, "a hold ($hold->{state}) $what", @$hold{qw(account_id idempotency_key)});
		}
	}
	return @wrong;
}

#
# Refusals
#

sub is_same
{
	my ($x, $y) = @_;

	return $x->{op} eq $y->{op} && ($x->{credits} // '') eq ($y->{credits} // '');
}

# What was done and told before a call began
sub known_before
{
	my ($case, $call, @ops) = @_;
	my %wanted = map { $_ => 1 } @ops;

	return grep { is_done($_) && $_->{ack} < $call->{seen} && $wanted{ $_->{op} } }
	  @{ $case->{by_key}{ $call->{account} }{ $call->{key} } || [] };
}

my %reason = (
	PT402 => sub {
		my ($case, $call) = @_;
		my ($available, $asked) = ($call->{detail} // '') =~ /has (-?\d+) available, (\d+) were/;

		return defined $asked && $available < $asked;
	},
	PT404 => sub {
		my ($case, $call) = @_;
		my @wanted = $call->{op} eq 'reverse_spend' ? qw(spend capture) : 'hold';

		return $call->{op} =~ /^(?:reverse_spend|capture|release)$/ && !known_before($case, $call, @wanted);
	},
	# In a block it may have been for what was rolled back with it.
	PT409 => sub {
		my ($case, $call) = @_;
		my $hold = hold_of($case, $call);

		return 1 if $call->{block};
		return $hold && $hold->{state} eq 'captured' if $call->{op} eq 'release';
		return $hold
		  && ( $hold->{state} =~ /^(?:released|expired)$/
			|| $hold->{state} eq 'captured' && $hold->{captured} != $call->{credits})
		  if $call->{op} eq 'capture';
		return $call->{op} ne 'hold' || $hold->{credits} != $call->{credits} if $hold;
		return any { !is_entry_of($_, $call) } grep { $_->{reverses} == 0 }
		  entries($case, $call->{account}, $call->{key})
		  if $kind{ $call->{op} };
		return entries($case, $call->{account}, $call->{key});
	},
	22023 => sub {
		my ($case, $call) = @_;
		my $hold = hold_of($case, $call);

		# it may have been rolled back with a block
		return !$hold || $hold->{credits} < $call->{credits};
	});

# A refusal has its reason, and what was done once is never refused again.
sub wrong_refusals
{
	my ($case) = @_;
	my @wrong;

	for my $call (grep { $_->{outcome} eq 'refused' } @{ $case->{history} })
	{
		my $reason = $reason{ $call->{sqlstate} };

		push @wrong, about($case, 'no reason to refuse', $call) if $reason && !$reason->($case, $call);
	}
	for my $call (grep { defined $_->{key} && $_->{op} ne 'purchase' } @{ $case->{history} })
	{
		my $before = first { is_same($_, $call) } known_before($case, $call, $call->{op}) or next;

		# in a batch, another one may have been the reason
		next if defined $call->{batch} && $call->{outcome} eq 'refused';
		push @wrong, about($case, 'was done before', $call)
		  if $call->{outcome} eq 'refused' || is_first($call);
	}
	return @wrong;
}

#
# What was seen, and when
#

# Available is what is not held; spends and holds leave no debt; and a debt is
# somebody's who adjusted.
sub wrong_answers
{
	my ($case) = @_;
	my %debtor = map { $_->{account_id} => 1 }
	  grep { $_->{kind} eq 'adjustment' && $_->{credits} < 0 } map { @{ $_->{ledger} } } values %{ $case->{books} };

	return map { about($case, 'wrong by itself', $_) } grep {
		my ($call, $row) = ($_, $_->{row});

		$row->{available} != ($row->{now} // $row->{balance}) - $row->{held}
		  || $row->{held} < 0
		  || $row->{available} < 0 && (!$debtor{ $call->{account} } || is_first($call) && $call->{op} =~ /^(?:spend|hold)$/)
	} grep { $_->{row} && exists $_->{row}{available} } @{ $case->{history} };
}

# The rows of a look that are entries
sub entries_seen { return grep { defined $_->{seq} } @{ $_[0]{rows} } }

# Who looks sees a part of the ledger as it is in the end.
sub wrong_looks
{
	my ($case) = @_;

	return map { about($case, 'saw something else', $_) } grep {
		my $call = $_;
		my $ledger = ($case->{books}{ $call->{account} } || {})->{ledger} || [];
		my @seen = entries_seen($call);
		my $n = @seen ? $seen[0]{seq} : 0;

		any {
			my $entry = $ledger->[ $_->{seq} - 1 ];

			     $n-- != $_->{seq}
			  || !$entry
			  || $entry->{kind} ne $_->{kind}
			  || $entry->{credits} != $_->{credits}
			  || $entry->{balance} != $_->{balance};
		} @seen;
	} looks($case);
}

sub looks { return grep { $_->{op} eq 'look' && is_done($_) } @{ $_[0]{history} } }

# The balance is the last entry's, without what has expired since.
sub wrong_balances
{
	my ($case) = @_;
	my @wrong;

	for my $call (grep { $_->{level} ne 'read committed' } looks($case))
	{
		my ($last) = entries_seen($call) or next;
		my $account = $case->{books}{ $call->{account} };
		my $gone = $last->{balance} - $call->{row}{now};
		my $most = sum0(map { $_->{granted} } grep { $_->{expires} < $call->{t1} + EPSILON } values %{ $account->{lots} });

		push @wrong, about($case, 'the balance is not the last entry\'s', $call) if $gone < 0 || $gone > $most;
	}
	return @wrong;
}

# Whatever somebody was told before a call began, the call knows: it sees entries
# up to there at least, and what it makes comes behind them.
sub stale_calls
{
	my ($case) = @_;
	my @wrong;

	for my $account (sort keys %{ $case->{books} })
	{
		my @calls = grep { $_->{account} && $_->{account} eq $account && seq_of($_) } @{ $case->{history} };
		my @told = sort { $a->{ack} <=> $b->{ack} } @calls;
		my $known = 0;

		for my $call (sort { $a->{seen} <=> $b->{seen} } @calls)
		{
			$known = max($known, seq_of(shift @told)) while @told && $told[0]{ack} < $call->{seen};
			push @wrong, about($case, "entry $known was known", $call)
			  if seq_of($call) < $known || $call->{op} ne 'look' && seq_of($call) == $known;
		}
	}
	return @wrong;
}

# Of a call that was done: the last entry that it saw, or the one that it made
sub seq_of
{
	my ($call) = @_;

	return 0 unless is_done($call) && $call->{row};
	return $call->{row}{seq} || 0 if $call->{op} eq 'look';
	return has_entry($call) && is_first($call) ? $call->{row}{seq} : 0;
}

#
# Lots
#

sub wrong_lots
{
	my ($case) = @_;
	my @wrong;

	for my $account (values %{ $case->{books} })
	{
		my @left = map { $_->{left} } values %{ $account->{lots} };
		my %expired;

		$expired{ $_->{lot_id} } -= $_->{credits} for grep { $_->{kind} eq 'expiry' } @{ $account->{ledger} };
		push @wrong, map { "$account->{account_id}: $_" } replay($account);
		push @wrong, "$account->{account_id}: the lots are not what is available"
		  if sum0(@left) != max($account->{balance} - $account->{held}, 0);
		for my $lot (values %{ $account->{lots} })
		{
			push @wrong, "$account->{account_id}: lot $lot->{lot_id} expired otherwise than the ledger says"
			  if $lot->{expired} != ($expired{ $lot->{lot_id} } || 0);
			push @wrong, "$account->{account_id}: lot $lot->{lot_id} should have expired"
			  if $lot->{left} > 0 && $lot->{expires} < $account->{time};
		}
	}
	return @wrong;
}

my @judgements = (
	[ 'only errors that say no or not now' => \&wrong_errors ],
	[ 'the ledger adds up, in order' => \&broken_ledgers ],
	[ 'what was acknowledged is in the ledger, once' => \&missing_entries ],
	[ 'nothing else is in the ledger' => \&unexplained_entries ],
	[ 'what was undone was done' => \&wrong_reversals ],
	[ 'what was said of holds is true' => \&broken_promises ],
	[ 'holds are what was made of them' => \&odd_holds ],
	[ 'refusals have their reason' => \&wrong_refusals ],
	[ 'answers are right by themselves' => \&wrong_answers ],
	[ 'what was looked at is the ledger' => \&wrong_looks ],
	[ 'balances are the ledger\'s' => \&wrong_balances ],
	[ 'nobody saw the past' => \&stale_calls ],
	[ 'lots are spent in order, and expire in time' => \&wrong_lots ]);

# A list of [judgement, what speaks against it ...]
sub judge
{
	my ($case) = @_;

	return map { [ $_->[0], $_->[1]->($case) ] } @judgements;
}

1;
