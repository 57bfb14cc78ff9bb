// A small shop that sells credits and uses them up, which is what stripe_credit is for: this server, and the page
// in page/.  Balances, prices and what was paid are the database's business; nothing is kept here.
//
// To run it on a database of your own that has the extension, its webhook secret and its API key (README, steps 1
// to 4), as the extension's owner or administrator:
//
//   psql -d DATABASE -f roles.sql -f packs.sql     and give shop_web and shop_operator a password
//   npm install
//   DATABASE_URL=postgres://shop_web:...@localhost/DATABASE PORT=3000 node server.js
//
// PORT           of 127.0.0.1, where it listens (3000; 0 is any that is free)
// OPERATOR_URL   the same database as shop_operator: adds the operator's panel, and calls maintain() every minute.
//                Everybody who opens the page sees that panel, so it is for trying things out on your own machine.
// PUBLIC_URL     where buyers find the shop when it stands behind a proxy, https://shop.example.com
//
// Stripe's webhook belongs to PUBLIC_URL/webhook.  Without one, credits come as soon as a buyer is back on the page.
import { randomInt, randomUUID } from 'node:crypto'
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import * as database from './database.js'
import { Live } from './live.js'
import { accountOf, files, logged, originOf, readBody, readJson, Refusal, refusal, refuseOtherSites, sendJson,
  startStream, welcome } from './web.js'

const MAX_EVENT = 1024 * 1024 // settings.max_payload is as large by default
const PAGE_ROWS = 10
const live = new Live(database.present)

//
// Buying
//

// A visit is what an idempotency key is made of: of one opened page, each pack is bought once, however often and in
// however many ways the button's request is sent.
async function shop(request) {
  accountOf(request)
  const [mode, packs] = await Promise.all([database.mode(), database.packs()])
  return { mode, packs, visit: randomUUID(), operator: database.hasOperator }
}

async function buy(request) {
  const { pack, visit } = await readJson(request, 'pack', 'visit')
  return { url: await database.createCheckout(accountOf(request), pack, `${visit} ${pack}`, originOf(request)) }
}

// The buyer is back, sooner or later than the webhook: whoever comes first brings the credits.
async function confirm(request) {
  const account = accountOf(request)
  const { session } = await readJson(request, 'session')
  const answer = await database.confirmCheckout(session)
  if (answer.account !== account) throw new Refusal(404) // it is somebody else's
  live.changed(account)
  return { status: answer.status, credits: answer.credits ?? null }
}

// Stripe's bytes and Stripe's signature: all that is to be done with an event is the database's business.
async function webhook(request) {
  const body = await readBody(request, MAX_EVENT)
  const answer = await database.webhook(body, request.headers['stripe-signature'] ?? null)
  if (answer.account) live.changed(answer.account)
  return answer // committed: Stripe may forget the event
}

//
// Using credits
//

const MOST = 10 // credits that a poem can cost: one for each line
const LINE_TAKES = 250 // ms
const VERSE = [
  ['The tide', 'An old key', 'The clerk', 'A coin', 'A sparrow', 'The harbour', 'The ledger'],
  ['counts', 'forgets', 'keeps', 'waits for', 'gives back', 'remembers', 'borrows'],
  ['what was paid', 'the hours', 'its own name', 'the morning', 'an open door', 'its own light', 'what is owed']
]

const verse = () => VERSE.map((some) => some[randomInt(some.length)]).join(' ')

async function writePoem(fails, onLine) {
  const lines = randomInt(4, 8)
  for (let used = 1; used <= lines; used++) {
    await sleep(LINE_TAKES)
    if (fails && used === 4) throw new Error('it was to fail')
    onLine({ line: verse(), used })
  }
  return lines
}

// What it can cost is held before anything is done, what it did cost is captured, and when it fails nothing is.  Should
// this server die meanwhile, the hold ends by itself.  The answer is a line of JSON for each step.
async function generate(request, response) {
  const account = accountOf(request)
  const { fails } = await readJson(request)
  const job = randomUUID()
  await database.hold(account, MOST, job, '2 min') // not enough: HTTP 402, and nothing was begun
  live.changed(account)
  startStream(response, 'application/x-ndjson')
  const say = (step) => response.write(`${JSON.stringify(step)}\n`)
  try {
    say({ held: MOST })
    const used = await writePoem(fails === true, say) // also if nobody reads it any more
    await database.capture(account, job, used)
    say({ captured: used, free: MOST - used })
  } catch (error) {
    await giveUp(account, job, error)
    say({ failed: true, free: MOST })
  }
  live.changed(account)
  response.end()
}

// If it was captured after all, and only the answer was lost, this changes nothing.
async function giveUp(account, job, error) {
  console.error('job failed:', ...logged(error))
  await database.release(account, job).catch((failure) => console.error('not released:', ...logged(failure)))
}

//
// Looking
//

const statement = async (request, _response, query) => {
  const before = query.get('before')
  if (before !== null && !/^[1-9]\d{0,17}$/.test(before)) throw new Refusal(400)
  const rows = await database.statement(accountOf(request), PAGE_ROWS + 1, before)
  return { rows: rows.slice(0, PAGE_ROWS), more: rows.length > PAGE_ROWS }
}

function events(request, response) {
  const account = accountOf(request)
  startStream(response, 'text/event-stream')
  live.add(account, response)
}

//
// The operator's panel.  In a real shop it is another page behind another login.
//

async function operator(request) {
  const [purchase, attention, wrong] = await Promise.all([database.lastPurchase(accountOf(request)), database.attention(),
    database.wrongInBooks()])
  return { purchase: purchase ?? null, attention, wrong }
}

// By its key once.  Stripe's webhook tells of it too, and changes nothing any more.
async function refund(request) {
  const account = accountOf(request)
  const { visit } = await readJson(request, 'visit')
  const purchase = await database.lastPurchase(account)
  if (!purchase) throw new Refusal(404)
  const answer = await database.refund(purchase.payment, `${visit} ${purchase.payment}`)
  live.changed(account)
  return { credits: purchase.credits, status: answer.refund_status }
}

//
// Serving
//

const page = (request, response) => { files.page(response, welcome(request)) }

// What returns nothing has answered by itself.
const routes = {
  'GET /': page,
  'GET /thanks': page,
  'GET /shop.js': (_request, response) => { files.script(response) },
  'GET /shop.css': (_request, response) => { files.style(response) },
  'GET /icon.svg': (_request, response) => { files.icon(response) },
  'GET /shop': shop,
  'GET /events': events,
  'GET /statement': statement,
  'POST /buy': buy,
  'POST /confirm': confirm,
  'POST /generate': generate,
  'POST /webhook': webhook,
  'GET /healthz': async () => ({ ok: Boolean(await database.mode()) }),
  ...database.hasOperator && { 'GET /operator': operator, 'POST /refund': refund }
}

async function serve(request, response) {
  const [path, query = ''] = request.url.split(/\?(.*)/s)
  const route = Object.hasOwn(routes, `${request.method} ${path}`) ? routes[`${request.method} ${path}`] : null
  if (!route) throw new Refusal(404)
  if (route !== webhook) originOf(request)
  if (request.method === 'POST' && route !== webhook) refuseOtherSites(request) // Stripe proves itself by its signature
  const answer = await route(request, response, new URLSearchParams(query))
  if (answer) sendJson(response, 200, answer)
}

const server = http.createServer((request, response) => {
  serve(request, response).catch((error) => {
    const [status, answer] = refusal(error)
    if (response.headersSent) response.destroy()
    else sendJson(response, status, answer)
  })
})

function die(message) {
  console.error(`error: ${message}`)
  process.exit(1)
}

// Says at once what would otherwise be said to the first buyer.
async function start() {
  const port = process.env.PORT ?? '3000'
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) die(`PORT is no port: ${port}`)
  if (!process.env.DATABASE_URL) die('DATABASE_URL is not set: it names the database, as role shop_web')
  await database.mode().catch((error) => die(`the database of DATABASE_URL can't be used: ${error.message}`))
  server.on('error', (error) => die(`can't listen on port ${port} of 127.0.0.1: ${error.message}`))
  server.listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
  if (database.hasOperator) {
    setInterval(() => database.maintain().catch((error) => console.error('maintain:', error.message)), 60_000).unref()
  }
}

function end() {
  if (!server.listening) return
  live.end()
  server.close(() => database.close()) // finish what is under way
}

process.on('SIGTERM', end)
process.on('SIGINT', end)
await start()
