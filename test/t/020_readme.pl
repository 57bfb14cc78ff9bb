# The SQL of the README is run as it stands there, in its order and in one
# database, with the test double in Stripe's place; the move from a users table is
# then tried as its users would.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Double;
use Test::More;

my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my @blocks = $readme =~ /^```sql\n(.*?)^```$/gms;
cmp_ok(scalar @blocks, '>=', 8, 'the README has SQL to run');

# The one thing that is not as it stands there: where the secrets are.
my $secrets = PostgreSQL::Test::Utils::tempdir();
append_to_file("$secrets/api_key", "sk_test_readme\n");
append_to_file("$secrets/webhook_secret", "whsec_readme\n");
s{'file:/etc/stripe/}{'file:$secrets/}g for @blocks;

my $double = StripeCredit::Double->new;
my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->append_conf('postgresql.conf', "stripe_credit.api_base = '$double->{api}'\nstripe_credit.ca_file = '$double->{ca}'");
$node->start;
$node->safe_psql('postgres',
	q{CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0});

for my $i (0 .. $#blocks)
{
	my ($rc, $out, $err) = $node->psql('shop', $blocks[$i], on_error_stop => 1);
	is($rc, 0, 'block ' . ($i + 1) . ' runs') or diag($err);
}

sub users
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('shop', $sql, on_error_stop => 1);
	return $rc == 0 ? $out : $err =~ s/^.*?ERROR:  (.*?)\n.*/$1/sr;
}

# A purchase as the edge function's session made it: no metadata of ours.
sub purchase
{
	my ($id, $email, $amount) = @_;
	my $now = time;
	my $body =
	  qq({"id":"evt_$id","object":"event","type":"checkout.session.completed",)
	  . qq("created":$now,"livemode":true,"data":{"object":{"id":"cs_live_$id",)
	  . qq("object":"checkout.session","mode":"payment","payment_status":"paid",)
	  . qq("payment_intent":"pi_$id","amount_subtotal":$amount,"amount_total":$amount,)
	  . qq("currency":"usd","customer_email":"$email","metadata":{}}}});
	my $signature = "t=$now,v1=" . hmac_sha256_hex("$now.$body", 'whsec_readme');

	return $node->safe_psql('shop',
		"SELECT stripe_credit.webhook('$body', '$signature')->>'status'");
}

is(users(q{SELECT credits FROM users WHERE email = 'Ada@example.com'}),
	250, 'balances have moved');
is(users(q{SELECT credits FROM users WHERE email = 'bob@example.com'}),
	0, 'who had none has none');
is( users(q{UPDATE users SET credits = credits - 3 WHERE email = 'Ada@example.com'
			RETURNING credits}),
	247,
	'their update spends');
is(users(q{SELECT credits FROM users WHERE email = 'Ada@example.com'}),
	247, 'and is seen');
is( users(q{UPDATE users SET credits = credits - 248 WHERE email = 'Ada@example.com'}),
	'not enough credits',
	'but not more than there is');

is(purchase('first', 'ADA@example.com', 1000), 'applied', 'a purchase by e-mail');
is(purchase('first', 'ADA@example.com', 1000), 'duplicate', 'delivered twice');
is(users(q{SELECT credits FROM users WHERE email = 'Ada@example.com'}),
	1247, 'the purchase is in the view, once');
is(purchase('nobody', 'new@example.com', 500), 'applied', 'a buyer without a user');
is(users(q{SELECT balance FROM stripe_credit.balance('new@example.com')}),
	500, 'has his credits waiting for him');
is(users(q{SELECT count(*) FROM stripe_credit.check_books()}), 0, 'the books are right');

# Every function has its row in the README, and every setting.
my $missing = $node->safe_psql('shop', q{
	SELECT proname FROM pg_proc
	WHERE pronamespace = 'stripe_credit'::regnamespace AND prorettype <> 'trigger'::regtype
	UNION ALL
	SELECT attname FROM pg_attribute
	WHERE attrelid = 'stripe_credit.settings'::regclass AND attnum > 0 AND attname <> 'only_row'
	UNION ALL
	SELECT relname FROM pg_class
	WHERE relnamespace = 'stripe_credit'::regnamespace AND relkind IN ('r', 'v')});
for my $name (split /\n/, $missing)
{
	like($readme, qr/^\|.*`[^`]*\b\Q$name\E\b/m, "the README has a row for $name");
}

# Its links lead somewhere: to a heading, or to what is in the tree.
my %heading;
$heading{ lc =~ s/[^\w -]//gr =~ tr/ /-/r } = 1 for $readme =~ /^#+ (.*)$/gm;
ok($heading{$_}, "#$_ is a heading") for sort keys %{ { map { $_ => 1 } $readme =~ /\]\(#([^)]+)\)/g } };
ok(-e "$FindBin::RealBin/../../$_" || $_ eq 'LICENSE', "$_ is there")
  for sort keys %{ { map { $_ => 1 } $readme =~ /\]\((?!#|https:)([^)#]+)/g } };

$node->stop;
$double->stop;
done_testing();
