// @supabase/supabase-js as a page, a backend and an edge function use it, for tests:
//
//     node supabase.mjs DIR URL ANON_KEY SERVICE_KEY        DIR has node_modules
//
// Each line is a call, or a webhook that an edge function is to forward:
//
//     {"token": TOKEN, "rpc": "credits", "arguments": {}, "options": {"get": true}}     or "service": true in place of a token, or neither
//     {"data": …, "error": …, "status": 200, "statusText": "OK"}
//
//     {"webhook": BASE64, "signature": "t=…,v1=…"}
//     {"status": 200, "body": …}
import { answerEach, bring } from './lines.mjs'

const { createClient } = bring('@supabase/supabase-js')
const [url, anonKey, serviceKey] = process.argv.slice(3)
const db = { schema: 'api' }

const backend = createClient(url, serviceKey, { db, auth: { persistSession: false } })

// Who has signed in has a token, which goes with each of his calls.
const page = (token) => createClient(url, anonKey, { db, ...(token && { accessToken: async () => token }) })

async function call({ token, service, rpc, arguments: given, options }) {
  const { data, error, status, statusText } = await (service ? backend : page(token)).rpc(rpc, given, options)
  return { data, error, status, statusText }
}

// What an edge function does: the body goes on as the text that it is.
async function forward(request) {
  return fetch(`${url}/rest/v1/rpc/stripe_webhook`, {
    method: 'POST',
    body: await request.text(),
    headers: {
      'content-type': 'application/json',
      'content-profile': db.schema,
      'stripe-signature': request.headers.get('stripe-signature') ?? '',
      apikey: anonKey
    }
  })
}

async function take({ webhook, signature }) {
  const answer = await forward(new Request('http://edge.example/', { method: 'POST', body: Buffer.from(webhook, 'base64'),
    headers: { 'content-type': 'application/json; charset=utf-8', 'stripe-signature': signature } }))
  return { status: answer.status, body: await answer.json() }
}

await answerEach((asked) => asked.webhook === undefined ? call(asked) : take(asked))
process.exit() // whatever the clients keep open
