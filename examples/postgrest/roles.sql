-- First of two: the extension, and who is who.  Once for a database, as a superuser:
--
--   psql -d shop -v ON_ERROR_STOP=1 -1 -f roles.sql
--   psql -d shop -v ON_ERROR_STOP=1 -1 -f setup.sql -U app_owner
--
-- Roles are the server's, not the database's: leave out those that are there already.

CREATE EXTENSION stripe_credit;

-- PostgREST connects as authenticator, and becomes one of the three below for each request.
-- NOINHERIT, so that before it has become one of them it can do nothing.
-- Its password is for nobody's file of SQL:  \password authenticator
CREATE ROLE authenticator LOGIN NOINHERIT;

-- Whoever brings no token.  Stripe is one of these: its signature is what lets it in.
CREATE ROLE anon;
-- Whoever brings a token with "role": "authenticated"; its "sub" is the account.
CREATE ROLE authenticated;
-- Your own backend, by a token with "role": "service_role", which never goes into a browser.
CREATE ROLE service_role;
GRANT anon, authenticated, service_role TO authenticator;

-- How long a request may run, which PostgREST takes from the role that it becomes.  The functions that ask
-- Stripe say for themselves that they need longer.
ALTER ROLE anon SET statement_timeout = '5s';
ALTER ROLE authenticated SET statement_timeout = '10s';
ALTER ROLE service_role SET statement_timeout = '30s';

-- No superuser: runs the extension, and owns what PostgREST serves.  The functions that expose() makes do what
-- their owner may do, so it is no role that anybody can become through PostgREST.
CREATE ROLE app_owner LOGIN;
SELECT stripe_credit.administer('app_owner');

-- The one schema that PostgREST serves (db-schemas).  It is apart from the extension's own, which must never be
-- served, and from public, where other things stand.
CREATE SCHEMA api AUTHORIZATION app_owner;
