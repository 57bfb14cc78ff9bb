# A private server with the roles, schemas and functions of Supabase's that examples/supabase
# counts on.  Its Vault keeps what is put into it, and nothing more.

package StripeCredit::Supabase;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Cluster;

our @EXPORT = qw(new_supabase set_up_example);

# supabase_admin is the first superuser there, and postgres is none.
my $SCAFFOLD = q{
	CREATE ROLE postgres LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS;
	CREATE ROLE anon;
	CREATE ROLE authenticated;
	CREATE ROLE service_role BYPASSRLS;
	CREATE ROLE authenticator LOGIN NOINHERIT;
	GRANT anon, authenticated, service_role TO authenticator;
	GRANT anon, authenticated, service_role TO postgres WITH ADMIN OPTION;
	ALTER ROLE anon SET statement_timeout = '3s';
	ALTER ROLE authenticated SET statement_timeout = '8s';
	ALTER ROLE authenticator SET statement_timeout = '8s';
	GRANT ALL ON DATABASE postgres TO postgres;
	GRANT ALL ON SCHEMA public TO postgres;
	GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
	ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO postgres, anon, authenticated, service_role;

	CREATE SCHEMA extensions;
	CREATE SCHEMA storage;
	GRANT USAGE ON SCHEMA extensions TO postgres, anon, authenticated, service_role;
	CREATE SCHEMA auth;
	GRANT USAGE ON SCHEMA auth TO postgres, anon, authenticated, service_role;
	CREATE TABLE auth.users (id uuid PRIMARY KEY, email text UNIQUE);
	GRANT ALL ON auth.users TO postgres;
	CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
		RETURN (nullif(current_setting('request.jwt.claims', true), '')::jsonb->>'sub')::uuid;

	CREATE SCHEMA vault;
	GRANT USAGE ON SCHEMA vault TO postgres;
	CREATE TABLE vault.secrets (name text PRIMARY KEY, decrypted_secret text);
	CREATE VIEW vault.decrypted_secrets AS SELECT * FROM vault.secrets;
	GRANT SELECT ON vault.decrypted_secrets TO postgres;
};

# Whose superuser's name is in PGUSER from now on; conf is added to postgresql.conf.
sub new_supabase
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$ENV{PGUSER} = 'supabase_admin';
	$node->init(extra => [ '--encoding=UTF8', '--no-locale', '--username=supabase_admin' ]);
	$node->append_conf('postgresql.conf', $options{conf} || '');
	$node->start;
	$node->safe_psql('postgres', $SCAFFOLD);
	return $node;
}

# As its head says: two secrets in the Vault, and then all of it
sub set_up_example
{
	my ($node, %secrets) = @_;

	$node->safe_psql('postgres', sprintf q{INSERT INTO vault.secrets VALUES ('stripe_api_key', '%s'), ('stripe_webhook_secret', '%s')},
		$secrets{api_key} // 'sk_test_of_the_vault', $secrets{webhook} // 'whsec_of_the_vault');
	$node->command_ok(
		[
			'psql', '-qX', '-U', 'supabase_admin', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1', '-1',
			'-f', "$FindBin::RealBin/../../examples/supabase/setup.sql"
		],
		'examples/supabase/setup.sql runs');
	return;
}

1;
