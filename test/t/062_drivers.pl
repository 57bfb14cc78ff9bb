# Webhooks and spending through the drivers that people have: node-pg, postgres.js
# and psycopg2.  A body must come through byte for byte, whether it is passed as
# text or as bytes; errors must arrive as what they are; and numbers exactly.
#
# STRIPE_CREDIT_NPM names a directory whose node_modules has the packages, as
# .ci/run makes one.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Encode qw(encode_utf8);
use FindBin;
use lib $FindBin::RealBin;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use Test::More;

use constant {
	MAX_PAYLOAD => 1048576,
	BIG => '9007199254740993'    # the first whole number that a double can't hold
};

my $npm = $ENV{STRIPE_CREDIT_NPM} || '';
my $programs = "$FindBin::RealBin/../drivers";

sub npm_package
{
	my ($name) = @_;

	return -e "$npm/node_modules/$name/package.json" && runs('node', '--version');
}

# What each has in place of SQL's types, and of an error with a SQLSTATE that it doesn't know
my @drivers = (
	{
		name => 'node-pg', installed => npm_package('pg'), command => [ 'node', "$programs/pg.mjs", $npm ],
		prepared => [ 1, 0 ], error => 'DatabaseError', bigint => 'string', timestamptz => 'Date',
		interval => { type => 'PostgresInterval', value => { minutes => 5 } }
	},
	{
		name => 'postgres.js', installed => npm_package('postgres'), command => [ 'node', "$programs/postgres.mjs", $npm ],
		prepared => [ 1, 0 ], error => 'PostgresError', bigint => 'string', timestamptz => 'Date',
		interval => { type => 'string', value => '00:05:00' }
	},
	{
		name => 'psycopg2', installed => runs('python3', '-c', 'import psycopg2'), command => [ 'python3', "$programs/psycopg2_driver.py" ],
		prepared => [0], error => 'InternalError', bigint => 'int', timestamptz => 'datetime',
		interval => { type => 'timedelta', value => '0:05:00' }
	});

plan skip_all => 'no driver is installed, and STRIPE_CREDIT_NPM names no directory that has them' unless grep { $_->{installed} } @drivers;

my $node = new_node('drivers', conf => "stripe_credit.api_base = 'http://127.0.0.1:9'\nstripe_credit.max_retries = 0\n");

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

sql(q{CREATE ROLE app LOGIN},
	q{SELECT stripe_credit.administer('app')},
	q{SELECT stripe_credit.set_api_key('sk_test_drivers')},
	q{UPDATE stripe_credit.settings SET keep_payload = 'all'});

sub start
{
	my (@command) = @_;

	local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, 'app', 'postgres');
	return StripeCredit::Program->new(@command);
}

# A statement through a driver
sub ask
{
	my ($driver, $sql, @arguments) = @_;

	return $driver->{program}->ask(sql => $sql, arguments => \@arguments, prepared => $driver->{as_prepared});
}

sub row { my ($driver, $sql, @arguments) = @_; return ask($driver, $sql, @arguments)->{rows}[0] }

# What became of a statement: the status of a webhook that was taken, an error's code, or its type where it has none
sub outcome
{
	my ($answer) = @_;

	return $answer->{rows}[0]{answer}{value}{status} || 'rows' if $answer->{rows};
	return $answer->{error}{code} || $answer->{error}{type};
}

#
# Bodies
#

my %statement = (
	text => 'SELECT stripe_credit.webhook($1, $2) AS answer',
	bytes => 'SELECT stripe_credit.webhook_bytes($1, $2) AS answer');

sub encoded { my ($kind, $body) = @_; return { $kind => encode_base64($body, '') } }

# A body as bytes, passed as the kind of value that is named, to the function for text or bytes
sub hand_over
{
	my ($driver, $function, $kind, $body, $signature) = @_;

	return ask($driver, $statement{$function}, encoded($kind, $body), $signature || signature($body));
}

# An event that names its account after itself; what is added to it is a field that nobody reads
sub paid
{
	my ($name, $json) = @_;
	my $body = session_event("evt_$name", account => $name);

	$body =~ s/^\{/{"x": $json, / or die if defined $json;
	return $body;
}

sub padded { my ($body) = @_; return $body . ' ' x (MAX_PAYLOAD - length $body) }

# None of them has these signs inside a string.
sub spaced { my ($body, $space) = @_; return $body =~ s/([{},])/$space$1$space/gr }

my @bodies = (
	[ 'as it is' => sub { paid($_[0]) } ],
	[ 'odd spacing' => sub { spaced(paid($_[0]), '   ') } ],
	[ 'lines that end in CRLF' => sub { spaced(paid($_[0]), "\r\n") } ],
	[ 'CR alone' => sub { spaced(paid($_[0]), "\r") } ],
	[ 'tabs' => sub { spaced(paid($_[0]), "\t") } ],
	[ 'white space around it' => sub { "\r\n \t " . paid($_[0]) . " \n\n" } ],
	[ 'escapes' => sub { paid($_[0], '"\u00fc\u20AC \/ \" \\\\ \b\f\n\r\t \u001f \\\\u0041"') } ],
	[ 'surrogate pairs' => sub { paid($_[0], '"\ud83d\ude42\uD834\uDD1E"') } ],
	[ 'characters of two, three and four bytes' => sub { paid($_[0], encode_utf8(qq("\x{fc}\x{20ac}\x{1f642}\x{10ffff}"))) } ],
	[ 'characters that some take for white space or for nothing' =>
		sub { paid($_[0], encode_utf8(qq("\x{2028}\x{2029}\x{85}\x{a0}\x{feff}\x{200b}\x{7f}"))) } ],
	[ 'the same character in two forms' => sub { paid($_[0], encode_utf8(qq("\x{e9}e\x{301}"))) } ],
	[ 'numbers' => sub { paid($_[0], '[12345678901234567890, 1.50e3, 1E+2, -0, -0.0, 0.10, 9007199254740993]') } ],
	[ 'a field twice' => sub { paid($_[0], '{"a": 1, "a": 1}') } ],
	[ "signs of SQL's and of the drivers'" => sub { paid($_[0], q("'' ' %s %(a)s %% $1 ${x} :a ? $$ -- /* E'\\\\x' {a,\"b\"}")) } ],
	[ 'as large as it may be' => sub { padded(paid($_[0])) } ]);

# The names and digests of what was sent, and how
sub send_bodies
{
	my ($driver) = @_;
	my %sent;

	for my $kind (sort keys %statement)
	{
		for my $i (0 .. $#bodies)
		{
			my ($what, $make) = @{ $bodies[$i] };
			my $name = "$driver->{slug}_${kind}_$i";
			my $body = $make->($name);

			$sent{$name} = { what => "$driver->{label}: $what, as $kind", digest => sha256_hex($body) };
			is(outcome(hand_over($driver, $kind, $kind, $body)), 'applied', $sent{$name}{what});
		}
	}
	return \%sent;
}

sub bodies_arrive
{
	my ($driver) = @_;
	my $sent = send_bodies($driver);
	my %kept = map { /^(\w+)\|(.*)$/ } split /\n/, sql(qq{
		SELECT a.account_id, a.balance, encode(sha256(convert_to(e.payload, 'UTF8')), 'hex')
		FROM stripe_credit.account a JOIN stripe_credit.event e ON e.event_id = 'evt_' || a.account_id
		WHERE a.account_id LIKE '$driver->{slug}\\_%'});

	is($kept{$_}, "100|$sent->{$_}{digest}", "$sent->{$_}{what}: credited, and kept as it was sent") for sort keys %$sent;
	return;
}

#
# Refusals
#

my $bad_signature = {
	code => 'PT400', message => 'webhook signature verification failed', detail => undef,
	hint => 'Pass the raw body as it came, its Stripe-Signature header, and the signing secret of this endpoint.'
};
my $too_large = {
	code => 'PT413', message => 'webhook payload is too large', detail => 'The limit is ' . MAX_PAYLOAD . ' octets.',
	hint => 'It is set in stripe_credit.settings.max_payload.'
};

sub no_event { my ($detail) = @_; return { code => 'PT400', message => 'webhook payload is not a Stripe event', detail => $detail, hint => undef } }

sub error_is
{
	my ($driver, $answer, $expected, $what) = @_;

	is_deeply($answer->{error}, { type => $driver->{error}, %$expected }, "$driver->{label}: $what") or diag(explain($answer));
	return;
}

sub altered { my ($body) = @_; substr($body, length($body) / 2, 1) ^= "\x01"; return $body }

sub bodies_are_refused
{
	my ($driver) = @_;
	my $body = paid("$driver->{slug}_refused", '"\u00fc"');
	my $large = padded($body) . ' ';
	my $events = sql(q{SELECT count(*) FROM stripe_credit.event});

	for my $kind (sort keys %statement)
	{
		error_is($driver, hand_over($driver, $kind, $kind, altered($body), signature($body)), $bad_signature, "a byte altered, as $kind");
		error_is($driver, hand_over($driver, $kind, $kind, $body, signature("$body ")), $bad_signature, "a space lost, as $kind");
		error_is($driver, hand_over($driver, $kind, $kind, $large), $too_large, "a byte too many, as $kind");
		error_is($driver, hand_over($driver, $kind, $kind, '[]'), no_event('The payload is not a JSON object.'), "signed, but no event, as $kind");
		error_is($driver, ask($driver, $statement{$kind}, encoded($kind, $body), undef), $bad_signature, "no signature, as $kind");
	}
	error_is($driver, hand_over($driver, 'bytes', 'bytes', paid("$driver->{slug}_refused", qq("\xff"))),
		no_event('The payload is not valid UTF-8, or begins with a byte order mark.'), 'invalid UTF-8, as bytes');
	error_is($driver, hand_over($driver, 'bytes', 'bytes', paid("$driver->{slug}_refused", qq("\0"))),
		no_event('The payload is not valid JSON.'), 'a NUL, as bytes');
	is(outcome(hand_over($driver, 'text', 'text', paid("$driver->{slug}_refused", qq("\0")))),
		$driver->{name} eq 'psycopg2' ? 'ValueError' : '22021', "$driver->{label}: a NUL, as text");
	# What toString() makes of it has another digest; decode() refuses it.
	is(outcome(hand_over($driver, 'text', 'text', paid("$driver->{slug}_refused", qq("\xff")))),
		$driver->{name} eq 'psycopg2' ? 'UnicodeDecodeError' : 'PT400', "$driver->{label}: invalid UTF-8, as text");
	is(sql(q{SELECT count(*) FROM stripe_credit.event}), $events, "$driver->{label}: nothing of all that is recorded");
	return;
}

# A driver that knows a SQLSTATE may have a class of its own for it; ours it does not know.
sub errors_arrive
{
	my ($driver) = @_;
	my $account = "$driver->{slug} poor";
	my @calls = (
		[ 'spend($1, $2, $3)', [ $account, 6, 'b' ],
			'PT402', 'not enough credits', 'The account has 5 available, 6 were asked for.' ],
		[ 'hold($1, $2, $3)', [ "$account, unknown", 1, 'a' ],
			'PT402', 'not enough credits', 'The account has 0 available, 1 were asked for.' ],
		[ 'capture($1, $2, $3)', [ $account, 'b', 1 ], 'PT404', 'unknown hold', undef ],
		[ 'reverse_spend($1, $2)', [ $account, 'b' ], 'PT404', 'unknown spend', undef ],
		[ 'spend($1, $2, $3)', [ $account, 2, 'a' ],
			'PT409', 'idempotency key was used for something else', 'It belongs to entry 1 of the account: grant, 5 credits.' ],
		[ 'spend($1, $2, $3)', [ $account, 0, 'b' ], '22023', 'credits must be greater than zero', undef ],
		[ 'balance($1)', [undef], '22023', 'account_id must not be null', undef ],
		[ 'grant_credits($1, $2, $3)', [ $account, { bigint => '9223372036854775807' }, 'b' ], '22003', 'bigint out of range', undef ],
		[ 'create_checkout($1, $2)', [ $account, 'starter' ], '55000', 'no success_url', undef ]);

	ask($driver, 'SELECT * FROM stripe_credit.grant_credits($1, $2, $3)', $account, 5, 'a');
	for (@calls)
	{
		my ($call, $arguments, @expected) = @$_;
		my $error = ask($driver, "SELECT * FROM stripe_credit.$call", @$arguments)->{error};

		is_deeply([ @$error{qw(code message detail)} ], \@expected, "$driver->{label}: $expected[0], $expected[1]");
		is($error->{type}, $driver->{error}, "$driver->{label}: by no class of its own") if $expected[0] =~ /^PT/;
	}
	# A class of SQLSTATEs by which a driver could take its own connection for lost
	is(ask($driver, 'SELECT stripe_credit.confirm_checkout($1)', 'cs_test_1')->{error}{code}, '08006', "$driver->{label}: no Stripe");
	is(row($driver, 'SELECT available FROM stripe_credit.balance($1)', $account)->{available}{value},
		5, "$driver->{label}: and the connection goes on");
	return;
}

sub without_a_secret
{
	my (@drivers) = @_;

	sql(q{DELETE FROM stripe_credit.webhook_secret WHERE true});
	for my $driver (@drivers)
	{
		my $error = hand_over($driver, 'bytes', 'bytes', paid('nobody'))->{error};

		is("$error->{code} $error->{message}", '55000 no webhook secret is valid', "$driver->{label}: not configured");
		like($error->{hint}, qr/add_webhook_secret/, "$driver->{label}: and what to run");
	}
	sql('SELECT stripe_credit.add_webhook_secret(' . literal(SECRET) . ')');
	return;
}

#
# Values
#

sub bigint { my ($driver, $value) = @_; return { type => $driver->{bigint}, value => "$value" } }

# A row of (seq, balance, held, available, duplicate)
sub answers
{
	my ($driver, $row, $seq, $balance, $held, $available, $duplicate, $what) = @_;

	is_deeply($row,
		{
			seq => defined $seq ? bigint($driver, $seq) : { type => 'null', value => undef },
			balance => bigint($driver, $balance),
			held => bigint($driver, $held),
			available => bigint($driver, $available),
			duplicate => { type => 'boolean', value => $duplicate ? JSON::PP::true : JSON::PP::false }
		},
		"$driver->{label}: $what") or diag(explain($row));
	return;
}

my $metadata = {
	model => 'large', nested => [ 1, { "\x{fc}" => "\x{1f642}" }, JSON::PP::true, undef ], text => qq(' " \\ {a,b} %s \$1), big => BIG
};

# A number is passed as the language's big integer, as a string where the language has doubles, and as a small number.
sub credits_are_exact
{
	my ($driver) = @_;
	my $account = "$driver->{slug} rich";
	my $spend = 'SELECT * FROM stripe_credit.spend($1, $2, $3, $4)';
	my $all = '9007199254741001';    # 8 more than BIG
	my $entry;

	answers($driver, row($driver, 'SELECT * FROM stripe_credit.grant_credits($1, $2, $3)', $account, { bigint => $all }, 'grant'),
		1, $all, 0, $all, 0, 'credits beyond 2^53');
	answers($driver, row($driver, $spend, $account, { bigint => BIG }, 'spend', { json => $metadata }), 2, 8, 0, 8, 0, 'a spend beyond it');
	answers($driver, row($driver, $spend, $account, BIG, 'spend', undef), 2, 8, 0, 8, 1, 'the same as a string: a duplicate');
	answers($driver, row($driver, $spend, $account, 1, 'small', undef), 3, 7, 0, 7, 0, 'a small number');

	$entry = ask($driver, 'SELECT * FROM stripe_credit.statement($1, $2)', $account, 2)->{rows}[1];
	like($entry->{created_at}{value}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, "$driver->{label}: when");
	is(delete($entry->{created_at})->{type}, $driver->{timestamptz}, "$driver->{label}: as its kind of time");
	is_deeply($entry,
		{
			seq => bigint($driver, 2), kind => { type => 'string', value => 'spend' }, credits => bigint($driver, '-' . BIG),
			balance => bigint($driver, 8), idempotency_key => { type => 'string', value => 'spend' },
			payment_id => { type => 'null', value => undef }, metadata => { type => 'object', value => $metadata }
		},
		"$driver->{label}: in the statement") or diag(explain($entry));
	return;
}

sub holds
{
	my ($driver) = @_;
	my $account = "$driver->{slug} holding";

	ask($driver, 'SELECT * FROM stripe_credit.grant_credits($1, $2, $3)', $account, 10, 'grant');
	answers($driver, row($driver, 'SELECT * FROM stripe_credit.hold($1, $2, $3, $4)', $account, 6, 'hold', { interval => 5400 }),
		undef, 10, 6, 4, 0, 'a hold, with an interval');
	is(sql(qq{SELECT round(extract(epoch FROM expires_at - created_at) / 60) FROM stripe_credit.hold WHERE account_id = '$account'}),
		90, "$driver->{label}: for so long");
	answers($driver, row($driver, 'SELECT * FROM stripe_credit.capture($1, $2, $3)', $account, 'hold', 4), 2, 6, 0, 6, 0, 'captured');
	answers($driver, row($driver, 'SELECT * FROM stripe_credit.reverse_spend($1, $2)', $account, 'hold'), 3, 10, 0, 10, 0, 'reversed');
	ask($driver, 'SELECT * FROM stripe_credit.hold($1, $2, $3)', $account, 1, 'other');
	answers($driver, row($driver, 'SELECT * FROM stripe_credit.release($1, $2)', $account, 'other'), undef, 10, 0, 10, 0, 'released');
	return;
}

sub arrays
{
	my ($driver) = @_;
	my $account = "$driver->{slug} many";
	my $many = 'SELECT * FROM stripe_credit.spend_many($1, $2, $3)';
	my @keys = ('a,b', 'NULL', undef, q({"x\\y"} ' %s), "\x{fc}\x{1f642}", 'in the middle');
	my $rows;

	ask($driver, 'SELECT * FROM stripe_credit.grant_credits($1, $2, $3)', $account, { bigint => '9007199254741000' }, 'grant');
	$rows = ask($driver, $many, $account, { list => [ 1, { bigint => BIG }, 1, 1, 1, 1 ] }, { list => \@keys })->{rows};
	is(scalar @$rows, @keys, "$driver->{label}: bigint[] and text[]");
	answers($driver, $rows->[-1], 7, 2, 0, 2, 0, 'the last of many');
	$rows = ask($driver, 'SELECT idempotency_key FROM stripe_credit.statement($1, 6)', $account)->{rows};
	is_deeply([ map { $_->{idempotency_key}{value} } reverse @$rows ], \@keys, "$driver->{label}: all keys, whatever is in them, and one that is NULL");
	$rows = ask($driver, 'SELECT * FROM stripe_credit.spend_many($1, $2)', $account, { list => [ 1, 1 ] })->{rows};
	answers($driver, $rows->[1], 9, 0, 0, 0, 0, 'small ones, without keys');
	is_deeply(ask($driver, $many, $account, { list => [] }, { list => [] }), { rows => [] }, "$driver->{label}: of none");
	return;
}

sub times_and_intervals
{
	my ($driver) = @_;
	my $account = "$driver->{slug} timed";
	my $time = '2031-02-03T04:05:06.789Z';
	my $balance = 'SELECT next_expiry FROM stripe_credit.balance($1)';

	is_deeply(row($driver, $balance, $account)->{next_expiry}, { type => 'null', value => undef }, "$driver->{label}: what never expires");
	ask($driver, 'SELECT * FROM stripe_credit.grant_credits($1, $2, $3, $4, $5, $6)',
		$account, 1, 'grant', { time => $time }, 7, { json => {} });
	is_deeply(row($driver, $balance, $account)->{next_expiry}, { type => $driver->{timestamptz}, value => $time },
		"$driver->{label}: a time, there and back");
	is_deeply(row($driver, 'SELECT signature_tolerance AS i FROM stripe_credit.settings')->{i}, $driver->{interval}, "$driver->{label}: an interval");
	return;
}

#
# What not to do
#

# A mistake, and what each driver makes of it
sub mistake
{
	my ($driver, $what, $answer, %expected) = @_;

	is(outcome($answer), $expected{ $driver->{name} }, "$driver->{label}: $what") or diag(explain($answer));
	return;
}

sub mistakes_with_bodies
{
	my ($driver) = @_;
	my $number = 0;
	my $event = sub { return paid("$driver->{slug}_mistake_" . $number++, $_[0]) };
	my $body = $event->('"\u00fc"');

	# A string is bytea in its escape format to the server: it works until the first body with a
	# backslash in it.  Only postgres.js asks the server for the type before it sends.
	mistake($driver, 'a string for bytes', hand_over($driver, 'bytes', 'text', $event->()),
		'node-pg' => 'applied', 'postgres.js' => 'applied', psycopg2 => 'applied');
	mistake($driver, 'with \u in it', hand_over($driver, 'bytes', 'text', $body),
		'node-pg' => '22P02', 'postgres.js' => 'applied', psycopg2 => '22P02');
	mistake($driver, 'with \\\\ in it', hand_over($driver, 'bytes', 'text', $event->('"\\\\"')),
		'node-pg' => 'PT400', 'postgres.js' => 'applied', psycopg2 => 'PT400');
	mistake($driver, 'bytes for a string', hand_over($driver, 'text', 'bytes', $event->('"\u00fc"')),
		'node-pg' => 'applied', 'postgres.js' => '42883', psycopg2 => '42883');
	mistake($driver, 'bytes that are no UTF-8 for a string', hand_over($driver, 'text', 'bytes', $event->(qq("\xff"))),
		'node-pg' => '22021', 'postgres.js' => '42883', psycopg2 => '42883');

	$body = $event->('"\u00fc"');
	mistake($driver, 'a body that was parsed', ask($driver, $statement{text}, { plain => JSON::PP::decode_json($body) }, signature($body)),
		'node-pg' => 'PT400', 'postgres.js' => 'PT400', psycopg2 => 'ProgrammingError');
	mistake($driver, 'a header that did not come', ask($driver, $statement{bytes}, encoded('bytes', $body), { missing => 1 }),
		'node-pg' => 'PT400', 'postgres.js' => 'UNDEFINED_VALUE', psycopg2 => 'PT400');
	return;
}

sub mistakes_with_values
{
	my ($driver) = @_;
	my $account = "$driver->{slug} mistaken";
	my $spend = 'SELECT * FROM stripe_credit.spend($1, $2, $3, $4)';
	my $many = 'SELECT * FROM stripe_credit.spend_many($1, $2)';
	my $kept = sub {
		return sql(qq{SELECT jsonb_typeof(metadata) FROM stripe_credit.ledger WHERE account_id = '$account' AND idempotency_key = '$_[0]'});
	};

	ask($driver, 'SELECT * FROM stripe_credit.grant_credits($1, $2, $3)', $account, 100, 'grant');
	mistake($driver, 'metadata as a plain object', ask($driver, $spend, $account, 1, 'object', { plain => { a => 1 } }),
		'node-pg' => 'rows', 'postgres.js' => 'rows', psycopg2 => 'ProgrammingError');
	mistake($driver, 'as a plain array', ask($driver, $spend, $account, 1, 'array', { plain => [ { a => 1 } ] }),
		'node-pg' => '22P02', 'postgres.js' => 'rows', psycopg2 => 'ProgrammingError');
	ask($driver, $spend, $account, 1, 'string', '{"a": 1}');
	is($kept->('string'), $driver->{name} eq 'postgres.js' ? 'string' : 'object', "$driver->{label}: metadata as JSON in a string");
	ask($driver, $spend =~ s/\$4/\$4::text::jsonb/r, $account, 1, 'cast', '{"a": 1}');
	is($kept->('cast'), 'object', "$driver->{label}: which a cast makes clear");

	# These two put a type into what they send; the other leaves it to the server.
	mistake($driver, 'a list of strings for bigint[]', ask($driver, $many, $account, { list => [ '1', '1' ] }),
		'node-pg' => 'rows', 'postgres.js' => 'rows', psycopg2 => '42883');
	mistake($driver, 'one that begins with a BigInt', ask($driver, $many, $account, { list => [ { bigint => '1' }, { bigint => '1' } ] }),
		'node-pg' => 'rows', 'postgres.js' => '42883', psycopg2 => 'rows');
	mistake($driver, 'a fraction', ask($driver, $spend, $account, 1.5, 'fraction', undef),
		'node-pg' => '22P02', 'postgres.js' => '22P02', psycopg2 => '42883');
	return;
}

# Credits are a number in webhook()'s jsonb, which JSON.parse() reads as a double.
sub numbers_in_json
{
	my ($driver) = @_;
	my $body = session_event("evt_$driver->{slug}_big",
		object => { metadata => { stripe_credit_account => "$driver->{slug} big", stripe_credit_credits => BIG } });
	my $row = row($driver, q{SELECT a AS answer, a->>'credits' AS credits FROM stripe_credit.webhook_bytes($1, $2) AS a},
		encoded('bytes', $body), signature($body));

	is($row->{credits}{value}, BIG, "$driver->{label}: what a webhook credits is exact in SQL");
	is($row->{answer}{value}{credits}, $driver->{name} eq 'psycopg2' ? BIG : '9007199254740992',
		"$driver->{label}: and in jsonb as exact as its language is");
	return;
}

# What says that it is prepared is, and nothing else is: behind a pooler the server may not know it.
sub prepares_as_told
{
	my ($driver) = @_;
	my $mark = "/* $driver->{slug} */";

	ask($driver, "SELECT available FROM stripe_credit.balance(\$1) $mark", 'ada') for 1 .. 2;
	is(row($driver, 'SELECT count(*)::text AS n FROM pg_prepared_statements WHERE position($1 IN statement) > 0', $mark)->{n}{value},
		$driver->{as_prepared} ? 1 : 0, "$driver->{label}: statements that the server keeps");
	return;
}

# psycopg2 opens a transaction by itself, and nobody else commits it.
sub nothing_without_commit
{
	my ($driver) = @_;
	my $body = paid("$driver->{slug}_uncommitted");
	my @arguments = (encoded('bytes', $body), signature($body));

	is(outcome($driver->{program}->ask(sql => $statement{bytes}, arguments => \@arguments, commit => JSON::PP::false)), 'applied',
		"$driver->{label}: a webhook that is not committed looks well");
	is(outcome(ask($driver, $statement{bytes}, @arguments)), 'applied', "$driver->{label}: but nothing had come of it");
	return;
}

my @running;

for my $driver (@drivers)
{
	SKIP:
	{
		skip "$driver->{name} is not installed", 1 unless $driver->{installed};
		my $program = start(@{ $driver->{command} });

		for my $prepared (@{ $driver->{prepared} })
		{
			my $label = @{ $driver->{prepared} } == 1 ? $driver->{name} : "$driver->{name}, " . ($prepared ? 'prepared' : 'unprepared');
			my $as = { %$driver, program => $program, label => $label, slug => ($label =~ s/\W+/_/gr),
				as_prepared => $prepared ? JSON::PP::true : JSON::PP::false };

			bodies_arrive($as);
			bodies_are_refused($as);
			errors_arrive($as);
			credits_are_exact($as);
			holds($as);
			arrays($as);
			times_and_intervals($as);
			mistakes_with_bodies($as);
			mistakes_with_values($as);
			numbers_in_json($as);
			prepares_as_told($as);
			nothing_without_commit($as) if $driver->{name} eq 'psycopg2';
			push @running, $as;
		}
	}
}
without_a_secret(@running);
ok(books_are_right($node), 'the books are right');
$_->{program}->stop for @running;
$node->stop;
done_testing();
