# What callers pass stays out of the log, of errors and of what other sessions
# see, whatever goes wrong; and what strangers send costs neither memory nor
# disk.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

# Statements are not logged by the administrator's wish, but all that fail are
# by default.
my $node = new_node('secrets', conf => <<'CONF');
log_statement = none
log_min_duration_statement = -1
log_min_error_statement = error
log_error_verbosity = verbose
log_lock_waits = on
deadlock_timeout = 100ms
CONF

# Every secret and every payload below holds this.
use constant CANARY => 'CANARY';

my $good = 'whsec_CANARY_good';
my $other = 'whsec_CANARY_other';
my $log_start = -s $node->logfile;
my $said = '';
my $failures = 0;

# Runs a script; what psql says is kept.
sub run_script
{
	my ($script, %options) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('postgres',
		"\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\n$script",
		on_error_stop => 0, %options);

	$said .= $stderr;
	return ($stdout, $stderr);
}

# A query that must fail with that SQLSTATE
sub fails
{
	my ($sqlstate, $query, $what) = @_;
	my (undef, $stderr) = run_script($query);

	$failures++;
	like($stderr, qr/ERROR:  $sqlstate:/, $what);
	unlike($stderr, qr/@{[CANARY]}/, "$what: says nothing of what was passed");
	return;
}

# The same over the extended protocol, where psql before 16 can't but pgbench
# can: parameters are $1 and so on there.
sub extended
{
	my ($expected, $query, $what, %variables) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir . '/script.sql';
	my ($stdout, $stderr);

	append_to_file($script, "$query;\n");
	IPC::Run::run(
		[
			$node->installed_command('pgbench'), '-n', '-M', 'extended', '-t', '1',
			(map { ('-D', "$_=$variables{$_}") } sort keys %variables),
			'-f', $script, '-h', $node->host, '-p', $node->port, 'postgres'
		],
		'<', '/dev/null', '>', \$stdout, '2>', \$stderr);
	$said .= $stderr;
	like("$stdout$stderr", $expected, "extended protocol: $what");
	unlike($stderr, qr/@{[CANARY]}/, "extended protocol: $what: says nothing of what was passed");
	return;
}

sub body
{
	my ($event_id, %options) = @_;

	return session_event($event_id, account => 'alice', %options,
		object => { customer_email => 'CANARY@example.com', %{ $options{object} || {} } });
}

sub signed { return call(shift, secret => $good, @_) }

my $accept = 'SELECT stripe_credit.add_webhook_secret';

$node->safe_psql('postgres', "DELETE FROM stripe_credit.webhook_secret");

#
# A tour
#

fails('55000', signed(body('evt_early')), 'no secret yet');
fails('22023', "$accept('')", 'an empty secret');
fails('22023', "$accept('whsec_CANARY with a space')", 'a secret with a space');
fails('22023', "$accept('whsec_CANARY' || chr(10))", 'a secret with a line end');
fails('22023', "$accept('" . 'whsec_CANARY' x 1000 . "')", 'a secret that is too long');
fails('22023', "$accept('file:CANARY/relative')", 'a relative file name');
fails('22023', "$accept('whsec_CANARY', NULL)", 'a secret that is valid until NULL');
fails('25006', "BEGIN READ ONLY; $accept('whsec_CANARY'); ROLLBACK", 'a secret in a read-only transaction');

run_script("$accept(" . literal($_) . ')')
  for ($good, $other, 'file:/nowhere/CANARY', 'env:CANARY_VARIABLE', 'vault:CANARY');
run_script(signed(body('evt_1')));
run_script(signed(body('evt_1')));
run_script(signed(body('evt_2', payment_status => 'unpaid')));
run_script(signed(body('evt_3', pack => 'CANARY_pack')));
is( $node->safe_psql('postgres', q{SELECT string_agg(status, ' ' ORDER BY event_id) FROM stripe_credit.event}),
	'applied pending unmatched',
	'what is right is accepted');

my $webhook = 'SELECT stripe_credit.webhook';

fails('PT400', call(body('evt_4'), secret => 'whsec_CANARY_wrong'), 'another secret');
fails('PT400', signed(body('evt_4'), time => time - 1000), 'an old signature');
fails('PT400', signed(body('evt_4'), time => time + 1000), 'a signature of the future');
fails('PT400', "$webhook(" . literal(body('evt_4')) . ', NULL)', 'no signature');
fails('PT400', "$webhook(NULL, 't=1,v1=CANARY')", 'no payload');
fails('PT400', "$webhook(" . literal(body('evt_4')) . ", 't=CANARY,v1=CANARY')", 'a malformed signature');

fails('PT400', signed($_->[0]), $_->[1])
  for (
	[ 'CANARY', 'no JSON' ],
	[ '{"CANARY": ', 'half a JSON' ],
	[ '["CANARY"]', 'no object' ],
	[ '{"id": "evt_CANARY", "object": "CANARY"}', 'no event' ],
	[ '{"id": "evt_CANARY", "object": "v2.core.event"}', 'a thin event' ],
	[ '{"id": "CANARY", "object": "event"}', 'no id of an event' ],
	[ '{"id": "evt_1", "id": "evt_CANARY", "object": "event"}', 'a field twice' ],
	[ '{"id": "evt_1", "type": "CANARY\u0000", "object": "event"}', 'a zero octet' ],
	[ '{"CANARY": ' . '[' x 70 . ']' x 70 . '}', 'nested too deep' ]);

$node->safe_psql('postgres', 'UPDATE stripe_credit.settings SET max_payload = 100');
fails('PT413', signed(body('evt_4')), 'a payload that is too large');
$node->safe_psql('postgres', 'UPDATE stripe_credit.settings SET max_payload = DEFAULT');

my $verify = 'SELECT stripe_credit.verify_signature';
my $event = literal(body('evt_4')) . '::bytea';

fails('22023', "$verify($event, 't=1,v1=CANARY', NULL)", 'verify_signature() without a secret');
fails('22023', "$verify($event, 't=1,v1=CANARY', ' ')", 'verify_signature() with a blank secret');
fails('22023', "$verify($event, 't=1,v1=CANARY', 'whsec_CANARY', '-1 s')",
	'verify_signature() with a negative tolerance');
fails('22023', "$verify($event, 't=1,v1=CANARY', 'whsec_CANARY', '1 s', 'infinity')",
	'verify_signature() at no time');
run_script("$verify($event, 't=1,v1=CANARY', 'whsec_CANARY')");

# What others make fail inside of a call
fails('25006', 'BEGIN READ ONLY; ' . signed(body('evt_4')) . '; ROLLBACK', 'a read-only transaction');
$node->safe_psql('postgres', q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
		AS $$BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = 'raise_exception'; END$$;
	CREATE TRIGGER refuse BEFORE INSERT ON stripe_credit.event
		FOR EACH ROW EXECUTE FUNCTION refuse();
	CREATE TRIGGER refuse BEFORE INSERT ON stripe_credit.webhook_secret
		FOR EACH ROW EXECUTE FUNCTION refuse();
});
fails('P0001', signed(body('evt_4')), 'a trigger that refuses an event');
fails('P0001', "$accept('whsec_CANARY')", 'a trigger that refuses a secret');
$node->safe_psql('postgres', q{
	DROP TRIGGER refuse ON stripe_credit.event;
	DROP TRIGGER refuse ON stripe_credit.webhook_secret;
	CREATE SCHEMA vault;
	CREATE VIEW vault.decrypted_secrets AS
		SELECT 'CANARY'::text AS name, ('whsec_CANARY_' || random())::int::text AS decrypted_secret;
});
like((run_script(signed(body('evt_vault'))))[0], qr/"status": "applied"/,
	'a vault that fails with the secret in its message: the other secrets count');
$node->safe_psql('postgres', q{
	CREATE OR REPLACE VIEW vault.decrypted_secrets AS
		SELECT 'CANARY'::text AS name, 'whsec_CANARY with a space'::text AS decrypted_secret;
});

my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT 1 FROM stripe_credit.event WHERE event_id = 'evt_3' FOR UPDATE});
fails('55P03', "SET lock_timeout = '300ms'; " . signed(body('evt_3', pack => 'CANARY_pack')),
	'a lock that is not to be had');
fails('57014', "SET statement_timeout = '300ms'; " . signed(body('evt_3', pack => 'CANARY_pack')),
	'a call that takes too long');
$holder->query_safe('ROLLBACK');
$holder->quit;

run_script("SELECT stripe_credit.remove_webhook_secret(id) FROM stripe_credit.webhook_secret WHERE secret LIKE 'vault%'");
$node->safe_psql('postgres', 'DROP SCHEMA vault CASCADE');
fails('PT404', 'SELECT stripe_credit.remove_webhook_secret(99)', 'a secret that is not there');

extended(qr/processed: 1\/1/, "$accept(:secret)", 'a secret', secret => 'whsec_CANARY_extended');
extended(qr/secret is not valid/, "$accept(:secret)", 'a bad secret', secret => 'whsec_CANARY bad');
my $fifth = body('evt_5');
extended(qr/processed: 1\/1/, "$webhook(:body, :signature)", 'an event',
	body => $fifth, signature => signature($fifth, secret => $good));
extended(qr/signature verification failed/, "$webhook(:body, :signature)", 'a bad signature',
	body => $fifth, signature => signature($fifth, secret => 'whsec_CANARY_wrong'));
extended(qr/not a Stripe event/, "$webhook(:body, :signature)", 'no event',
	body => '{"CANARY": 1}', signature => signature('{"CANARY": 1}', secret => $good));

#
# Where the canary may have gone
#

my $log = slurp_file($node->logfile, $log_start);
my $logged = () = $log =~ /ERROR:  /g;
cmp_ok($logged, '>=', $failures, 'all failures are in the log');
unlike($log, qr/@{[CANARY]}/, 'nothing of what was passed is');
like($log, qr/could not resolve webhook secret \d+/, 'the log says which secret cannot be resolved');
unlike($said, qr/@{[CANARY]}/, 'nor does any client hear of it');

# A literal inside of a block is in the context of its errors, too.
$log_start = -s $node->logfile;
run_script(sprintf('DO $$BEGIN PERFORM %s; END$$', $_ =~ s/^SELECT //r))
  for ("$accept('whsec_CANARY with a space')", call(body('evt_4'), secret => 'whsec_CANARY_wrong'));
$log = slurp_file($node->logfile, $log_start);
like($log, qr/secret is not valid.*signature verification failed/s, 'inside of a block: both failures are in the log');
unlike($log, qr/@{[CANARY]}/, 'inside of a block: nothing of what was passed is');

# A session that has made its call, and has said nothing since
my $idle = $node->background_psql('postgres');
my $pid = $idle->query_safe('SELECT pg_backend_pid()');

sub last_query
{
	return $node->safe_psql('postgres', "SELECT query FROM pg_stat_activity WHERE pid = $pid");
}

$idle->query_safe("$accept('whsec_CANARY_idle')");
unlike(last_query(), qr/@{[CANARY]}/, 'pg_stat_activity does not show a secret that was added');
$idle->query_safe("$verify('x', 't=1,v1=x', 'whsec_CANARY_idle')");
unlike(last_query(), qr/@{[CANARY]}/, 'nor one that was used');
$idle->quit;

my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
unlike($dump, qr/whsec_@{[CANARY]}/, 'a dump holds no secret');

# By the catalogue: who could read one
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM pg_class c, pg_roles r
		WHERE c.relname = 'webhook_secret' AND NOT r.rolsuper AND r.rolname NOT LIKE 'pg\_%'
		  AND has_table_privilege(r.oid, c.oid, 'SELECT')}),
	0, 'no role but a superuser reads secrets');

#
# What strangers send
#

my $tables = q{
	SELECT string_agg(format('%s %s', c.relname, pg_total_relation_size(c.oid)), ', ' ORDER BY c.relname)
	FROM pg_class c WHERE relnamespace = 'stripe_credit'::regnamespace AND relkind = 'r'};
my $visitor = $node->background_psql('postgres');

# Calls that statement so often, each in a transaction of its own
sub often
{
	my ($times, $statement) = @_;

	$visitor->query_safe(<<"SQL");
DO \$do\$
BEGIN
	FOR i IN 1 .. $times LOOP
		$statement
		COMMIT;
	END LOOP;
END
\$do\$
SQL
	return;
}

my $sixth = body('evt_6');
my $genuine = call($sixth, secret => $good);
my $forged = call($sixth, secret => 'whsec_forged');
s/^SELECT/PERFORM/ for $genuine, $forged;

# A signature grows old, but not in the time that this takes; and what can't be
# resolved would be told to the log each time that secrets change.
$node->safe_psql('postgres', q{
	UPDATE stripe_credit.settings SET signature_tolerance = '1 hour';
	DELETE FROM stripe_credit.webhook_secret WHERE secret ~ '^(file|env|vault):';
});

my $refused = <<"PLPGSQL";
		BEGIN
			$forged;
			RAISE 'accepted';
		EXCEPTION WHEN SQLSTATE 'PT400' THEN NULL;
		END;
PLPGSQL

my $sizes = $node->safe_psql('postgres', $tables);
my $xid = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
often(10_000, $refused);
is($node->safe_psql('postgres', $tables), $sizes, '10,000 forged deliveries: no table has grown');
cmp_ok($node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())') - $xid,
	'<', 100, '10,000 forged deliveries: no transaction ids were used');

SKIP:
{
	skip 'memory is measured on Linux only', 5 unless -e '/proc/self/status';

	my $memory = sub {
		my ($what) = @_;
		my $status = $visitor->query_safe(q{SELECT pg_read_file('/proc/self/status')});
		return $status =~ /^$what:\s+(\d+) kB/m ? $1 : die "no $what";
	};
	my $round = sub {
		my ($times) = @_;
		often($times, "$genuine;");
		often($times, $refused);
		often($times / 2,
			q{UPDATE stripe_credit.settings SET max_payload = 1000000 + (random() * 1000)::int WHERE only_row;
			UPDATE stripe_credit.webhook_secret SET created_at = now() WHERE id > 0;} . "$genuine;");
	};

	$round->(1000);
	my $before = $memory->('RssAnon');
	$round->(10_000);
	my $after = $memory->('RssAnon');
	note("$before kB before, $after kB after");
	cmp_ok($after - $before, '<', 2048, '20,000 deliveries and 10,000 changes of settings: no memory is lost');

	# A compressed value must not be unpacked, nor another copied.
	$visitor->query_safe(q{
		CREATE TABLE posts (body text);
		INSERT INTO posts SELECT repeat('CANARY', 40 * 1024 * 1024);
	});
	$visitor->quit;
	$visitor = $node->background_psql('postgres', on_error_stop => 0);
	$visitor->query_safe(q{SELECT stripe_credit.verify_signature('x', 't=1,v1=x', 'x')});
	$before = $memory->('VmHWM');
	is(status_of_query($visitor, q{SELECT stripe_credit.webhook(body, 't=1,v1=x') FROM posts}),
		'webhook payload is too large', '240 MB that were stored: refused');
	cmp_ok($memory->('VmHWM') - $before, '<', 32 * 1024, '240 MB that were stored: not unpacked');

	skip 'too little memory for 1 GB', 2
	  unless slurp_file('/proc/meminfo') =~ /^MemAvailable:\s+(\d+) kB/m && $1 > 4 * 1024 * 1024;
	$before = $memory->('VmHWM');
	is( status_of_query($visitor,
			q{SELECT stripe_credit.webhook(repeat('C', n), 't=1,v1=x')
			  FROM generate_series(1073741700, 1073741700) AS n}),
		'webhook payload is too large', 'almost 1 GB: refused');
	cmp_ok($memory->('VmHWM') - $before, '<', 1100 * 1024, 'almost 1 GB: not copied');
}
$visitor->quit;

# The message of the error that a query in an open session ends with
sub status_of_query
{
	my ($session, $query) = @_;

	$session->query($query);
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return $error =~ /ERROR:\s+(.*)/ ? $1 : $error;
}

ok(books_are_right($node), 'the books are right');
$node->stop;
done_testing();
