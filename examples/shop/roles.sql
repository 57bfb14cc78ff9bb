-- What the shop may do in the database, by name: run it once, as the owner of the extension or as an
-- administrator who may create roles.  Neither role is a superuser, and neither can read a table of the
-- books but those that stand here.

-- The shop itself: what a buyer's page needs, and Stripe's webhook.
CREATE ROLE shop_web LOGIN;
GRANT USAGE ON SCHEMA stripe_credit TO shop_web;
GRANT EXECUTE ON FUNCTION
	stripe_credit.webhook_bytes(bytea, text),
	stripe_credit.create_checkout(text, text, integer, text, text, text, text, jsonb),
	stripe_credit.confirm_checkout(text),
	stripe_credit.balance(text),
	stripe_credit.statement(text, integer, bigint),
	stripe_credit.hold(text, bigint, text, interval),
	stripe_credit.capture(text, text, bigint),
	stripe_credit.release(text, text)
	TO shop_web;
GRANT SELECT ON stripe_credit.pack TO shop_web;
GRANT SELECT (mode) ON stripe_credit.settings TO shop_web;

-- The operator's panel, over a connection of its own: whoever takes over the shop's can't refund.
CREATE ROLE shop_operator LOGIN;
GRANT USAGE ON SCHEMA stripe_credit TO shop_operator;
GRANT EXECUTE ON FUNCTION
	stripe_credit.refund_payment(text, bigint, text, text),
	stripe_credit.statement(text, integer, bigint),
	stripe_credit.check_books(),
	stripe_credit.maintain(integer)
	TO shop_operator;
GRANT SELECT ON stripe_credit.attention TO shop_operator;
GRANT SELECT (payment_id, amount, currency, posted) ON stripe_credit.payment TO shop_operator;
