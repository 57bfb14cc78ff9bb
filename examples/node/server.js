// A whole webhook endpoint for stripe_credit: hand Stripe's bytes and Stripe's
// signature to one SQL function.  Verifying, counting twice or never, unpaid and
// unknown events are the database's business.
//
//   DATABASE_URL=postgres://web:...@localhost/shop PORT=3000 node server.js
//
// The role in DATABASE_URL needs no more than
//   GRANT USAGE ON SCHEMA stripe_credit TO web;
//   GRANT EXECUTE ON FUNCTION stripe_credit.webhook_bytes(bytea, text) TO web;
import http from 'node:http'
import pg from 'pg'

const MAX_BODY = 1024 * 1024 // settings.max_payload is as large by default
const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  connectionTimeoutMillis: 5000 // Stripe doesn't wait forever, so neither do we
})
pool.on('error', (error) => console.error('idle connection:', error.message)) // or it would end the process

// The signature is over these very bytes, so no JSON parser and no decoder comes near them.
async function readBody(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size <= MAX_BODY) chunks.push(chunk)
    else chunks.length = 0 // read to its end, so that the answer arrives, but not kept
  }
  return size <= MAX_BODY ? Buffer.concat(chunks) : null
}

async function webhook(request) {
  const body = await readBody(request)
  if (body === null) return [413, { error: 'payload too large' }]
  const { rows } = await pool.query('SELECT stripe_credit.webhook_bytes($1, $2) AS answer',
    [body, request.headers['stripe-signature'] ?? null])
  return [200, rows[0].answer] // committed: Stripe may forget the event
}

async function answerTo(request) {
  if (request.method === 'POST' && request.url === '/webhook') return webhook(request)
  if (request.method === 'GET' && request.url === '/healthz') {
    await pool.query('SELECT 1')
    return [200, { ok: true }]
  }
  return [404, { error: 'not found' }]
}

// SQLSTATE PTxyz means HTTP xyz.  Everything else is ours to mend and not for others to read:
// with 500 Stripe delivers the event again, for days.
function answerToError(error) {
  const status = /^PT([45]\d\d)$/.exec(error.code)?.[1]
  if (status) return [Number(status), { error: error.message }]
  console.error('request failed:', error.code, error.message)
  return [500, { error: 'internal error' }]
}

const server = http.createServer(async (request, response) => {
  const [status, answer] = await answerTo(request).catch(answerToError)
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
})
server.listen(process.env.PORT ?? 3000, '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`))
process.on('SIGTERM', () => server.close(() => pool.end())) // finish what is under way
