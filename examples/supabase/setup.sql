-- stripe_credit on a Supabase of your own, after the image of the Dockerfile is there.  Once, as its superuser:
--
--   docker exec -i supabase-db psql -U supabase_admin -d postgres -v ON_ERROR_STOP=1 -1 -f - < setup.sql
--
-- Before it: put the two secrets into the Vault, under Integrations in Studio (in a file or in a shell they would stay).
--   stripe_api_key           sk_test_... or rk_test_..., later a live one
--   stripe_webhook_secret    whsec_..., which Stripe shows with the endpoint
-- After it: PGRST_DB_SCHEMAS=public,storage,graphql_public,api in .env, and recreate the service rest.

--
-- The superuser's part
--

-- Not WITH SCHEMA extensions, and not by Studio's dialog, which says that: it makes a schema of its own, which PostgREST
-- must never serve.
CREATE EXTENSION stripe_credit;

-- The everyday role, which is no superuser here, runs it.
SELECT stripe_credit.administer('postgres');

--
-- The rest is done by postgres, as in the SQL editor
--

SET ROLE postgres;

UPDATE stripe_credit.settings
SET success_url = 'https://example.com/thanks?session={CHECKOUT_SESSION_ID}', cancel_url = 'https://example.com/shop'
WHERE only_row;

-- Read from the Vault at each use, so a new value there counts at once.
SELECT stripe_credit.set_api_key('vault:stripe_api_key');
SELECT stripe_credit.add_webhook_secret('vault:stripe_webhook_secret');

INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency) VALUES
	('starter', '100 credits', 100, 1000, 'usd'),
	('studio', '1000 credits', 1000, 8000, 'usd');

-- What PostgREST serves.  An account is the sub of the user's token, which is what auth.uid() returns: it is his id in
-- auth.users, as text.  That is so for anonymous sign-ins too, who keep it when they become users with an address.
--
-- Don't run GRANT ALL ON ALL ROUTINES on this schema, as guides to custom schemas do: it would let every visitor call
-- what is for service_role, which gives credits to whom it likes.  expose() grants what is needed, and to whom.
CREATE SCHEMA api;
SELECT stripe_credit.expose('api', 'anon', 'authenticated', 'service_role');

--
-- An example of your own tables with it: what each of a user's jobs has cost
--
-- The backend, as service_role, spends with the job's id as the key: spend_credits(account_id, 3, 'job ' || job_id).
--

CREATE TABLE public.job (
	job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	account_id text NOT NULL,
	prompt text NOT NULL
);
CREATE INDEX job_account ON public.job (account_id);

-- Nothing but his own, and only to read.  The SELECT around auth.uid() lets it be asked once, not for each row.
ALTER TABLE public.job ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_jobs ON public.job FOR SELECT TO authenticated USING (account_id = (SELECT auth.uid())::text);
REVOKE ALL ON public.job FROM anon, authenticated;
GRANT SELECT ON public.job TO authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.job TO service_role;

-- security_invoker: whoever reads it reads the table under his own policies, and his own ledger by credit_history().
-- Without it a view runs with its owner's rights; it could then read stripe_credit.ledger itself, and a WHERE that is
-- forgotten would show everybody's, which is what Supabase's linter calls security_definer_view, an error.
CREATE VIEW api.my_jobs WITH (security_invoker = true) AS
	SELECT j.job_id, j.prompt, h.credits, h.created_at
	FROM public.job j
		LEFT JOIN api.credit_history(max_rows => 1000) h ON h.idempotency_key = 'job ' || j.job_id;
GRANT SELECT ON api.my_jobs TO authenticated;

RESET ROLE;
