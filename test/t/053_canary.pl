# Secrets are found nowhere but where they must be: canaries go through every
# function, in every way that a secret can be passed and fail, on a server that
# logs all it can; then all that anybody could look at is searched for them.
#
# Where a canary may be:
#   - its own file, or the server's environment, which each backend has a copy of;
#   - of a literal, not a reference: the row of api_key or webhook_secret, and so the
#     table's file, shared buffers and the WAL;
#   - of a webhook secret: the memory of a backend that has verified a webhook since,
#     which keeps the keyed context (and the literal), until the secret is removed;
#   - of a literal that a client has sent: the memory of the very backend that it
#     was sent to, and if it was part of the statement (not a bound parameter), what
#     the administrator has told the server to log of statements; likewise of the
#     values of parameters (log_parameter_max_length, auto_explain.log_verbose);
#   - of the environment: the log of the postmaster's start, at log_min_messages =
#     debug3 and below.

use strict;
use warnings;
no warnings 'portable';    # addresses

use FindBin;
use lib $FindBin::RealBin;

use File::Find;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(runs);
use Test::More;

BEGIN
{
	plan skip_all => 'DBD::Pg is not installed' unless eval { require DBD::Pg };
	plan skip_all => 'node is not installed' unless runs('node', '--version');
}
use DBD::Pg ':async';
use DBI;

#
# Canaries, and what they are found by
#

my %prefixes = (
	api => 'sk_test_', live => 'sk_live_',
	hook => 'whsec_', used => 'whsec_',
	bad => 'pk_test_', bad_space => 'sk_test_ ', bad_long => 'sk_test_');
my @ways = qw(file env bound literal);
my %canaries;    # name => value
my %needles;     # name => what gives it away

sub random_letters { return join '', map { ('a' .. 'z', 'A' .. 'Z')[ rand 52 ] } 1 .. $_[0] }

# A part of it is enough, also in hex and in base64 at whatever offset.
sub make_canary
{
	my ($name, $prefix) = @_;
	my @parts = map { random_letters(12) } 1 .. 2;

	$canaries{$name} = $prefix . join('', @parts) . ($name =~ /long/ ? 'x' x 1000 : '');
	$needles{$name} = [
		map {
			my $part = $_;
			($part, unpack('H*', $part), map { substr encode_base64(('x' x $_) . $part, ''), 4, 11 } 0 .. 2)
		} @parts ];
	return;
}

for my $way (@ways)
{
	make_canary("$_ $way", $prefixes{$_}) for keys %prefixes;
}

# The names of the canaries in a text, as one string
sub canaries_in
{
	my ($text) = @_;

	return join ', ', grep {
		my $name = $_;
		grep { index($text, $_) >= 0 } @{ $needles{$name} }
	} sort keys %needles;
}

# Those of them that aren't allowed
sub others_in
{
	my ($text, $allowed) = @_;

	return join ', ', grep { !/$allowed/ } split /, /, canaries_in($text);
}

my $secrets_dir = PostgreSQL::Test::Utils::tempdir();

for my $kind (keys %prefixes)
{
	append_to_file("$secrets_dir/$kind", $canaries{"$kind file"});
	$ENV{"SC_CANARY_\U$kind"} = $canaries{"$kind env"};
}

# What is passed to a function for that canary in that way
sub passed
{
	my ($kind, $way) = @_;

	return "file:$secrets_dir/$kind" if $way eq 'file';
	return "env:SC_CANARY_\U$kind" if $way eq 'env';
	return $canaries{"$kind $way"};
}

#
# A server that logs all it can
#

my ($lib) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
my @libraries = grep { -e "$lib/$_.so" } qw(pg_stat_statements auto_explain);
my %has = map { $_ => 1 } @libraries;
my $double = StripeCredit::Double->new;
my $node = new_node('canary', conf => <<"CONF" . ($has{auto_explain} ? <<'CONF' : '') . ($has{pg_stat_statements} ? <<'CONF' : ''));
shared_buffers = 8MB
max_connections = 20
shared_preload_libraries = '@{[ join ', ', @libraries ]}'
log_min_messages = debug5
log_error_verbosity = verbose
log_parameter_max_length_on_error = -1
log_lock_waits = on
log_temp_files = 0
deadlock_timeout = 100ms
track_functions = all
track_activity_query_size = 16kB
track_io_timing = on
stripe_credit.api_base = '$double->{api}'
stripe_credit.ca_file = '$double->{ca}'
stripe_credit.max_retries = 0
CONF
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_buffers = on
auto_explain.log_triggers = on
auto_explain.log_settings = on
CONF
pg_stat_statements.track = all
pg_stat_statements.track_utility = on
pg_stat_statements.track_planning = on
CONF
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $said = '';    # to any client

note("not installed: $_") for grep { !$has{$_} } qw(pg_stat_statements auto_explain);
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements') if $has{pg_stat_statements};
$node->safe_psql('postgres', q{
	CREATE ROLE plain LOGIN;
	CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	CREATE ROLE administrator LOGIN;
	SELECT stripe_credit.administer('administrator');
	UPDATE stripe_credit.settings SET success_url = 'https://example.com/';
	INSERT INTO stripe_credit.pack (pack_id, credits, unit_amount, currency, recurring_interval) VALUES ('monthly', 500, 900, 'usd', 'month');
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not today'; END$$;
});

# What the log tells of statements, in the sessions to come: all, all but the values
# of parameters, or nothing.
my %logging = (
	all => { statement => 'all', duration => 0, length => -1 },
	'all but values' => { statement => 'all', duration => 0, length => 0 },
	nothing => { statement => 'none', duration => -1, length => -1 });

sub set_logging
{
	my ($what) = @_;
	my $to = $logging{$what};
	my %settings = (
		log_statement => $to->{statement},
		log_min_duration_statement => $to->{duration},
		log_parameter_max_length => $to->{length});

	if ($has{auto_explain})
	{
		$settings{'auto_explain.log_min_duration'} = $to->{duration};
		$settings{'auto_explain.log_verbose'} = $to->{length} ? 'on' : 'off';    # it shows values that the planner has put in
	}
	$settings{'auto_explain.log_parameter_max_length'} = $to->{length} if $has{auto_explain} && $version >= 160000;
	$node->safe_psql('postgres', join ";\n", map { "ALTER SYSTEM SET $_ = '$settings{$_}'" } sort keys %settings);
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('log_statement') = '$to->{statement}'
		AND current_setting('log_parameter_max_length')::int = $to->{length}")
	  or die 'the settings did not change';
	return;
}

#
# Sessions
#

sub session
{
	my ($user) = @_;
	my $dbh = DBI->connect(
		'dbi:Pg:' . $node->connstr('postgres') =~ s/'//gr =~ s/ /;/gr,
		$user, '',
		{
			RaiseError => 0, PrintError => 0, AutoCommit => 1,
			pg_server_prepare => 1, pg_switch_prepared => 1, pg_enable_utf8 => 0
		}) or die "no session: $DBI::errstr";

	$dbh->{private_pid} = $dbh->selectrow_array('SELECT pg_backend_pid()');
	return $dbh;
}

# A statement with its values, bound, or as literals where the way is that; the first
# column of the first row, or the SQLSTATE
sub ask
{
	my ($dbh, $way, $sql, @values) = @_;
	my $sth;
	my $row;
	local $SIG{__WARN__} = sub { $said .= $_[0] };

	if ($way eq 'literal')
	{
		$sql =~ s/\$(\d+)/$dbh->quote($values[$1 - 1])/ge;
		@values = ();
		$sth = $dbh->prepare($sql, { pg_server_prepare => 0, pg_direct => 1 });
	}
	else
	{
		$sth = $dbh->prepare($sql);
	}
	if ($sth && $sth->execute(@values))
	{
		$row = $sth->{NUM_OF_FIELDS} ? $sth->fetchrow_arrayref : [];
		$said .= join ' ', map { $_ // '' } @{ $row || [] };
		return $row ? $row->[0] : undef;
	}
	$said .= errors_of($dbh);
	return $dbh->state;
}

# By log_parameter_max_length_on_error the server tells a client what it sent.
sub errors_of { my ($dbh) = @_; return ($dbh->errstr // '') =~ s/ with parameters: .*//gr }

sub ask_plainly { my ($dbh, @statements) = @_; ask($dbh, 'bound', $_) for @statements; return }

# A session whose own statements the log doesn't tell, which look at all of it
sub watcher
{
	my ($user) = @_;
	my $dbh = session($user);

	return $dbh if $user;
	ask_plainly($dbh, "SET log_min_messages = warning", 'SET log_statement = none', 'SET log_min_duration_statement = -1',
		$has{auto_explain} ? 'SET auto_explain.log_min_duration = -1' : ());
	return $dbh;
}

# What is of interest of what a role may read: statistics, settings and the like, and
# all that isn't PostgreSQL's own
my $interesting = q{c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
	OR c.relname ~ '^pg_(stat|locks|prep|curs|settings|file_set|db_role|user_map|foreign|subscription)'};

# All that a role may read, but for the secrets themselves if it is a superuser: relation => text
sub readable
{
	my ($dbh, $which) = @_;
	my %text;

	for my $relation (@{ $dbh->selectcol_arrayref(q{
		SELECT c.oid::regclass::text || '|' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE (} . ($which || $interesting) . q{) AND c.relkind IN ('r', 'v', 'm', 'f', 'S') AND a.attnum > 0 AND NOT a.attisdropped
		  AND c.relnamespace <> 'pg_toast'::regnamespace
		  AND CASE WHEN has_schema_privilege(c.relnamespace, 'USAGE') THEN has_column_privilege(c.oid, a.attnum, 'SELECT') END
		  AND (current_setting('is_superuser') = 'off' OR (c.oid::regclass::text, a.attname) NOT IN (VALUES ('stripe_credit.api_key', 'secret'), ('stripe_credit.webhook_secret', 'secret')))
		GROUP BY c.oid}) })
	{
		my ($name, $columns) = split /\|/, $relation;
		my $rows = $dbh->selectcol_arrayref("SELECT ROW($columns)::text FROM $name");

		$text{$name} = join "\n", @{ $rows || [] };
	}
	return \%text;
}

# Where of these there are canaries, as one string
sub places
{
	my ($texts, $allowed) = @_;

	return join '; ', map { my $found = others_in($texts->{$_}, $allowed || qr/^$/); $found ? "$_: $found" : () } sort keys %$texts;
}

#
# Memory of a backend that is its own and not the program's, as a core would hold it
#

sub memory_of
{
	my ($pid) = @_;
	my $all = '';

	open my $maps, '<', "/proc/$pid/maps" or return;
	open my $mem, '<:raw', "/proc/$pid/mem" or return;
	while (<$maps>)
	{
		my ($from, $to) = /^(\w+)-(\w+) rw.p/ or next;
		my $length = hex($to) - hex($from);
		my $part = '';

		sysseek $mem, hex($from), 0;
		sysread $mem, $part, $length;
		$all .= $part;
	}
	return $all;
}

my $can_read_memory = do
{
	my $dbh = session();
	defined memory_of($dbh->{private_pid}) && length memory_of($dbh->{private_pid}) > 100_000;
};

#
# The tour
#

my $unique = 0;

sub new_body
{
	my ($account, %options) = @_;

	return session_event('evt_canary' . ++$unique, account => $account, %options);
}

sub deliver_by
{
	my ($dbh, $way, $function, $body, $secret) = @_;
	my $answer = ask($dbh, $way, "SELECT stripe_credit.$function(\$1, \$2)", $body, signature($body, secret => $secret));

	return $answer =~ /"status": "(\w+)"/ ? $1 : $answer;
}

# Whatever goes wrong between us and Stripe, while that session holds the key.
sub suffer
{
	my ($dbh, $way) = @_;
	my $get = q{SELECT stripe_credit.stripe_request('GET', '/v1/events')};
	my %seen;

	for my $fault (qw(status-401 echo-key status-402 status-404 status-429 status-500 redirect redirect-plain html garbage empty
		array null cut-json truncated slow-2 reset-before-answer close-before-answer reset-in-body not-http long-header nul wrong-type))
	{
		ask_plainly($dbh, "SET stripe_credit.api_base = '$double->{api}/_fault/$fault'",
			"SET stripe_credit.timeout = '1200 ms'", $fault eq 'slow-2' ? "SET stripe_credit.timeout = '300 ms'" : ());
		$seen{ask($dbh, $way, $_) // 'NULL'}++ for $get,
		  q{SELECT session_id FROM stripe_credit.create_checkout('ada', 'starter')};
	}
	ask_plainly($dbh, 'SET stripe_credit.timeout = 300');
	for my $where (qw(unknown_ca wrong_host expired silent reset closed plain h2))
	{
		ask_plainly($dbh, "SET stripe_credit.api_base = '$double->{$where}'");
		$seen{substr ask($dbh, $way, $get) // 'NULL', 0, 5}++;
	}
	ask_plainly($dbh, "SET stripe_credit.api_base = '$double->{silent}'", 'SET stripe_credit.timeout = 5000', 'SET statement_timeout = 300');
	$seen{ask($dbh, $way, $get)}++;
	ask_plainly($dbh, "SET stripe_credit.ca_file = '/nonexistent'", "SET stripe_credit.api_base = '$double->{api}'");
	$seen{ask($dbh, $way, $get)}++;
	ask_plainly($dbh, 'RESET ALL');
	ok(!(grep { !$seen{$_} } qw(PT502 08006 57014)), "$way: Stripe refuses, is not reached, is cancelled") or diag(join ' ', %seen);
	return;
}

# All that is bought, and what becomes of it
sub buy
{
	my ($dbh, $way) = @_;
	my $session = ask($dbh, $way, q{SELECT session_id FROM stripe_credit.create_checkout($1, 'starter', idempotency_key => $2)}, "buyer $way", "order $way");
	my $url = $dbh->selectrow_array('SELECT url FROM stripe_credit.checkout WHERE session_id = ?', undef, $session);
	my $open = ask($dbh, $way, q{SELECT session_id FROM stripe_credit.create_checkout($1, 'starter')}, "buyer $way");
	my $monthly = ask($dbh, $way, q{SELECT session_id FROM stripe_credit.create_checkout($1, 'monthly')}, "member $way");

	like(ask($dbh, $way, 'SELECT stripe_credit.confirm_checkout($1)', $session), qr/pending/, "$way: a session");
	$double->pay($url);
	like(ask($dbh, $way, 'SELECT stripe_credit.confirm_checkout($1)', $session), qr/applied/, "$way: is confirmed");
	my $payment = $dbh->selectrow_array('SELECT payment_id FROM stripe_credit.payment WHERE session_id = ?', undef, $session);
	like(ask($dbh, $way, 'SELECT stripe_credit.refund_payment($1, 100)', $payment), qr/applied/, "$way: and refunded");
	is(ask($dbh, $way, 'SELECT stripe_credit.refund_payment($1, 99999)', $payment), 'PT502', "$way: not for more than it was");
	like(ask($dbh, $way, 'SELECT stripe_credit.expire_checkout($1)', $open), qr/applied/, "$way: a session is closed");
	$double->pay($dbh->selectrow_array('SELECT url FROM stripe_credit.checkout WHERE session_id = ?', undef, $monthly));
	like(ask($dbh, $way, 'SELECT stripe_credit.confirm_checkout($1)', $monthly), qr/applied/, "$way: a subscription");
	like(ask($dbh, $way, q{SELECT stripe_credit.customer_portal($1, 'https://example.com/')}, "member $way"), qr/^https/, "$way: and its portal");
	my $invoice = ask($dbh, $way, q{SELECT stripe_credit.stripe_request('GET', '/v1/events', '{"type": "invoice.paid"}') #>> '{data,0,id}'});
	ask($dbh, $way, 'SELECT stripe_credit.replay($1)', $invoice);
	ask($dbh, $way, q{SELECT stripe_credit.invoice_lines('in_none')});
	ask($dbh, $way, q{SELECT stripe_credit.fetch_events(now() - '1 day'::interval, now())});
	like(ask($dbh, $way, 'SELECT complete FROM stripe_credit.backfill()'), qr/^[t1]/, "$way: backfill");
	return;
}

# The rest of the functions
sub spend
{
	my ($dbh, $way) = @_;

	ask($dbh, $way, "SELECT stripe_credit.$_->[0]", $_->[1] ? "spender $way" : ()) for
	  [ q{grant_credits($1, 100, 'g')}, 1 ], [ q{spend($1, 10, 's')}, 1 ], [ q{spend($1, 1000)}, 1 ], [ q{spend_many($1, '{1,2}')}, 1 ],
	  [ q{reverse_spend($1, 's')}, 1 ], [ q{hold($1, 5, 'h')}, 1 ], [ q{capture($1, 'h', 3)}, 1 ], [ q{hold($1, 5, 'i')}, 1 ],
	  [ q{release($1, 'i')}, 1 ], [ q{adjust_credits($1, -1, 'a', 'r')}, 1 ], [ q{balance($1)}, 1 ], [ q{statement($1)}, 1 ],
	  [ 'maintain()' ], [ 'check_books()' ], [ 'void_test_credits()' ];
	for my $null (@{ $dbh->selectcol_arrayref(q{
		SELECT format('SELECT stripe_credit.%I(%s)', proname, (SELECT string_agg('NULL::' || t::regtype, ', ') FROM unnest(proargtypes) t))
		FROM pg_proc WHERE pronamespace = 'stripe_credit'::regnamespace AND prorettype <> 'trigger'::regtype ORDER BY 1}) })
	{
		ask($dbh, $way, $null);
	}
	return;
}

# A secret that is refused, for whatever reason
sub fail_with
{
	my ($dbh, $way, $function, @kinds) = @_;
	my $table = $function eq 'set_api_key' ? 'api_key' : 'webhook_secret';
	my $call = "SELECT stripe_credit.$function(\$1)";
	my ($good) = @kinds;
	my @failures;

	push @failures, map { ask($dbh, $way, $call, passed($_, $way)) // 'NULL' } grep { /bad/ } @kinds;
	ask_plainly($dbh, 'BEGIN READ ONLY');
	push @failures, ask($dbh, $way, $call, passed($good, $way));
	ask_plainly($dbh, 'ROLLBACK', "CREATE TRIGGER refuse BEFORE INSERT ON stripe_credit.$table FOR EACH ROW EXECUTE FUNCTION refuse()");
	push @failures, ask($dbh, $way, $call, passed($good, $way));
	ask_plainly($dbh, "DROP TRIGGER refuse ON stripe_credit.$table",
		"ALTER TABLE stripe_credit.$table ADD CONSTRAINT references_only CHECK (secret LIKE 'vault:%') NOT VALID");
	push @failures, ask($dbh, $way, $call, passed($good, $way));
	ask_plainly($dbh, "ALTER TABLE stripe_credit.$table DROP CONSTRAINT references_only");
	ok(!(grep { !defined || !/^[0-9A-Z]{5}$/ } @failures), "$way: $function() refuses") or diag(join ' ', map { $_ // 'NULL' } @failures);
	return;
}

# A secret that has to wait, and what all others see of that
sub wait_with
{
	my ($dbh, $way, $function, $kind) = @_;
	my $table = $function eq 'set_api_key' ? 'api_key' : 'webhook_secret';
	my $watcher = watcher();
	my ($sql, @values) = ("SELECT stripe_credit.$function(\$1)", passed($kind, $way));

	ask_plainly($watcher, 'BEGIN', "LOCK TABLE stripe_credit.$table");
	watch_hanging($dbh, $watcher, $way, "$function() waits", $sql, @values);
	ask_plainly($watcher, 'ROLLBACK');
	$watcher->disconnect;
	return;
}

sub watch_hanging
{
	my ($dbh, $watcher, $way, $what, $sql, @values) = @_;
	my $sth;

	if ($way eq 'literal')
	{
		$sql =~ s/\$(\d+)/$dbh->quote($values[$1 - 1])/ge;
		$sth = $dbh->prepare($sql, { pg_async => PG_ASYNC, pg_server_prepare => 0 });
		$sth->execute;
	}
	else
	{
		$sth = $dbh->prepare($sql, { pg_async => PG_ASYNC });
		$sth->execute(@values);
	}
	my $tries = 0;
	my $state = '';
	while ($tries++ < 100 && $state !~ /^(Lock|Extension)/)
	{
		$state = $watcher->selectrow_array('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ?', undef, $dbh->{private_pid}) // '';
		select undef, undef, undef, 0.02;
	}
	select undef, undef, undef, 0.2;    # for log_lock_waits
	like($state, qr/^(Lock|Extension)/, "$way: $what");
	is(places(readable($watcher)), '', "$way: and no view shows a secret meanwhile");
	$watcher->do('SELECT pg_cancel_backend(?)', undef, $dbh->{private_pid});
	$dbh->pg_result;
	$said .= errors_of($dbh);
	is($dbh->state, '57014', "$way: until it is cancelled");
	return;
}

sub tour
{
	my ($way) = @_;
	my $dbh = session();
	my $watcher = watcher();
	my $secret = $canaries{"hook $way"};

	ask_plainly($dbh, 'SET client_min_messages = debug5');
	fail_with($dbh, $way, 'set_api_key', qw(api bad bad_space), $way eq 'env' ? () : 'bad_long');
	fail_with($dbh, $way, 'add_webhook_secret', qw(hook), $way =~ /bound|literal/ ? qw(bad_space bad_long) : ());
	wait_with($dbh, $way, 'set_api_key', 'api');
	wait_with($dbh, $way, 'add_webhook_secret', 'hook');
	isnt(ask($dbh, $way, 'SELECT stripe_credit.set_api_key($1)', passed($_, $way)) // '', '22023', "$way: an $_ key") for qw(api live);
	like(ask($dbh, $way, 'SELECT stripe_credit.add_webhook_secret($1)', passed('hook', $way)), qr/^\d+$/, "$way: a webhook secret");
	is(ask($dbh, $way, 'SELECT stripe_credit.remove_webhook_secret($1)', 999), 'PT404', "$way: no other is removed");

	is(deliver_by($dbh, $way, 'webhook', new_body("hooked $way"), $secret), 'applied', "$way: a webhook");
	is(deliver_by($dbh, $way, 'webhook_bytes', new_body("hooked $way"), $secret), 'applied', "$way: another");
	is(deliver_by($dbh, $way, 'webhook', new_body(undef), $secret), 'unmatched', "$way: one of nobody's");
	like(ask($dbh, $way, 'SELECT stripe_credit.resolve($1, $2, 5)', "evt_canary$unique", "hooked $way"), qr/applied/, "$way: until it is resolved");
	is(deliver_by($dbh, $way, 'webhook', new_body("hooked $way"), "$secret."), 'PT400', "$way: a bad signature");
	is(deliver_by($dbh, $way, 'webhook', '{"no": "event"}', $secret), 'PT400', "$way: no event");
	is(ask($dbh, $way, 'SELECT stripe_credit.webhook($1, $2)', 'x', 't=1'), 'PT400', "$way: no signature");
	if ($way =~ /bound|literal/)
	{
		my $body = new_body('x');
		my $used = $canaries{"used $way"};
		my $verify = 'SELECT stripe_credit.verify_signature($1::text::bytea, $2, $3';

		is(ask($dbh, $way, "$verify)", $body, signature($body, secret => $used), $used), 'valid', "$way: verify_signature()");
		is(ask($dbh, $way, "$verify)", $body, signature($body), $used), 'mismatch', "$way: another secret");
		is(ask($dbh, $way, "$verify, '-1 s')", $body, signature($body), $used), '22023', "$way: verify_signature() fails");
	}
	buy($dbh, $way);
	spend($dbh, $way);
	suffer($dbh, $way);
	ask_plainly($dbh, "SET stripe_credit.api_base = '$double->{silent}'");
	watch_hanging($dbh, $watcher, $way, 'create_checkout() waits for Stripe', q{SELECT stripe_credit.create_checkout('ada', 'starter')});
	ask_plainly($dbh, 'RESET ALL');

	is(places({ map { $_ => join "\n", @{ $dbh->selectcol_arrayref("SELECT t::text FROM $_ t") } } qw(pg_prepared_statements pg_cursors pg_settings) }),
		'', "$way: the session itself remembers no secret");
	is(places(readable($watcher)), '', "$way: no view or table shows a secret while it is idle");
	$watcher->do('ANALYZE');
	is(places(readable($watcher, 'true')), '', "$way: nor after ANALYZE");
	for my $role (qw(plain monitor administrator))
	{
		my $other = watcher($role);

		is(places(readable($other)), '', "$way: nor to the role $role");
		$other->disconnect;
	}
	is( join(', ', sort split /, /, canaries_in(join "\n", @{ $watcher->selectcol_arrayref(
				'SELECT secret FROM stripe_credit.api_key UNION ALL SELECT secret FROM stripe_credit.webhook_secret') })),
		$way =~ /file|env/ ? '' : join(', ', sort grep { !/bad|used/ } map { /bound/ || $way eq 'literal' ? $_ : () } grep { /hook $way|api $way|live $way|hook bound/ } keys %canaries),
		"$way: only the tables that must hold it do");
	$_->disconnect for $dbh, $watcher;
	return;
}

# What remains in a backend that was sent no secret, once its calls have ended
sub look_into_backends
{
	my ($way) = @_;
	my $watcher = watcher();
	my %calls = (
		'a checkout' => [ q{SELECT stripe_credit.create_checkout('ada', 'starter')} ],
		'several checkouts' => [ (q{SELECT stripe_credit.create_checkout('ada', 'starter')}) x 3 ],
		'requests' => [ (q{SELECT stripe_credit.stripe_request('GET', '/v1/events')}) x 2 ],
		'requests where HTTP/2 is offered' => [ "SET stripe_credit.api_base = '$double->{h2}'", (q{SELECT stripe_credit.stripe_request('GET', '/v1/events')}) x 2 ],
		'a refusal' => [ "SET stripe_credit.api_base = '$double->{api}/_fault/status-401'", q{SELECT stripe_credit.stripe_request('GET', '/v1/events')} ],
		'a timeout' => [ 'SET stripe_credit.timeout = 300', "SET stripe_credit.api_base = '$double->{api}/_fault/slow-2'", q{SELECT stripe_credit.stripe_request('GET', '/v1/events')} ],
		'a cancelled request' => [ 'SET statement_timeout = 300', "SET stripe_credit.api_base = '$double->{api}/_fault/slow-2'", q{SELECT stripe_credit.stripe_request('GET', '/v1/events')} ],
		'a reset connection' => [ "SET stripe_credit.api_base = '$double->{api}/_fault/reset-in-body'", q{SELECT stripe_credit.stripe_request('GET', '/v1/events')} ]);

	for my $what (sort keys %calls)
	{
		my $dbh = session();

		ask_plainly($dbh, @{ $calls{$what} });
		is(others_in(memory_of($dbh->{private_pid}), qr/ env$/), '', "$way: memory of an idle backend after $what");
		$dbh->disconnect;
	}

	# The same, of a webhook's: found while it is in use, and not before and after
	my $dbh = session();
	my $id = $watcher->selectrow_array('SELECT max(id) FROM stripe_credit.webhook_secret');
	my $kept = qr/^hook /;

	ask_plainly($dbh, q{SELECT stripe_credit.balance('ada')});
	is(others_in(memory_of($dbh->{private_pid}), qr/ env$/), '', "$way: memory of a backend before its first webhook");
	deliver_by($dbh, 'bound', 'webhook', new_body('memory'), $canaries{"hook $way"});
	my $memory = memory_of($dbh->{private_pid});
	is(others_in($memory, qr/^hook| env$/), '', "$way: memory after a webhook: none but webhook secrets");
	like(canaries_in($memory), qr/\bhook $way\b/, "$way: which are there, so the search finds what is there");
	if ($way eq 'file')
	{
		ask_plainly($watcher, "SELECT stripe_credit.remove_webhook_secret($id)", "SELECT stripe_credit.add_webhook_secret('whsec_other')");
		deliver_by($dbh, 'bound', 'webhook', new_body('memory'), 'whsec_other');
		is(others_in(memory_of($dbh->{private_pid}), qr/ env$/), '', "$way: and gone after a webhook once they are removed");
	}
	$_->disconnect for $dbh, $watcher;
	return;
}

my %logged = (file => 'all', env => 'all', bound => 'all but values', literal => 'nothing');
my $log_at = 0;
my $all_log = '';

for my $way (@ways)
{
	set_logging($logged{$way});
	$log_at = -s $node->logfile;
	tour($way);
	SKIP:
	{
		skip 'the memory of other processes may not be read here', 1 unless $can_read_memory;
		look_into_backends($way);
	}
	for my $program ([ 'pg_dump', 'postgres' ], ['pg_dumpall'])
	{
		my ($dump, $errors) = run_command([ @$program, '-h', $node->host, '-p', $node->port ]);

		like($dump, qr/buyer $way/, "$way: $program->[0] dumps the books");
		is(canaries_in("$dump$errors"), '', "$way: and no secret");
	}
	set_logging('nothing');
	my $log = slurp_file($node->logfile, $log_at);
	is(canaries_in($log), '', "$way: the log, with $logged{$way} of statements, holds no secret");
	cmp_ok(length $log, '>', 100_000, "$way: though it is long");
	if ($way eq 'file' || $way eq 'env')
	{
		like($log, qr/duration: .* plan:.*Query Text: INSERT INTO stripe_credit\.api_key/s, "$way: and holds the plans of what we execute") if $has{auto_explain};
		like($log, qr/[Pp]arameters: \$1 = '$way:/, "$way: and the values of parameters");
	}
	is(canaries_in($said), '', "$way: no client was told a secret");
}

# Each function was called.
is( $node->safe_psql('postgres', q{
		SELECT string_agg(p.proname, ', ' ORDER BY p.proname)
		FROM pg_proc p LEFT JOIN pg_stat_user_functions f ON f.funcid = p.oid
		WHERE p.pronamespace = 'stripe_credit'::regnamespace AND f.calls IS NULL AND NOT p.proisstrict}),
	'', 'all functions were called');
if ($has{pg_stat_statements})
{
	like($node->safe_psql('postgres', 'SELECT query FROM pg_stat_statements'), qr/set_api_key\(\$1\)/, 'pg_stat_statements knows of the calls');
}
books_are_right($node);

# Files: literals are in the tables' own and in the WAL, and references' secrets in none.
my $paths = join '|', map { quotemeta } split /\n/, $node->safe_psql('postgres',
	q{SELECT pg_relation_filepath(r) FROM unnest('{stripe_credit.api_key,stripe_credit.webhook_secret}'::regclass[]) r});
my %files;
$node->stop;
find(
	{
		no_chdir => 1,
		wanted => sub {
			return unless -f;
			my $found = canaries_in(slurp_file($_));
			$files{ substr $_, 1 + length $node->data_dir } = $found if $found;
		}
	},
	$node->data_dir);
is(join('; ', map { "$_: $files{$_}" } grep { !m{^pg_wal/|^($paths)$} } sort keys %files), '', 'no other file of the server holds a secret');
unlike(join(', ', values %files), qr/file|env|used|bad/, 'and no file one that was not stored');
like(join(', ', map { $files{$_} } grep { m{^($paths)$} } keys %files), qr/hook bound.*hook literal/, 'those that were are found in the tables');
$double->stop;
done_testing();
