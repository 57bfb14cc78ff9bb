# The functions of expose() by Supabase's own client, @supabase/supabase-js: as a page
# calls them for a user who has signed in, as a backend with the service's key does, and
# as an edge function forwards a webhook.  The stand-in for PostgREST is the gateway before
# it too.
#
# The client must be there, and a Node.js that is new enough for it: STRIPE_CREDIT_NPM
# names a directory whose node_modules has both, as .ci/run makes one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Api;
use StripeCredit::Double;
use StripeCredit::Node;
use StripeCredit::Program qw(newest_node runs);
use Test::More;

my $npm = $ENV{STRIPE_CREDIT_NPM} || '';
my $program = newest_node();

plan skip_all => 'there is no @supabase/supabase-js for node: STRIPE_CREDIT_NPM names no directory that has it'
  unless -e "$npm/node_modules/\@supabase/supabase-js/package.json" && runs($program, '--version');
plan skip_all => 'node is not installed' unless runs('node', '--version');

my ($anon_key, $service_key) = map { StripeCredit::Api::token(role => $_, iss => 'supabase') } qw(anon service_role);
my $double = StripeCredit::Double->new;
my $node = new_node('supabase', conf => "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'\n");

# Two users
my ($ada, $eve) = ('5f3c2f5e-31c5-4b3a-9d55-0c1f6f0e6a01', 'b0f6a7a4-8c5e-4d0e-9c37-2f9d5f1f7d02');

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

StripeCredit::Api::make_roles($node);
sql('SET ROLE app_owner',
	q{SELECT stripe_credit.set_api_key('sk_test_supabase')},
	q{UPDATE stripe_credit.settings SET success_url = 'https://example.com/?s={CHECKOUT_SESSION_ID}'},
	q{SELECT stripe_credit.expose('api', 'anon', 'authenticated', 'service_role')});

my $api = StripeCredit::Api->new($node, api_keys => [ $anon_key, $service_key ]);
my $client = StripeCredit::Program->new($program, "$FindBin::RealBin/../drivers/supabase.mjs", $npm, $api->{url}, $anon_key, $service_key);

# As it is signed in at Supabase
sub as_user
{
	my ($sub, $name, $arguments, %options) = @_;
	my $token = StripeCredit::Api::token(role => 'authenticated', sub => $sub, aud => 'authenticated', exp => time + 3600);

	return $client->ask(token => $token, rpc => $name, arguments => $arguments || {}, options => \%options);
}

sub as_anon { my ($name, $arguments) = @_; return $client->ask(rpc => $name, arguments => $arguments || {}) }
sub as_service { my ($name, %arguments) = @_; return $client->ask(service => JSON::PP::true, rpc => $name, arguments => \%arguments) }
sub for_ada { my ($name, @arguments) = @_; return as_service($name, account_id => $ada, @arguments) }

sub answered
{
	my ($what, $answer) = @_;

	is($answer->{error}, undef, $what) or diag(explain($answer));
	return $answer->{data};
}

sub refused
{
	my ($what, $answer, $status, $code) = @_;

	is(join(' ', $answer->{status}, $answer->{error}{code} // '-'), "$status $code", $what) or diag(explain($answer));
	is($answer->{data}, undef, '... and no data');
	return $answer;
}

#
# A page
#

my $packs = answered('what is for sale', as_user($ada, 'packs'));

is_deeply([ map { $_->{pack_id} } @$packs ], ['starter'], '... is the catalogue');

my $session = answered('a checkout', as_user($ada, 'create_checkout', { pack_id => $packs->[0]{pack_id}, idempotency_key => 'form 1' }));
sub confirm { my ($who) = @_; return as_user($who, 'confirm_checkout', { session_id => $session->{session_id} }) }

is(answered('a second click', as_user($ada, 'create_checkout', { pack_id => 'starter', idempotency_key => 'form 1' }))->{session_id},
	$session->{session_id}, '... leads to the same session');
is(answered('before she pays', confirm($ada))->{status}, 'pending', '... it is pending');
$double->pay($session->{url});
refused("another's session", confirm($eve), 404, 'PT404');
is(answered('she comes back', confirm($ada))->{status}, 'applied', '... and is credited');
is(answered('her credits', as_user($ada, 'credits'))->{available}, 100, '... are there');
is_deeply(answered('her credits by a GET', as_user($ada, 'credits', {}, get => JSON::PP::true)),
	answered('and by a POST', as_user($ada, 'credits')), '... are the same');
is_deeply([ map { "$_->{seq} $_->{kind} $_->{credits}" } @{ answered('her history', as_user($ada, 'credit_history', { max_rows => 10 })) } ],
	['1 purchase 100'], '... has the purchase');
is(answered('who has nothing', as_user($eve, 'credits'))->{balance}, 0, '... sees nothing of that');

refused('a user names no account', as_user($eve, 'credits', { account_id => $ada }), 404, 'PGRST202');
refused('a user spends nothing by himself', as_user($ada, 'spend_credits', { account_id => $ada, credits => 1 }), 403, '42501');
refused('nobody sees no packs', as_anon('packs'), 401, '42501');
refused('nobody buys', as_anon('create_checkout', { pack_id => 'starter' }), 401, '42501');
refused('nobody grants', as_anon('grant_credits', { account_id => $eve, credits => 1, idempotency_key => 'x' }), 401, '42501');

my $forged = $client->ask(token => StripeCredit::Api::token(role => 'service_role') =~ s/.{4}$/AAAA/r, rpc => 'credits', arguments => {});
refused('a forged token', $forged, 401, 'PGRST301');

#
# A backend
#

is(answered('a spend', for_ada('spend_credits', credits => 3, idempotency_key => 'job 1', metadata => { model => 'large' }))->{balance},
	97, '... takes credits');
is(answered('the same job', for_ada('spend_credits', credits => 3, idempotency_key => 'job 1'))->{duplicate}, JSON::PP::true, '... is paid for once');
is(answered('a hold', for_ada('hold_credits', credits => 50, idempotency_key => 'stream', ttl => '5 minutes'))->{available},
	47, '... takes what may be needed');
is(answered('its end', for_ada('capture_credits', idempotency_key => 'stream', credits => 12))->{available}, 85, '... takes what was');
is(answered('another hold', for_ada('hold_credits', credits => 50, idempotency_key => 'stream 2'))->{held}, 50, '... and');
is(answered('given up', for_ada('release_credits', idempotency_key => 'stream 2'))->{available}, 85, '... all is free again');
is(answered('a job that failed', for_ada('reverse_spend', idempotency_key => 'job 1'))->{balance}, 88, '... is given back');
is(answered('a gift', as_service('grant_credits', account_id => $eve, credits => 5, idempotency_key => 'welcome'))->{balance}, 5, '... arrives');
is(refused('more than there is', as_service('spend_credits', account_id => $eve, credits => 6), 402, 'PT402')->{statusText},
	'not enough credits', '... and the status says so');
refused('a key for something else', for_ada('spend_credits', credits => 4, idempotency_key => 'job 1'), 409, 'PT409');
refused('a service has no credits of its own', as_service('credits'), 403, '42501');

#
# An edge function
#

sub forward
{
	my ($body, $signature) = @_;
	my $answer = $client->ask(webhook => encode_base64($body, ''), signature => $signature);

	return join ' ', $answer->{status}, $answer->{body}{status} // $answer->{body}{error} // $answer->{body}{code};
}

my $body = session_event('evt_edge', account => $eve) =~ s/^\{/{ "unread":\r\n\t"\\u00fc \xf0\x9f\x98\x80 \xe2\x80\xa8 \\\/", /r;

is(forward($body, signature($body)), '200 applied', 'a webhook, forwarded as it came');
is(forward($body, signature($body)), '200 duplicate', 'the same again');
is(forward("$body ", signature($body)), '400 webhook signature verification failed', 'one that is not what was signed');
is(forward($body, ''), '400 webhook signature verification failed', 'one without a signature');
is(answered('the buyer', as_user($eve, 'credits'))->{balance}, 105, '... has got his credits');

is(HTTP::Tiny->new->post("$api->{url}/rest/v1/rpc/stripe_webhook", { content => $body })->{status},
	401, 'without a key nobody comes in at the gate');

ok(books_are_right($node), 'the books are right');
is($api->trouble, '', 'there was nothing that could not be answered');
$client->stop;
$api->stop;
$double->stop;
$node->stop;
done_testing();
