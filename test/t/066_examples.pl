# The files of examples/postgrest and examples/supabase, each run as what it is for: the SQL as
# the roles that it names, and then deliveries and purchases through nginx, the edge function,
# curl and supabase-js.  In PostgREST's place is a stand-in, in Stripe's its double (test/double).

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use HTTP::Tiny;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Api;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(newest_node runs);
use StripeCredit::Server;
use StripeCredit::Supabase;
use Test::More;

my $examples = "$FindBin::RealBin/../../examples";
my $buyer = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff';
my $npm = $ENV{STRIPE_CREDIT_NPM} || '';

sub write_file
{
	my ($path, $text) = @_;

	open my $file, '>:raw', $path or die "$path: $!";
	print {$file} $text;
	close $file;
	return $path;
}

# The first of these that there is
sub find_program
{
	return (grep { -x } map { ("$_/$_[0]") } split(/:/, $ENV{PATH}), '/usr/sbin')[0];
}

sub run_sql_file
{
	my ($node, $dbname, $user, $file) = @_;

	return $node->command_ok(
		[ 'psql', '-qX', '-U', $user, '-d', $node->connstr($dbname), '-v', 'ON_ERROR_STOP=1', '-1', '-f', $file ],
		($file =~ m{([^/]+)$})[0] . " runs as $user");
}

# What a statement answers through a connection of authenticator's, as PostgREST would run it
sub request
{
	my ($node, $dbname, $role, $statement, %options) = @_;
	my $claims = literal(JSON::PP->new->canonical->encode({ role => $role, $options{sub} ? (sub => $options{sub}) : () }));
	my $headers = literal(JSON::PP->new->canonical->encode($options{headers} // {}));
	my ($rc, $out, $err) = $node->psql($dbname, join(";\n", 'BEGIN', "SET LOCAL ROLE $role",
			"SET LOCAL request.jwt.claims = $claims", "SET LOCAL request.headers = $headers",
			$statement, 'COMMIT'), extra_params => [ '-U', 'authenticator' ], on_error_stop => 1);

	return $rc == 0 ? $out : $err =~ s/^.*?ERROR:\s+([^\n]*).*/$1/sr;
}

sub webhook_request
{
	my ($node, $dbname, $body, $secret) = @_;

	return request($node, $dbname, 'anon', 'SELECT api.stripe_webhook(' . literal($body) . ')',
		headers => { 'stripe-signature' => signature($body, secret => $secret) });
}

# What every installation of these files does
sub serves
{
	my ($node, $dbname, $owner, $secret, $account) = @_;

	like($node->safe_psql($dbname, 'SELECT string_agg(DISTINCT pg_get_userbyid(proowner) || rolsuper, $$,$$)
			FROM pg_proc JOIN pg_roles r ON r.oid = proowner WHERE pronamespace = $$api$$::regnamespace'),
		qr/^${owner}false$/, "the functions are ${owner}'s, who is no superuser");
	like(request($node, $dbname, 'anon', 'RESET ROLE; SELECT api.credits()'), qr/^permission denied/,
		'authenticator itself may do nothing');
	like(webhook_request($node, $dbname, session_event("evt_$owner", account => $account), $secret),
		qr/"status": ?"applied"/, 'anon delivers');
	like(webhook_request($node, $dbname, session_event("evt_$owner", account => $account), 'whsec_wrong'),
		qr/"ok": ?false/, 'but not with another signature');
	is(request($node, $dbname, 'authenticated', 'SELECT available FROM api.credits()', sub => $account), 100,
		'and the buyer sees his credits');
	like(request($node, $dbname, 'anon', 'SELECT api.credits()'), qr/^permission denied/, 'which nobody else can');
	like(request($node, $dbname, 'authenticated', "SELECT api.grant_credits('$account', 1, 'k')", sub => $account),
		qr/^permission denied/, 'nor can he give himself some');
	is(request($node, $dbname, 'service_role', "SELECT available FROM api.spend_credits('$account', 3, 'job 1')"), 97,
		'the service spends');
	return;
}

#
# A database with PostgREST
#

my $double = StripeCredit::Double->new;
my $conf = "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'\n";
my $secrets = PostgreSQL::Test::Utils::tempdir;
my $node = PostgreSQL::Test::Cluster->new('postgrest');

$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', $conf);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
write_file("$secrets/api_key", "sk_test_of_the_file\n");
write_file("$secrets/webhook_secret", "whsec_of_the_file\n");
run_sql_file($node, 'shop', $node->safe_psql('postgres', 'SELECT current_user'), "$examples/postgrest/roles.sql");
run_sql_file($node, 'shop', 'app_owner',
	write_file("$secrets/setup.sql", slurp_file("$examples/postgrest/setup.sql") =~ s{file:/etc/stripe/}{file:$secrets/}gr));
serves($node, 'shop', 'app_owner', 'whsec_of_the_file', 'user_42');

{
	my %settings = slurp_file("$examples/postgrest/postgrest.conf") =~ /^([\w-]+) = "?([^"\n]*)/mg;

	is($settings{'db-schemas'}, 'api', 'postgrest.conf serves the schema of setup.sql, and no other');
	is($node->safe_psql('shop', "SELECT pg_has_role('authenticator', '$settings{'db-anon-role'}', 'MEMBER')"), 't',
		'as a role that authenticator may become');
}

#
# Through HTTP
#

# A Stripe body that any parser would write otherwise
sub odd_body
{
	my ($id, $account) = @_;

	return " \r\n" . session_event($id, account => $account) =~ s/,/ ,\r\n\t/gr . "\n";
}

sub post
{
	my ($url, $body, %headers) = @_;

	return HTTP::Tiny->new(timeout => 20)->post($url, { headers => { 'content-type' => 'application/json; charset=utf-8', %headers },
		content => $body });
}

# Delivers by a URL, and sees what came to PostgREST
sub delivers
{
	my ($what, $url, $postgrest, $secret, $account) = @_;
	my $before = () = $postgrest->requests;
	my $body = odd_body('evt_' . $what =~ s/\W/_/gr, $account);
	my $signature = signature($body, secret => $secret);
	my $answer = post($url, $body, 'stripe-signature' => $signature);
	my @came = $postgrest->requests;

	is($answer->{status}, 200, "$what: a delivery is taken");
	is(decode_json($answer->{content})->{status}, 'applied', "$what: and applied, as the answer says");
	is($came[$before]{body}, $body, "$what: no byte was changed");
	is($came[$before]{headers}{'stripe-signature'}, $signature, "$what: nor the signature");
	is(post($url, $body, 'stripe-signature' => "${signature}0")->{status}, 400, "$what: what is refused is refused with its status");
	is(post($url, $body)->{status}, 400, "$what: also without a signature");
	is(post($url, ' ' x (1024 * 1024 + 1))->{status}, 413, "$what: as is what is too large");
	isnt(HTTP::Tiny->new->get($url)->{status}, 200, "$what: nothing is to be read there");
	return;
}

# nginx.conf in a server of its own, on a port, before whatever is upstream: the command that runs it
sub nginx_before
{
	my ($upstream, $port, $dir) = @_;

	write_file("$dir/stripe_credit.conf", slurp_file("$examples/postgrest/nginx.conf") =~ s/127\.0\.0\.1:3000/$upstream/gr);
	write_file("$dir/nginx.conf", "pid $dir/pid;\ndaemon off;\nevents {}\nhttp {\n\taccess_log off;\n"
		  . join('', map { "\t${_}_temp_path $dir/$_;\n" } qw(client_body proxy fastcgi uwsgi scgi))
		  . "\tserver {\n\t\tlisten 127.0.0.1:$port;\n\t\tinclude $dir/stripe_credit.conf;\n\t}\n}\n");
	return (find_program('nginx'), '-p', $dir, '-c', "$dir/nginx.conf", '-e', "$dir/error.log");
}

# It listens before it says who it is.
sub start_nginx
{
	my ($dir, @command) = @_;
	my $server = IPC::Run::start(\@command, '<', '/dev/null', '>', "$dir/out", '2>&1');

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return $server if -s "$dir/pid";
		select(undef, undef, undef, 0.1);
	}
	die 'nginx did not start: ' . slurp_file("$dir/out") . "\n";
}

# What must not be in the URL is not let through, or does no harm.
sub keeps_to_the_url
{
	my ($url, $postgrest) = @_;
	my $body = odd_body('evt_more', 'user_42');
	my %signed = ('stripe-signature' => signature($body, secret => 'whsec_of_the_file'));
	my $before;

	is(post("$url/stripe/webhook?apikey=x", $body, %signed, authorization => 'Bearer x')->{status},
		200, 'nginx: neither a parameter nor a token comes through');
	$before = () = $postgrest->requests;
	is(post("$url/stripe/webhook$_", $body, %signed)->{status}, 404, "nginx: there is nothing at that URL with $_ behind it")
	  for '/', '/x', 's';
	is(scalar(() = $postgrest->requests), $before, 'nginx: and nothing of that came through');
	is(post("$url/rpc/stripe_webhook?apikey=x", $body, %signed)->{status}, 400, 'nginx: where a parameter does, it is refused');
	return;
}

SKIP:
{
	skip 'nginx is not installed', 1 unless find_program('nginx');
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $postgrest = StripeCredit::Api->new($node, dbname => 'shop', record => 1);
	my @command = nginx_before($postgrest->{url} =~ s{^http://}{}r, $port, $dir);

	command_ok([ @command, '-t' ], 'nginx accepts nginx.conf');
	my $server = start_nginx($dir, @command);
	delivers('nginx', "http://127.0.0.1:$port/stripe/webhook", $postgrest, 'whsec_of_the_file', 'user_42');
	keeps_to_the_url("http://127.0.0.1:$port", $postgrest);
	buys_by_curl("http://127.0.0.1:$port", $postgrest);
	$server->signal('TERM');
	$server->finish;
	$postgrest->stop;
}

# curl.sh, whose Enter comes when the buyer has paid
sub buys_by_curl
{
	my ($url, $postgrest) = @_;

	SKIP:
	{
		skip 'curl is not installed', 1 unless find_program('curl');
		local $ENV{API} = $url;
		local $ENV{TOKEN} = StripeCredit::Api::token(role => 'authenticated', sub => 'user_43');
		my ($in, $out) = ('', '');
		my $run = IPC::Run::start([ "$examples/postgrest/curl.sh", 'starter' ], \$in, '>&', \$out,
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

		$run->pump until $out =~ m{^pay at (https?://\S+)\n}m;
		$double->pay($1);
		$in .= "\n";
		$run->finish;
		like($out, qr/"status": ?"applied".*"available": ?100\b/s, 'curl.sh buys');
	}
	return;
}

$node->stop;

#
# A Supabase
#

my $supabase = new_supabase('supabase', conf => $conf);
set_up_example($supabase, webhook => 'whsec_of_the_vault');
serves($supabase, 'postgres', 'postgres', 'whsec_of_the_vault', $buyer);

# The example's own table
$supabase->safe_psql('postgres', "SET ROLE postgres; INSERT INTO public.job (job_id, account_id, prompt) VALUES
	('00000000-0000-4000-8000-000000000001', '$buyer', 'a boat'), ('00000000-0000-4000-8000-000000000002', 'another', 'a house')");
is(request($supabase, 'postgres', 'service_role',
		"SELECT available FROM api.spend_credits('$buyer', 5, 'job 00000000-0000-4000-8000-000000000001')"), 92, 'a job is paid for');
is(request($supabase, 'postgres', 'authenticated', 'SELECT prompt, credits FROM api.my_jobs', sub => $buyer),
	'a boat|-5', 'and its owner sees what it cost, and no other');
like(request($supabase, 'postgres', 'anon', 'SELECT * FROM api.my_jobs'), qr/^permission denied/, 'others see nothing');

# The edge function, with an environment like Supabase's
sub edge_function
{
	my ($url, $anon, $publishable) = @_;

	local @ENV{qw(SUPABASE_URL SUPABASE_ANON_KEY SUPABASE_PUBLISHABLE_KEYS)} = ($url, $anon, qq({"default": "$publishable"}));
	return StripeCredit::Server->start(@_[ 3 .. $#_ ], "$FindBin::RealBin/../drivers/edge.mjs",
		"$examples/supabase/functions/stripe-webhook/index.ts");
}

sub forwards
{
	my ($postgrest, @node) = @_;
	my $function = edge_function($postgrest->{url}, 'the anon key', 'the publishable key', @node);

	delivers('edge function', "$function->{url}/stripe-webhook", $postgrest, 'whsec_of_the_vault', $buyer);
	is(($postgrest->requests)[-1]{headers}{apikey}, 'the publishable key', 'edge function: the gateway gets the key of browsers');

	$function = edge_function($postgrest->{url}, 'the anon key', '', @node);
	post("$function->{url}/stripe-webhook", '{}');
	is(($postgrest->requests)[-1]{headers}{apikey}, 'the anon key', 'edge function: or the older one');

	$function = edge_function('http://127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port(), 'the anon key', '', @node);
	is(post("$function->{url}/stripe-webhook", '{}')->{status}, 502, 'edge function: nobody answers, so Stripe is to come again');
	return;
}

# client.js in a browser that consists of what it uses: what a call there answers
sub browser
{
	my ($postgrest) = @_;
	my $shop = StripeCredit::Server->start(newest_node(), '--no-warnings', "$FindBin::RealBin/../drivers/browser.mjs",
		$npm, "$examples/supabase/client.js", $postgrest->{url},
		StripeCredit::Api::token(role => 'authenticated', sub => 'e6a5e9a2-0000-4000-8000-000000000000'));
	my $json = JSON::PP->new->utf8->allow_nonref;

	$shop->{in}->autoflush;
	return sub {
		print { $shop->{in} } $json->encode([@_]), "\n";
		return $json->decode(scalar readline $shop->{out});
	};
}

sub buys_by_client
{
	my ($do) = @_;
	my ($first, $again, $other, $landed);

	is_deeply([ map { $_->{pack_id} } @{ $do->('packs') } ], [ 'starter', 'studio' ], 'client: what is for sale');
	is_deeply($do->('watchCredits'), [0], 'client: no credits');
	$first = $do->('buy', 'starter');
	$again = $do->('buy', 'starter');
	is($again, $first, 'client: two clicks lead to one page');
	$other = $do->('buy', 'studio');
	isnt($other, $first, 'client: another pack to another');
	$supabase->safe_psql('postgres', "UPDATE stripe_credit.checkout SET expires_at = now() - interval '1 min' WHERE pack_id = 'studio'");
	isnt($do->('buy', 'studio'), $other, 'client: one that has expired is begun anew');
	$landed = $do->('land', $double->pay($first));
	is($landed->{status}, 'applied', 'client: the landing page has the credits entered');
	is_deeply($do->('show'), [ 0, 100 ], 'client: and whoever comes back to the page sees them');
	isnt($do->('buy', 'starter'), $first, 'client: then the pack can be bought again');
	is($do->('history')->[0]{credits}, 100, 'client: the history');
	is_deeply($do->('portal'), { code => 'PT404', message => 'account has no Stripe customer' },
		'client: an error is what the database says');
	return;
}

{
	my $postgrest = StripeCredit::Api->new($supabase, schemas => [qw(public storage api)], record => 1,
		api_keys => [ 'the publishable key', 'the anon key', 'publishable key' ]);
	my @node = (newest_node(), '--no-warnings', '--experimental-strip-types');

	SKIP:
	{
		skip 'this Node.js strips no types: the edge function was not run', 1
		  unless runs(@node, '-e', '0');
		forwards($postgrest, @node);
	}
	SKIP:
	{
		skip 'STRIPE_CREDIT_NPM names no directory that has supabase-js', 1
		  unless -e "$npm/node_modules/\@supabase/supabase-js/package.json";
		buys_by_client(browser($postgrest));
	}
	$postgrest->stop;
}

#
# The gateways' files, and the image's
#

sub yaml
{
	my ($file) = @_;

	return CPAN::Meta::YAML->read_string(slurp_file($file))->[0];
}

SKIP:
{
	skip 'CPAN::Meta::YAML is not installed', 1 unless eval { require CPAN::Meta::YAML };
	my ($kong) = @{ yaml("$examples/supabase/kong.yml")->{services} };
	my ($envoy) = @{ yaml("$examples/supabase/envoy.yaml")->{routes} };

	is($kong->{url}, 'http://rest:3000/rpc/stripe_webhook', 'Kong: the service is the function');
	is_deeply($kong->{routes}, [ { name => 'stripe-webhook', strip_path => 'true', paths => ['/stripe/webhook'], methods => ['POST'] } ],
		'Kong: the route is open to POST');
	is_deeply([ map { $_->{name} } @{ $kong->{plugins} } ], ['request-transformer'], 'Kong: no key is asked for');
	is_deeply($kong->{plugins}[0]{config}{add}{headers}, ['Content-Profile:api'], 'Kong: the schema is said');
	unlike(slurp_file("$examples/supabase/kong.yml"), qr/["`\$\\]/, 'Kong: a shell changes nothing of it');

	is($envoy->{match}{path}, '/stripe/webhook', 'Envoy: the same route');
	is($envoy->{route}{prefix_rewrite}, '/rpc/stripe_webhook', 'Envoy: to the same function');
	is($envoy->{request_headers_to_add}[0]{header}{value}, 'api', 'Envoy: in the same schema');
	is($envoy->{typed_per_filter_config}{'envoy.filters.http.basic_auth'}{disabled}, 'true', 'Envoy: no password is asked for');
	is($envoy->{typed_per_filter_config}{'envoy.filters.http.rbac'}{rbac}{rules}{action}, 'ALLOW', 'Envoy: and no key');
}

# The commands of the image's last stage, where the paths are others
{
	my $root = PostgreSQL::Test::Utils::tempdir;
	my $dockerfile = slurp_file("$examples/supabase/Dockerfile");
	my ($command) = $dockerfile =~ /^RUN (set -eu;(?:.*\\\n)*.*)\n\z/m or die 'the Dockerfile does not end as expected';
	my @files;

	mkdir "$root/$_" for qw(bin stage nix share share/extension);
	write_file("$root/postgres", "#!/bin/bash\nexport NIX_PGLIBDIR='$root/nix'\nexec .postgres-wrapped \"\$\@\"\n");
	write_file("$root/bin/pg_config", "#!/bin/sh\necho $root/share\n");
	write_file("$root/ca", "certificates\n");
	chmod 0755, "$root/bin/pg_config";
	command_ok([ 'make', '-s', '-C', "$FindBin::RealBin/../..", 'install', "DESTDIR=$root/stage" ],
		'make install DESTDIR, as the Dockerfile does it');
	$command =~ s{/tmp/stage}{$root/stage}g;
	$command =~ s{/usr/bin/postgres}{$root/postgres}g;
	$command =~ s{/etc/ssl/certs/ca-certificates.crt}{$root/ca}g;
	local $ENV{PATH} = "$root/bin:$ENV{PATH}";
	command_ok([ 'sh', '-c', $command =~ s/\\\n//gr ], 'the last stage of the Dockerfile runs');
	@files = map { s{^\Q$root\E/}{}r } sort glob "$root/nix/* $root/share/extension/*";
	is_deeply(\@files, [ qw(nix/stripe_credit.so nix/stripe_credit_curl.so),
			map { "share/extension/$_" } qw(stripe_credit--0.1.0.sql stripe_credit.control) ], 'and puts everything where it belongs');
	ok(!-e "$root/stage", 'and nothing elsewhere');
}

$supabase->stop;
$double->stop;
done_testing();
