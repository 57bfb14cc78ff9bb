\i test/helpers.sql
-- verify_signature(): vectors that were computed elsewhere, and every edge.
SELECT n, stripe_credit.verify_signature(payload, signature, secret, NULL) AS got FROM (VALUES
	(1, '{"id": "evt_1"}'::bytea, 't=1700000000,v1=a0c091828640f0b68061abc7c03981ad1100ff7160c5dba6b656239494a2b537', 'whsec_test'),
	(2, '', 't=1700000000,v1=5967f3c560522fa40cf2876ebc3c3a08551dd6959aaade3b413460591895bdcc', 'whsec_test'),
	(3, 'x', 't=0,v1=7f6e7f4769073df169b164fc80739e9faa452ebce2cdb6061ed1ca5d729abf78', 'whsec_test'),
	(4, 'x', 't=99999999999,v1=18d8105706939517a744430b9f61f22580be9ce5fcc6e5b1430dff9256122a70', 'whsec_test'),
	(5, decode((SELECT string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i) FROM generate_series(0, 255) AS i), 'hex'),
		't=1700000000,v1=d4fa90601f4cf4c0de76a67b4458f04dd5b261f41d6178470bd31d3f6e1bb5b7', U&'s\20accret'),
	(6, 'x', 't=1700000000,v1=79d36e904bdb83a41c05f37c92b49d24c6d80df2370038686c2fcff80feae808', repeat('k', 64)),
	(7, 'x', 't=1700000000,v1=7b20c2259d844f99ac61a7d7f7673f884ecd0326ef32e596070e764e00d926f7', repeat('k', 65)),
	(8, convert_to(repeat('a', 1000000), 'UTF8'), 't=1700000000,v1=5312ffafdda11fe6206ebaec1a7ed2080030eee46f5e4849f46d2f3c60899769', 'whsec_test'),
	(9, 'x', 't=1700000000,v1=fb72f1ebc20c69c26055a2ecfecc4a69cbf9dfc50faf55eec34588ddcd2378a6', ' whsec test ')
) AS c (n, payload, signature, secret) ORDER BY n;
-- our own way to sign says the same
SELECT t.sign('{"id": "evt_1"}', 'whsec_test', 1700000000) = 't=1700000000,v1=a0c091828640f0b68061abc7c03981ad1100ff7160c5dba6b656239494a2b537' AS short,
	t.sign('x', repeat('k', 65), 1700000000) = 't=1700000000,v1=7b20c2259d844f99ac61a7d7f7673f884ecd0326ef32e596070e764e00d926f7' AS long;
-- one octet of anything makes it another
SELECT stripe_credit.verify_signature('{"id": "evt_2"}', s, 'whsec_test', NULL) AS payload,
	stripe_credit.verify_signature('{"id": "evt_1"} ', s, 'whsec_test', NULL) AS longer,
	stripe_credit.verify_signature('{"id": "evt_1"}', s, 'whsec_tesT', NULL) AS secret,
	stripe_credit.verify_signature('{"id": "evt_1"}', replace(s, '=17', '=18'), 'whsec_test', NULL) AS time,
	stripe_credit.verify_signature('{"id": "evt_1"}', regexp_replace(s, '.$', 'f'), 'whsec_test', NULL) AS last_digit,
	stripe_credit.verify_signature('', s, 'whsec_test', NULL) AS nothing
	FROM (VALUES ('t=1700000000,v1=a0c091828640f0b68061abc7c03981ad1100ff7160c5dba6b656239494a2b537')) AS x (s);

--
-- Arguments
--
CREATE FUNCTION t.verify(arguments text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT t.try(format('SELECT stripe_credit.verify_signature(%s)',
		replace(replace(arguments, '$s', quote_literal(t.sign('x', 'whsec_test', 1700000000))), '$t', 'to_timestamp(1700000000)')))
$$;
SELECT n, what, t.verify(what) AS got FROM (VALUES
	(1, $$'x', $s, 'whsec_test', '300 s', $t$$),
	(2, $$NULL, $s, 'whsec_test', '300 s', $t$$), (3, $$'x', NULL, 'whsec_test', '300 s', $t$$), (4, $$NULL, NULL, 'whsec_test', '300 s', $t$$),
	(5, $$'x', $s, NULL, '300 s', $t$$), (6, $$'x', $s, '', '300 s', $t$$), (7, $$'x', $s, E' \t\r\n', '300 s', $t$$),
	(8, $$NULL, NULL, NULL, '300 s', $t$$), (9, $$NULL, NULL, '', '300 s', $t$$), (10, $$'x', 'rubbish', ' ', '300 s', $t$$),
	(11, $$'x', $s, 'whsec_test', '-1 us', $t$$), (12, $$'x', $s, 'whsec_test', '-1 month', $t$$), (13, $$'x', $s, 'whsec_test', '1 day -25 hours', $t$$),
	(14, $$NULL, NULL, 'whsec_test', '-1 s', $t$$), (15, $$'x', $s, 'whsec_test', '1 month -29 days', $t$$),
	(16, $$'x', $s, 'whsec_test', NULL, $t$$), (17, $$'x', $s, 'whsec_test', NULL, '2500-01-01'$$), (18, $$'x', $s, 'whsec_test', NULL, '0044-03-15 BC'$$),
	(19, $$'x', $s, 'whsec_test', NULL, NULL$$), (20, $$'x', $s, 'whsec_test', '300 s', 'infinity'$$), (21, $$'x', $s, 'whsec_test', '300 s', '-infinity'$$),
	(22, $$'x', $s, 'whsec_test', '170000000 years', '294276-12-31'$$), (23, $$'x', $s, 'whsec_test', '170000000 years', '4713-01-01 BC'$$),
	(24, $$'x', $s, 'whsec_test', '1 year', '294276-12-31'$$), (25, $$'x', $s, 'whsec_test', '1 year', '4713-01-01 BC'$$),
	(26, $$'x', $s, 'whsec_test'$$), (27, $$'x', t.sign('x', 'whsec_test'), 'whsec_test'$$)
) AS c (n, what) ORDER BY n;

--
-- Age: both sides, with "at" floored to whole seconds
--
SELECT age, tolerance, stripe_credit.verify_signature('x', t.sign('x', 's', 1700000000), 's', tolerance, to_timestamp(1700000000) + age) AS got FROM (VALUES
	(1, interval '0 s', interval '300 s'), (2, '300 s', '300 s'), (3, '300.999999 s', '300 s'), (4, '301 s', '300 s'),
	(5, '-300 s', '300 s'), (6, '-300.000001 s', '300 s'), (7, '-301 s', '300 s'),
	(8, '0 s', '0 s'), (9, '0.999999 s', '0 s'), (10, '1 s', '0 s'), (11, '-0.000001 s', '0 s'), (12, '-1 s', '0 s'),
	(13, '1.5 s', '1.5 s'), (14, '2 s', '1.5 s'), (15, '-1 s', '1.5 s'), (16, '-2 s', '1.999999 s'),
	(17, '30 days', '1 month'), (18, '30 days 1 s', '1 month'), (19, '24 hours', '1 day'), (20, '24 hours 1 s', '1 day')
) AS c (n, age, tolerance) ORDER BY n;
-- before 1970, where floored is not cut off
SELECT stripe_credit.verify_signature('x', t.sign('x', 's', 0), 's', '1 s', '1969-12-31 23:59:59.000001+00') AS one_before,
	stripe_credit.verify_signature('x', t.sign('x', 's', 0), 's', '1 s', '1969-12-31 23:59:58.999999+00') AS two_before,
	stripe_credit.verify_signature('x', t.sign('x', 's', 946684799), 's', '0 s', '1999-12-31 23:59:59.5+00') AS of_1999,
	stripe_credit.verify_signature('x', t.sign('x', 's', 99999999999), 's', '0 s', to_timestamp(99999999999)) AS of_5138;
-- malformed before mismatch, mismatch before age
SELECT stripe_credit.verify_signature('x', 't=1,v1=x', 's', '0 s', to_timestamp(1700000000)) AS malformed,
	stripe_credit.verify_signature('x', 't=1,v1=' || repeat('0', 64), 's', '0 s', to_timestamp(1700000000)) AS mismatch,
	stripe_credit.verify_signature('x', t.sign('x', 's', 1), 's', '0 s', to_timestamp(1700000000)) AS expired,
	stripe_credit.verify_signature('x', t.sign('x', 's', 1800000000), 's', '0 s', to_timestamp(1700000000)) AS future;

--
-- Headers; %s is the right signature for what stands behind "t=", %w a wrong one
--
CREATE FUNCTION t.header(template text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT stripe_credit.verify_signature('x', replace(replace(template, '%s',
		t.hmac(convert_to(coalesce(substring(template FROM 't=([^,; ]*)'), '5') || '.x', 'UTF8'), 's')), '%w', repeat('0', 64)), 's', NULL)
$$;
SELECT what, t.header(template) AS got FROM (VALUES
	(1, 'good', 't=5,v1=%s'),
	(2, 'empty', ''),
	(3, 'blank', '   '),
	(4, 'a comma', ','),
	(5, 'no t', 'v1=%s'),
	(6, 'two t', 't=5,t=5,v1=%s'),
	(7, 'two t, the second bad', 't=5,t=x,v1=%s'),
	(8, 'two t around', 't=5,v1=%s,t=6'),
	(9, 'empty t', 't=,v1=%s'),
	(10, 'negative', 't=-5,v1=%s'),
	(11, 'plus', 't=+5,v1=%s'),
	(12, 'zero before', 't=05,v1=%s'),
	(13, 'zero', 't=0,v1=%s'),
	(14, 'two zeros', 't=00,v1=%s'),
	(15, 'fraction', 't=5.0,v1=%s'),
	(16, 'exponent', 't=5e0,v1=%s'),
	(17, 'hexadecimal', 't=0x5,v1=%s'),
	(18, 'letters behind', 't=5s,v1=%s'),
	(19, 'underscore', 't=1_7,v1=%s'),
	(20, '11 digits', 't=99999999999,v1=%s'),
	(21, '12 digits', 't=100000000000,v1=%s'),
	(22, '20 digits', 't=18446744073709551621,v1=%s'),
	(23, 'space before the number', 't= 5,v1=%s'),
	(24, 'space before the equals', 't =5,v1=%s'),
	(25, 'T', 'T=5,v1=%s'),
	(26, 'Arabic digits', U&'t=\0665,v1=%s'),
	(27, 'no v1', 't=5'),
	(28, 'empty v1', 't=5,v1='),
	(29, 'v0', 't=5,v0=%s'),
	(30, 'v11', 't=5,v11=%s'),
	(31, 'v1 in capitals', 't=5,V1=%s'),
	(32, 'a digit short', 't=5,v1=' || repeat('0', 63)),
	(33, 'a digit long', 't=5,v1=%s0'),
	(34, 'no digit', 't=5,v1=' || repeat('0', 63) || 'g'),
	(35, 'no ASCII', 't=5,v1=' || repeat('0', 62) || U&'\00e9'),
	(36, 'a space inside', 't=5,v1= %s'),
	(37, 'semicolon', 't=5;v1=%s'),
	(38, 'line break', E't=5,\nv1=%s'),
	(39, 'tab', E't=5,\tv1=%s'),
	(40, 'wrong', 't=5,v1=%w'),
	(41, 'bad ones are passed over', 't=5,v1=x,v1=%s,v1='),
	(42, 'bad ones and a wrong one', 't=5,v1=x,v1=%w'),
	(43, 'wrong, right', 't=5,v1=%w,v1=%s'),
	(44, 'right, wrong', 't=5,v1=%s,v1=%w'),
	(45, 'twice', 't=5,v1=%s,v1=%s'),
	(46, 'v1 first', 'v1=%s,t=5'),
	(47, 'spaces around', ' t=5 ,  v1=%s '),
	(48, 'commas around', ',,t=5,,v1=%s,,'),
	(49, 'other schemes', 't=5,v0=%w,v2=%s,' || U&'\20ac=1' || ',x,=,v1=%s'),
	(50, 'no-break space', U&'t=5,\00a0v1=%s'),
	(51, 'as long as may be', 't=5,v1=%s,' || repeat('x', 16384 - 72)),
	(52, 'one more', 't=5,v1=%s,' || repeat('x', 16384 - 71)),
	(53, '240 candidates, the last right', 't=5' || repeat(',v1=%w', 239) || ',v1=%s'),
	(54, '1,000', 't=5' || repeat(',v1=%w', 999) || ',v1=%s'),
	(55, 'a megabyte', repeat('t=5,v1=%s,', 14000)),
	(56, 'a megabyte of one part', repeat('v', 1000000))
) AS c (n, what, template) ORDER BY n;
SELECT stripe_credit.verify_signature('x', 't=5,v1=' || upper(t.hmac('5.x', 's')), 's', NULL) AS capitals;
-- a secret is rolled: the header has a signature by each
SELECT secret, stripe_credit.verify_signature('x', format('t=5,v1=%s,v1=%s,v0=%s', t.hmac('5.x', 'old'), t.hmac('5.x', 'new'), t.hmac('5.x', 'test')),
	secret, NULL) AS got FROM unnest(ARRAY['old', 'new', 'test', 'other']) AS secret;
-- large and compressed bodies
SELECT stripe_credit.verify_signature(b, t.sign(b, 's'), 's') AS got
	FROM (SELECT convert_to(repeat('0123456789', 500000), 'UTF8') AS b) x;
CREATE TABLE t.bodies AS SELECT convert_to(repeat('0123456789', 5000), 'UTF8') AS b;
SELECT pg_column_size(b) < octet_length(b) AS compressed, stripe_credit.verify_signature(b, t.sign(b, 's'), 's') AS got FROM t.bodies;

DROP SCHEMA t CASCADE;
DROP EXTENSION stripe_credit;
DROP SCHEMA stripe_credit;
