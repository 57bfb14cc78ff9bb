-- Second of two, after roles.sql: what is sold, and what PostgREST serves.  As app_owner, who is no superuser:
--
--   psql -d shop -v ON_ERROR_STOP=1 -1 -f setup.sql -U app_owner

-- Where Checkout sends the buyer.  A browser can't name these, so they are the same for all.
UPDATE stripe_credit.settings
SET success_url = 'https://example.com/thanks?session={CHECKOUT_SESSION_ID}', cancel_url = 'https://example.com/shop'
WHERE only_row;

-- References to secrets, not secrets: files of one line that the server's own user can read.  The API key's must be
-- there by now, since it says by its prefix whether it is a test key.
SELECT stripe_credit.set_api_key('file:/etc/stripe/api_key');
SELECT stripe_credit.add_webhook_secret('file:/etc/stripe/webhook_secret');

INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency) VALUES
	('starter', '100 credits', 100, 1000, 'usd'),
	('studio', '1000 credits', 1000, 8000, 'usd');

-- The functions: stripe_webhook for anon; packs, create_checkout, confirm_checkout, credits, credit_history and
-- customer_portal for authenticated; spend_credits and its like for service_role.  Nobody is given anything else, and
-- PostgREST is told to read its schema again.  After an upgrade, or a change of stripe_credit.timeout, run it again.
SELECT stripe_credit.expose('api', 'anon', 'authenticated', 'service_role');
