-- The role of the application in this directory: it may call exactly these
-- functions, and read what the shop shows of its packs.
--
--   psql -f roles.sql shop
--
-- as a role that stripe_credit.administer() has named and that may create roles,
-- or as a superuser.  Then give it a password: \password credits_app
--
-- It acts for every user, as it is the application that knows who is logged in:
-- keep its password on the server.  It can't grant or adjust credits, refund,
-- read the books of all, or see a secret.

CREATE ROLE credits_app LOGIN;

GRANT USAGE ON SCHEMA stripe_credit TO credits_app;
GRANT SELECT (pack_id, name, credits, unit_amount, currency, recurring_interval, active)
	ON stripe_credit.pack TO credits_app;
GRANT EXECUTE ON FUNCTION
	stripe_credit.create_checkout(text, text, integer, text, text, text, text, jsonb),
	stripe_credit.confirm_checkout(text),
	stripe_credit.balance(text),
	stripe_credit.statement(text, integer, bigint),
	stripe_credit.spend(text, bigint, text, jsonb),
	stripe_credit.hold(text, bigint, text, interval),
	stripe_credit.capture(text, text, bigint),
	stripe_credit.release(text, text)
	TO credits_app;
