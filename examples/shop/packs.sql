-- Something to sell.  Amounts are in minor units: 500 usd is $5.00, and 3000 jpy is ¥3,000.
INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency, recurring_interval, expires_after) VALUES
	('sampler', 'Sampler', 100, 500, 'usd', NULL, NULL),
	('notebook', 'Notebook', 250, 1000, 'eur', NULL, NULL),
	('volume', 'Volume', 1000, 3000, 'jpy', NULL, NULL),
	('monthly', 'Monthly', 500, 1200, 'usd', 'month', '1 month');
