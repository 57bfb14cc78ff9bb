# The vault's view is code of whoever owns it, and its reading can be cancelled:
# neither may end with the rights of the extension's owner.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StripeCredit::Node;
use Test::More;

my $node = new_node('vault');
my $forged =
  q{stripe_credit.webhook('{}', 't=1,v1=0000000000000000000000000000000000000000000000000000000000000000')};

$node->safe_psql(
	'postgres', q{
	CREATE ROLE shop LOGIN;
	GRANT USAGE ON SCHEMA stripe_credit TO shop;
	GRANT EXECUTE ON FUNCTION stripe_credit.webhook(text, text) TO shop;
	CREATE ROLE keeper LOGIN;
	SELECT stripe_credit.administer('keeper');
	CREATE SCHEMA vault AUTHORIZATION keeper;
	SET ROLE keeper;
	CREATE TABLE vault.secrets (name text, decrypted_secret text);
	CREATE VIEW vault.decrypted_secrets AS SELECT * FROM vault.secrets;
	RESET ROLE;
	SELECT stripe_credit.add_webhook_secret('vault:stripe');
	CREATE TABLE written (what text);
	GRANT INSERT ON written TO shop});

# A plain role catches the cancel of a reading that waits for a lock.
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE vault.secrets IN ACCESS EXCLUSIVE MODE');
my $out = $node->safe_psql(
	'postgres', qq{
	SET SESSION AUTHORIZATION shop;
	SET statement_timeout = '200ms';
	DO \$\$
	BEGIN
		BEGIN
			INSERT INTO written VALUES ('in the block');
			PERFORM $forged;
		EXCEPTION WHEN query_canceled THEN NULL;
		END;
	END
	\$\$;
	SET statement_timeout = 0;
	SELECT current_user;
	INSERT INTO written VALUES ('after it')});
$locker->query_safe('ROLLBACK');
$locker->quit;
is($out, 'shop', 'a cancelled reading leaves the caller who he was');
is($node->safe_psql('postgres', 'SELECT string_agg(what, $$,$$) FROM written'),
	'after it', 'and undoes what his block did, and no more');

# The owner of the view changes the settings and calls back while it is read.
$node->safe_psql(
	'postgres', qq{
	SET SESSION AUTHORIZATION keeper;
	CREATE TABLE vault.calls (n int);
	INSERT INTO vault.calls VALUES (0);
	CREATE FUNCTION vault.calls_back() RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		i int;
	BEGIN
		UPDATE vault.calls SET n = n + 1 RETURNING n INTO i;
		IF i = 1 THEN
			UPDATE stripe_credit.settings SET max_payload = max_payload + 1;
			PERFORM stripe_credit.grant_credits('alice', 1, 'nested');
			BEGIN
				PERFORM $forged;
			EXCEPTION WHEN object_in_use THEN
				UPDATE vault.calls SET n = 10;
			END;
		END IF;
		RETURN 'whsec_vault';
	END
	\$\$;
	CREATE OR REPLACE VIEW vault.decrypted_secrets AS
		SELECT 'stripe'::text AS name, vault.calls_back() AS decrypted_secret});

# Three times in one session: what was freed too early would be found then.
my $session = $node->background_psql('postgres');
for my $round (1 .. 3)
{
	$session->query_safe('UPDATE vault.calls SET n = 0');
	is(status_of($session, session_event("evt_$round", account => 'alice'), secret => 'whsec_vault'),
		'applied', "round $round: a delivery while the view calls back");
	is($session->query_safe('SELECT n FROM vault.calls'),
		10, "round $round: which is refused");
}
$session->quit;
is($node->safe_psql('postgres', 'SELECT count(*) FROM stripe_credit.check_books()'),
	0, 'the books are right');

$node->stop;
done_testing();
