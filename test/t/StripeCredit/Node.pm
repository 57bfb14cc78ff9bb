# What the TAP tests have in common: a private server with the extension in it,
# events as Stripe would send and sign them, and many sessions at once.

package StripeCredit::Node;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use Exporter 'import';
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  SECRET
  new_node
  install
  literal
  signature
  event
  session_event
  intent_event
  call
  deliver
  delivered
  status_of
  books_are_right
  state_of
  all_at_once
  all_at_once_over
  insisting
);

use constant SECRET => 'whsec_the_tests_own';

# A running server, with the extension in its database postgres.  Conf is added
# to postgresql.conf, init goes to the server's init().
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(
		%{ $options{init} || {} },
		extra => [ '--encoding=UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf', $options{conf} || '');
	$node->start;
	install($node, 'postgres');
	return $node;
}

# The extension with a secret and a pack of 100 credits for 10 dollars.
sub install
{
	my ($node, $dbname) = @_;

	$node->safe_psql(
		$dbname, sprintf(q{
		CREATE EXTENSION stripe_credit;
		SELECT stripe_credit.add_webhook_secret(%s);
		INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency)
			VALUES ('starter', 100, 1000, 'usd');
	}, literal(SECRET)));
	return;
}

# A text as an SQL literal
sub literal
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

# The Stripe-Signature header of a body
sub signature
{
	my ($body, %options) = @_;
	my $time = $options{time} || time;

	return "t=$time,v1=" . hmac_sha256_hex("$time.$body", $options{secret} || SECRET);
}

# The body of an event
sub event
{
	my ($event_id, $type, $object) = @_;

	return JSON::PP->new->utf8->canonical->encode({
		id => $event_id,
		object => 'event',
		type => $type,
		created => 1700000000,
		livemode => JSON::PP::false,
		data => { object => $object },
	});
}

sub metadata
{
	my (%options) = @_;
	my %metadata = (stripe_credit_pack => $options{pack} || 'starter');

	$metadata{stripe_credit_account} = $options{account} if defined $options{account};
	return \%metadata;
}

# The body of a Checkout Session's event: by default one that was paid, of the
# payment intent pi_$event_id
sub session_event
{
	my ($event_id, %options) = @_;
	my $payment = $options{payment} || $event_id;

	return event(
		$event_id,
		$options{type} || 'checkout.session.completed',
		{
			id => "cs_test_$payment",
			object => 'checkout.session',
			mode => 'payment',
			payment_status => $options{payment_status} || 'paid',
			payment_intent => "pi_$payment",
			currency => 'usd',
			amount_subtotal => 1000,
			amount_total => 1000,
			metadata => metadata(%options),
			%{ $options{object} || {} },
		});
}

# The body of a payment intent's event
sub intent_event
{
	my ($event_id, %options) = @_;
	my $payment = $options{payment} || $event_id;

	return event(
		$event_id,
		'payment_intent.succeeded',
		{
			id => "pi_$payment",
			object => 'payment_intent',
			status => 'succeeded',
			currency => 'usd',
			amount => 1000,
			metadata => metadata(%options),
		});
}

# The SQL that delivers a body.  Options go to signature().
sub call
{
	my ($body, %options) = @_;

	return sprintf('SELECT stripe_credit.webhook(%s, %s)',
		literal($body), literal(signature($body, %options)));
}

# What webhook() answers to a body, as a hash, or else { error => what psql says }
sub deliver
{
	my ($node, $body, %options) = @_;
	my ($rc, $stdout, $stderr) = $node->psql($options{dbname} || 'postgres',
		"\\set VERBOSITY verbose\n" . call($body, %options));

	return $rc == 0 ? JSON::PP::decode_json($stdout) : { error => $stderr };
}

# The same, as no more than its status, or else the SQLSTATE
sub delivered
{
	my $answer = deliver(@_);

	return $answer->{status} if $answer->{status};
	return $answer->{error} =~ /ERROR:  (\w{5}):/ ? $1 : $answer->{error};
}

# The same, in a session that is open
sub status_of
{
	my ($session, $body, %options) = @_;
	my $output = $session->query(call($body, %options));

	return JSON::PP::decode_json($output)->{status} if $output =~ /^\{/;
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return $error =~ /ERROR:\s+(.*)/ ? $1 : "$output$error";
}

sub books_are_right
{
	my ($node, $dbname) = @_;

	return $node->safe_psql($dbname || 'postgres',
		'SELECT * FROM stripe_credit.check_books()') eq '';
}

# All that the extension's tables hold but secrets, as text
sub state_of
{
	my ($node, $dbname) = @_;
	my @tables = split /\n/, $node->safe_psql(
		$dbname, q{
		SELECT relname FROM pg_class
		WHERE relnamespace = 'stripe_credit'::regnamespace AND relkind = 'r'
		  AND relname NOT IN ('webhook_secret', 'api_key')
		ORDER BY relname});

	return join "\n", map {
		"$_\n"
		  . $node->safe_psql($dbname, "SELECT t.*::text FROM stripe_credit.$_ AS t ORDER BY t::text")
	} @tables;
}

# Runs one psql script in each of many sessions.  All of them wait at one lock
# until the last is there, and are let go together.  Returns what each printed,
# with its errors as SQLSTATEs.
sub all_at_once
{
	my ($node, @scripts) = @_;

	return all_at_once_over($node->connstr('postgres'), $node, @scripts);
}

# The same over connections of another kind
sub all_at_once_over
{
	my ($connstr, $node, @scripts) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $gate = $node->background_psql('postgres');
	my $count = @scripts;
	my @runs;

	$gate->query_safe('SELECT pg_advisory_lock(1)');
	for my $i (0 .. $#scripts)
	{
		append_to_file("$dir/$i.sql",
			"SELECT pg_advisory_xact_lock_shared(1) AS gate \\gset\n$scripts[$i]\n");
		push @runs,
		  IPC::Run::start(
			[
				$node->installed_command('psql'), '-XAtq',
				'-v', 'VERBOSITY=sqlstate',
				'-d', $connstr, '-f', "$dir/$i.sql"
			],
			'<', '/dev/null', '>', "$dir/$i.out", '2>&1');
	}
	$node->poll_query_until('postgres',
		"SELECT count(*) = $count FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
	  or die 'not all sessions came to the gate';
	$gate->query_safe('SELECT pg_advisory_unlock(1)');
	$_->finish for @runs;
	$gate->quit;
	return map { slurp_file("$dir/$_.out") } 0 .. $#scripts;
}

# A psql script that runs a query again as long as it fails, so many times at
# most
sub insisting
{
	my ($query, $times) = @_;

	return "\\set again true\n"
	  . "\\if :again\n$query;\n\\set again :ERROR\n\\endif\n" x $times;
}

1;
