# The signature cases of the official clients' own test suites: whatever those
# accept is valid here, whatever they refuse is refused, and for the same
# reason where both have a word for it.
#
# STRIPE_CREDIT_CORPUS names the directory of the cases.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use JSON::PP;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Corpus;
use Test::More;

plan skip_all => 'STRIPE_CREDIT_CORPUS names no collected signatures'
  unless defined CORPUS;

use constant VECTORS => 99;

my $json = JSON::PP->new->utf8;
my $collected = $json->decode(read_bytes(CORPUS . '/webhook_vectors.json'));
my @cases = @{ $collected->{vectors} };
cmp_ok(scalar @cases, '>=', VECTORS, 'all collected signatures are there')
  or die CORPUS . ' holds too few signatures';

$_->{payload} = defined $_->{payload_b64} ? decode_base64($_->{payload_b64}) : undef
  for @cases;


#
# What should come of a case
#

sub is_accepted { return $_[0]->{expect} =~ /^ok/ }

sub verdict_of
{
	my ($case) = @_;
	my $error = $case->{error} // '';
	my $header = $case->{header} // '';

	# the parser's errors are of bodies that were signed well
	return 'valid' if is_accepted($case) || $error =~ /^(?:json|thin_event)$/;
	return '22023' if $error eq 'no_secret';
	return 'malformed' if $error =~ /^(?:header|no_header|no_v1|no_payload)$/;
	if ($error eq 'tolerance')
	{
		my ($time) = $header =~ /^t=(\d+),/ or die "no time in $header";
		return $time < $case->{now} ? 'expired' : 'future';
	}
	die "unknown error $error" if $error ne 'mismatch';

	# without a signature that could match there is nothing to compare
	return $header =~ /v1=[0-9a-f]{64}(?:,|$)/ ? 'mismatch' : 'malformed';
}

# Asked of webhook(), which looks at the clock: what the clients accept, and
# what only their parsers refuse, is signed again.
sub is_signed_again
{
	my ($case) = @_;

	return is_accepted($case) || $case->{error} =~ /^(?:json|thin_event)$/;
}


#
# The database
#

my $node = PostgreSQL::Test::Cluster->new('vectors');
$node->init;
$node->start;
$node->safe_psql('postgres', q{CREATE DATABASE vectors ENCODING 'UTF8' TEMPLATE template0});
$node->safe_psql('vectors', <<'SQL');
CREATE EXTENSION stripe_credit;

CREATE FUNCTION verdict(payload bytea, header text, secret text, tolerance interval, at timestamptz)
	RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN jsonb_build_object('verdict',
		stripe_credit.verify_signature(payload, header, secret, tolerance, at));
EXCEPTION WHEN OTHERS THEN
	RETURN jsonb_build_object('verdict', SQLSTATE);
END
$$;

CREATE FUNCTION add_secret(secret text) RETURNS jsonb
	LANGUAGE plpgsql AS $$
BEGIN
	RETURN jsonb_build_object('id', stripe_credit.add_webhook_secret(secret));
EXCEPTION WHEN OTHERS THEN
	RETURN jsonb_build_object('error', SQLSTATE);
END
$$;

CREATE FUNCTION bytes_answer(payload bytea, header text) RETURNS jsonb
	LANGUAGE plpgsql AS $$
BEGIN
	RETURN stripe_credit.webhook_bytes(payload, header);
EXCEPTION WHEN OTHERS THEN
	RETURN jsonb_build_object('error', SQLSTATE, 'message', SQLERRM);
END
$$;

CREATE FUNCTION text_answer(payload bytea, header text) RETURNS jsonb
	LANGUAGE plpgsql AS $$
BEGIN
	RETURN stripe_credit.webhook(convert_from(payload, 'UTF8'), header);
EXCEPTION WHEN OTHERS THEN
	RETURN jsonb_build_object('error', SQLSTATE, 'message', SQLERRM);
END
$$;
SQL

sub bytes_or_null { return defined $_[0] ? bytea($_[0]) : 'NULL' }

# A literal of text that no quoting and no line end can alter.
sub text
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	utf8::encode(my $bytes = $text);
	return 'convert_from(' . bytea($bytes) . q{, 'UTF8')};
}

sub verdict_sql
{
	my ($case) = @_;
	my $tolerance = $case->{tolerance} == 0 ? 'NULL' : "'$case->{tolerance} s'";

	return sprintf "SELECT verdict(%s, %s, %s, %s, to_timestamp(%s));\n",
	  bytes_or_null($case->{payload}), text($case->{header}), text($case->{secret}),
	  $tolerance, $case->{now};
}

# With the case's secret as the only one: what it is worth to both functions,
# and what a body with a signature that is none is worth to the first.
sub webhook_sql
{
	my ($case) = @_;
	my $header =
	  is_signed_again($case)
	  ? signature($case->{payload}, $case->{secret})
	  : $case->{header};
	my $arguments = bytes_or_null($case->{payload}) . ', ' . text($header);

	return 'BEGIN; SELECT jsonb_build_object('
	  . "'secret', add_secret(" . text($case->{secret}) . '));'
	  . "SELECT jsonb_build_object('bytes', bytes_answer($arguments), "
	  . "'text', text_answer($arguments), "
	  . q{'unsigned', bytes_answer('{}', 'none'), }
	  . q{'events', (SELECT count(*) FROM stripe_credit.event)); ROLLBACK;}
	  . "\n";
}

sub run
{
	my ($sql) = @_;

	return map { $json->decode($_) } split /\n/, $node->safe_psql('vectors', $sql);
}

sub none
{
	my ($name, @faults) = @_;

	ok(!@faults, $name) or diag(join("\n", @faults));
}


#
# verify_signature()
#

my %count;
my @faults;
my @verdicts = map { $_->{verdict} } run(join '', map { verdict_sql($_) } @cases);
is(scalar @verdicts, scalar @cases, 'every case has a verdict');
for my $i (0 .. $#cases)
{
	my $expected = verdict_of($cases[$i]);

	$count{$expected}++;
	push @faults, "$cases[$i]{id}: $verdicts[$i], not $expected"
	  if $verdicts[$i] ne $expected;
}
none('every verdict agrees', @faults);
diag(sprintf '%d cases: %s', scalar @cases,
	join(', ', map { "$count{$_} $_" } sort keys %count));


#
# webhook() and webhook_bytes(), of the cases that ask for the event
#

my @constructed = grep { $_->{op} eq 'construct' } @cases;
my @answers = run(join '', map { webhook_sql($_) } @constructed);
is(scalar @answers, 2 * @constructed, 'every case is answered');

@faults = ();
for my $i (0 .. $#constructed)
{
	my $case = $constructed[$i];
	my ($secret, $answer) = @answers[ 2 * $i, 2 * $i + 1 ];
	my $refusal = $answer->{unsigned}{message};

	push @faults, "$case->{id}: the secret is refused" if $secret->{secret}{error};
	push @faults, "$case->{id}: $answer->{events} events are kept" if $answer->{events};
	push @faults, "$case->{id}: no signature is $answer->{unsigned}{error}"
	  if $answer->{unsigned}{error} ne 'PT400';
	for my $entry (qw(bytes text))
	{
		my $got = $answer->{$entry};
		my $status = $got->{status} // $got->{error};
		my $expected = is_accepted($case) ? 'ignored' : 'PT400';

		if ($status ne $expected)
		{
			push @faults, "$case->{id}: $status, not $expected, of $entry";
		}
		elsif ($expected eq 'PT400' && is_signed_again($case) == ($got->{message} eq $refusal))
		{
			# one message for every bad signature, another for what is no event
			push @faults, "$case->{id}: refused as \"$got->{message}\" of $entry";
		}
	}
}
none('what is an event is answered, and nothing else', @faults);


#
# Secrets that could never be right
#

my @spaced = grep { $_->{secret} =~ /\s/ || $_->{secret} eq '' } @cases;
my @added = run(join '', map { 'SELECT add_secret(' . text($_->{secret}) . ");\n" } @spaced);
cmp_ok(scalar @spaced, '>', 0, 'some secrets are blank or hold white space');
none('such a secret is not taken',
	map { "$spaced[$_]{id}: " . ($added[$_]{error} // 'taken') }
	  grep { ($added[$_]{error} // '') ne '22023' } 0 .. $#spaced);
is($node->safe_psql('vectors', 'SELECT count(*) FROM stripe_credit.event'),
	'0', 'no event was kept');

$node->stop;
done_testing();
