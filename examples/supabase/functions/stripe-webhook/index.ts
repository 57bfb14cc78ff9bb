// Stripe's webhook as an edge function, for those who can't open a route (kong.yml, envoy.yaml).  It hands on the bytes and
// the signature, and hands back what the database answers: verifying, counting once, unpaid and unknown are its business.
//
//   Stripe is told https://YOUR-PROJECT/functions/v1/stripe-webhook
//
// Stripe brings no token, so this function is not to ask for one: FUNCTIONS_VERIFY_JWT=false in .env, which is for all
// functions; with the CLI, verify_jwt = false under [functions.stripe-webhook] in config.toml.

const MAX_BODY = 1024 * 1024 // settings.max_payload is as large by default

// The browsers' key, by which the gateway knows us; for PostgREST that is anon, who may call this one function.
const keys = JSON.parse(Deno.env.get('SUPABASE_PUBLISHABLE_KEYS') || '{}')
const key: string = keys.default || Deno.env.get('SUPABASE_ANON_KEY') || ''
const address = `${Deno.env.get('SUPABASE_URL')}/rest/v1/rpc/stripe_webhook`

async function deliver(request: Request): Promise<Response> {
  // Bytes, not text and never JSON: the signature is over what came.
  const body = await request.arrayBuffer()
  if (body.byteLength > MAX_BODY) return Response.json({ error: 'payload too large' }, { status: 413 })
  const headers = new Headers({ apikey: key, 'content-type': 'application/json', 'content-profile': 'api' })
  const signature = request.headers.get('stripe-signature')
  if (signature !== null) headers.set('stripe-signature', signature)
  const answer = await fetch(address, { method: 'POST', headers, body, signal: AbortSignal.timeout(20_000) })
  return new Response(await answer.arrayBuffer(), {
    status: answer.status,
    headers: { 'content-type': answer.headers.get('content-type') ?? 'application/json' }
  })
}

Deno.serve(async (request: Request): Promise<Response> => {
  if (request.method !== 'POST') return Response.json({ error: 'method not allowed' }, { status: 405 })
  try {
    return await deliver(request)
  } catch (error) {
    console.error('delivery failed:', (error as Error).name)
    return Response.json({ error: 'no answer' }, { status: 502 }) // Stripe delivers again, for days
  }
})
