// A tour of stripe_credit over HTTP: on one side Stripe, played by its test double (test/double), on the other the webhook
// server of examples/node and the page that buyers come back to.  Every answer is checked; the first that is not as it
// should be ends the tour with exit code 1.
//
// test/demo/run sets these up: DATABASE_URL (the owner), API_KEY_FILE, and DOUBLE (what the double says of itself),
// WEBHOOK_SECRET_FILE.  Without DOUBLE the key is one of Stripe's test mode, and there is a shorter tour with Stripe
// itself, at the end of this file.
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import Stripe from 'stripe'
import { ask, double, pointWebhookTo, secret, secretFile, startServer } from './stage.js'

const stripe = new Stripe('sk_test_never_used') // only for the signature: it sends nothing
const owner = new pg.Client({ connectionString: process.env.DATABASE_URL })
let checked = 0

//
// Telling and checking
//

const WIDEST = 60
const title = (text) => console.log(`\n-- ${text}`)
const sqlText = (text) => console.log(text.trim().replace(/^\s*/gm, '     '))

function expect(what, got, wanted) {
  const [is, should] = [got, wanted].map((value) => JSON.stringify(value))
  if (is !== should) throw new Error(`${what}: got ${is}, but it should be ${should}`)
  checked++
}

// One line for each row, or for each column where one is too wide for that.
function printTable(columns, rows) {
  const lines = [columns, ...rows.map((row) => columns.map((name) => toText(row[name])))]
  if (lines.flat().some((cell) => cell.length > WIDEST)) return printRecords(columns, lines.slice(1))
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)))
  for (const line of lines) console.log(`     ${line.map((cell, i) => cell.padEnd(widths[i])).join('  ')}`.trimEnd())
  return undefined
}

function printRecords(columns, rows) {
  const width = Math.max(...columns.map(({ length }) => length))
  for (const row of rows) {
    for (const [i, cell] of row.entries()) console.log(`     ${columns[i].padEnd(width)} | ${cell}`.trimEnd())
  }
}

function toText(value) {
  if (value === null) return ''
  if (value instanceof Date) return value.toISOString().replace(/\.\d+Z$/, 'Z')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

async function sql(text, parameters) {
  return (await owner.query(text, parameters)).rows
}

async function show(text) {
  sqlText(text)
  const result = await owner.query(text)
  if (result.rows.length > 0) printTable(result.fields.map((field) => field.name), result.rows)
  else console.log('     (no rows)')
  return result.rows
}

// What is shown of a function that returns one value: the statement, and that.
async function call(text) {
  const [row] = await show(text)
  return Object.values(row)[0]
}

async function run(text) {
  sqlText(text)
  await owner.query(text)
}

async function expectBalance(account, wanted) {
  const [row] = await sql('SELECT balance::int, available::int FROM stripe_credit.balance($1)', [account])
  console.log(`     ${account} has ${row.balance} credits`)
  expect(`the balance of ${account}`, row, { balance: wanted, available: wanted })
}

//
// Stripe's side: what its double is told, and what somebody does who pays
//

const endpoint = (more) => pointWebhookTo(server.url, more)

let told = 0

// What the double has delivered since the last time, with the answers of our server.
async function deliveries() {
  await ask('deliver', {}) // waits for what is under way
  const all = await ask('deliveries')
  const fresh = all.slice(told).map(({ type, event: id, status, body }) => ({ type, id, http: status, body: JSON.parse(body) }))
  told = all.length
  return fresh
}

function tell({ type, id, http: status, body }) {
  console.log(`     webhook: ${type} ${id} -> HTTP ${status} ${JSON.stringify(body)}`)
}

const EITHER = 'applied or duplicate' // which depends on who was first, or on the clock's second

// Shows them; wanted are their types, each with the status that was answered.
async function expectDeliveries(wanted) {
  const fresh = await deliveries()
  fresh.forEach(tell)
  const answers = fresh.map(({ type, http: status, body }, i) => {
    const isEither = wanted[i]?.[1] === EITHER && ['applied', 'duplicate'].includes(body.status)
    return [type, status, isEither ? EITHER : body.status]
  })
  expect('what the server has answered to webhooks', answers, wanted.map(([type, status]) => [type, 200, status]))
}

async function checkout(account, pack, key) {
  const [session] = await show(`SELECT * FROM stripe_credit.create_checkout('${account}', '${pack}', idempotency_key => '${key}')`)
  return session
}

// The buyer's browser on Checkout's page.  It is sent back when the server has answered the webhooks, which are shown first.
// Returns what the landing page says, or undefined if the browser is closed before that.
async function pay({ url }, wanted, { comesBack = true, ...form } = {}) {
  const amount = /id="amount">([^<]*)/.exec(await (await fetch(url)).text())?.[1]
  console.log(`     the buyer pays ${amount}`)
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form), redirect: comesBack ? 'follow' : 'manual' })
  await expectDeliveries(wanted)
  if (!comesBack) return undefined
  const answer = await response.json()
  console.log(`     landing page: confirm_checkout() -> ${JSON.stringify(answer)}`)
  return answer
}

//
// Events that are signed here, by Stripe's own package
//

const now = () => Math.floor(Date.now() / 1000)
let events = 0

function event(type, object) {
  return { id: `evt_demo${++events}`, object: 'event', api_version: '2026-10-28.endive', created: now(), livemode: false,
    type, data: { object } }
}

function session(number, fields) {
  return { id: `cs_test_demo${number}`, object: 'checkout.session', mode: 'payment', status: 'complete', livemode: false,
    payment_status: 'paid', payment_intent: `pi_demo${number}`, currency: 'usd', amount_subtotal: 1000,
    amount_total: 1000, customer: null, customer_email: null, customer_details: null, client_reference_id: null,
    payment_link: null, subscription: null, total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    metadata: {}, ...fields }
}

const order = (account) => ({ metadata: { stripe_credit_account: account, stripe_credit_pack: 'starter' } })

async function post(payload, signingSecret = secret) {
  const signature = stripe.webhooks.generateTestHeaderString({ payload, secret: signingSecret })
  const response = await fetch(`${server.url}/webhook`,
    { method: 'POST', headers: { 'content-type': 'application/json', 'stripe-signature': signature }, body: payload })
  return { http: response.status, body: await response.json() }
}

async function deliver(sent, status, wanted, signingSecret) {
  const answer = await post(JSON.stringify(sent), signingSecret)
  tell({ ...sent, ...answer })
  expect(`the answer to ${sent.type}`, { http: answer.http, status: answer.body.status }, { http: status, status: wanted })
}

//
// Our side: the server of examples/node and the landing page, as a role that may do nothing else
//

let server
const landing = { url: null, server: null, client: null }

async function confirm(request, response) {
  const { searchParams } = new URL(request.url, landing.url)
  const { rows } = await landing.client.query('SELECT stripe_credit.confirm_checkout($1) AS answer', [searchParams.get('session')])
  response.end(JSON.stringify(rows[0].answer))
}

async function startLandingPage(url) {
  landing.client = new pg.Client({ connectionString: url })
  await landing.client.connect()
  landing.server = http.createServer((request, response) =>
    confirm(request, response).catch((error) => response.writeHead(500).end(JSON.stringify({ error: error.message }))))
  await new Promise((resolve) => { landing.server.listen(0, '127.0.0.1', resolve) })
  landing.url = `http://127.0.0.1:${landing.server.address().port}`
}

//
// The tour
//

async function install() {
  title('Set up: the extension, two packs, the key of the API')
  await run('CREATE EXTENSION stripe_credit')
  await run(`INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency)
    VALUES ('starter', '100 credits', 100, 1000, 'usd')`)
  await run(`INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency, recurring_interval, expires_after)
    VALUES ('monthly', '500 credits a month', 500, 900, 'usd', 'month', '1 month')`)
  console.log("     SELECT stripe_credit.set_api_key('file:/.../api_key')")
  await sql('SELECT stripe_credit.set_api_key($1)', [`file:${process.env.API_KEY_FILE}`])
}

async function openShop() {
  title('Set up: the secret of the webhook, a role for the web, and what it runs')
  console.log("     SELECT stripe_credit.add_webhook_secret('file:/.../webhook_secret')")
  await sql('SELECT stripe_credit.add_webhook_secret($1)', [`file:${secretFile}`])
  console.log("     CREATE ROLE web LOGIN PASSWORD '...'")
  const password = randomBytes(16).toString('hex')
  await sql(`CREATE ROLE web LOGIN PASSWORD '${password}'`)
  await run('GRANT USAGE ON SCHEMA stripe_credit TO web')
  await run('GRANT EXECUTE ON FUNCTION stripe_credit.webhook_bytes(bytea, text), stripe_credit.confirm_checkout(text) TO web')
  const { href } = Object.assign(new URL(process.env.DATABASE_URL), { username: 'web', password })
  server = await startServer('node', { DATABASE_URL: href, PORT: '0' })
  const { status } = await fetch(`${server.url}/healthz`)
  console.log(`     node server.js: GET /healthz -> HTTP ${status}`)
  expect('the answer to /healthz', status, 200)
  await startLandingPage(href)
  await run(`UPDATE stripe_credit.settings SET success_url = '${landing.url}/thanks?session={CHECKOUT_SESSION_ID}'`)
  await endpoint()
}

async function purchases() {
  title('Alice buys the pack for $10.00: this is where to send her; and she clicks twice')
  const first = await checkout('alice', 'starter', 'order 1')
  expect('what she buys', [first.credits, first.amount, first.currency, first.livemode], ['100', '1000', 'usd', false])
  expect('the session of the second click', (await checkout('alice', 'starter', 'order 1')).session_id, first.session_id)

  title('She pays on the page of Checkout; Stripe delivers its webhooks, and sends her back')
  const landed = await pay(first, [['payment_intent.succeeded', 'applied'], ['checkout.session.completed', 'applied']])
  expect('the answer of confirm_checkout()', landed.status, 'duplicate')
  await expectBalance('alice', 100)

  title('Stripe delivers the same event again: at least once is its promise')
  await ask('deliver', { event: await lastEvent('checkout.session.completed') })
  await expectDeliveries([['checkout.session.completed', 'duplicate']])
  await expectBalance('alice', 100)
  await twentyAtOnce()
  await landingFirst()
}

// Stripe's API as it is: whatever has no function of its own
async function lastEvent(type) {
  const [{ id }] = await show(`SELECT stripe_credit.stripe_request('GET', '/v1/events',
    '{"type": "${type}", "limit": 1}')->'data'->0->>'id' AS id`)
  return id
}

async function twentyAtOnce() {
  title('Another purchase of hers, whose event comes twenty times at once, and she closes her browser')
  await endpoint({ drop: ['*'], concurrent: true })
  const second = await checkout('alice', 'starter', 'order 2')
  await pay(second, [], { comesBack: false })
  const id = await lastEvent('checkout.session.completed')
  await Promise.all(Array.from({ length: 20 }, () => ask('deliver', { event: id })))
  const counts = {}
  for (const { http: status, body } of await deliveries()) {
    counts[`${status} ${body.status}`] = (counts[`${status} ${body.status}`] ?? 0) + 1
  }
  console.log(`     ${Object.entries(counts).map(([answer, n]) => `${n} x HTTP ${answer}`).join(', ')}`)
  expect('how often it was applied', [counts['200 applied'], counts['200 duplicate']], [1, 19])
  await endpoint()
  await expectBalance('alice', 200)
}

async function landingFirst() {
  title('Erin is back before her webhook: the landing page asks Stripe, and she has her credits; the webhook comes later')
  await endpoint({ drop: ['*'] })
  const landed = await pay(await checkout('erin', 'starter', 'order 1'), [])
  expect('the answer of confirm_checkout()', [landed.status, landed.credits], ['applied', 100])
  await expectBalance('erin', 100)
  await endpoint()
  await ask('deliver', { event: await lastEvent('checkout.session.completed') })
  await expectDeliveries([['checkout.session.completed', EITHER]])
  await expectBalance('erin', 100)
}

async function spending() {
  title('Alice uses credits: the key of the request makes sure that it is paid for once, however often it is tried')
  const [first] = await show(`SELECT * FROM stripe_credit.spend('alice', 30, 'request 1', '{"model": "large"}')`)
  expect('what is left', [first.available, first.duplicate], ['170', false])
  const [again] = await show(`SELECT * FROM stripe_credit.spend('alice', 30, 'request 1')`)
  expect('the same request again', [again.seq, again.available, again.duplicate], [first.seq, '170', true])

  title('A job whose price is not known yet: 100 are held, 42 used, and the rest is free again')
  expect('what is left', (await show(`SELECT * FROM stripe_credit.hold('alice', 100, 'job 1')`))[0].available, '70')
  expect('what is left', (await show(`SELECT * FROM stripe_credit.capture('alice', 'job 1', 42)`))[0].available, '128')

  title('More than she has is refused, and the job failed after all, so she gets it back')
  const refused = await sql(`SELECT * FROM stripe_credit.spend('alice', 129, 'request 2')`).catch((error) => error)
  console.log(`     SELECT * FROM stripe_credit.spend('alice', 129, 'request 2')\n     ${refused.code} ${refused.message}: ${refused.detail}`)
  expect('the answer to too many', refused.code, 'PT402')
  expect('what is left', (await show(`SELECT * FROM stripe_credit.reverse_spend('alice', 'job 1')`))[0].available, '170')
}

async function refusals() {
  title('Somebody forges a purchase: right shape, wrong secret')
  await deliver(event('checkout.session.completed', session(3, order('mallory'))), 400, undefined, 'whsec_guessed')
  await expectBalance('mallory', 0)

  title('Somebody sends more than a megabyte')
  const { http } = await post('x'.repeat(1024 * 1024 + 1))
  console.log(`     1048577 bytes -> HTTP ${http}`)
  expect('the answer to a body that is too large', http, 413)
}

async function delayedPayment() {
  title('Bob pays by bank debit: the session completes now, the money comes later')
  const bought = await checkout('bob', 'starter', 'order 1')
  const landed = await pay(bought, [['checkout.session.completed', 'pending']], { delay: '1' })
  expect('the answer of confirm_checkout()', [landed.status, landed.reason], ['pending', 'unpaid'])
  await expectBalance('bob', 0)
  await ask(`settle/${bought.session_id}`, { outcome: 'succeeded' })
  await expectDeliveries([['payment_intent.succeeded', 'applied'], ['checkout.session.async_payment_succeeded', 'duplicate']])
  await expectBalance('bob', 100)
}

async function unmatchedPayment() {
  title('A payment that says nothing of who paid is kept, never dropped')
  const nobody = event('checkout.session.completed', session(5, {}))
  await deliver(nobody, 200, 'unmatched')
  const [found] = await show('SELECT kind, id, detail FROM stripe_credit.attention')
  expect('what needs attention', [found.kind, found.id], ['unmatched', nobody.id])

  title("A person finds out that it was Carol's and decides")
  const [{ resolve }] = await show(`SELECT stripe_credit.resolve('${nobody.id}', 'carol', 100)`)
  expect('the answer of resolve()', resolve.status, 'applied')
  await expectBalance('carol', 100)
}

const refund = (type, number, amount, status) => event(type, { id: `re_demo${number}`, object: 'refund', amount, currency: 'usd',
  status, charge: `ch_demo${number}`, payment_intent: `pi_demo${number}`, created: now(), metadata: {} })

// The last payment of an account, by Stripe's name
async function lastPayment(account) {
  const [{ payment_id: id }] = await sql(`SELECT payment_id FROM stripe_credit.ledger WHERE account_id = $1 AND kind = 'purchase'
    ORDER BY seq DESC LIMIT 1`, [account])
  return id
}

async function refunds() {
  title('30 % of her second purchase is refunded; Stripe tells it by two webhooks, and it is taken once')
  const payment = await lastPayment('alice')
  const made = await call(`SELECT stripe_credit.refund_payment('${payment}', 300, 'requested_by_customer', 'refund 1')`)
  expect('what became of the refund', made.refund_status, 'succeeded')
  await expectDeliveries([['refund.created', EITHER], ['charge.refunded', EITHER]])
  await expectBalance('alice', 140)

  title('The same request again, by its key, is the same refund')
  const again = await call(`SELECT stripe_credit.refund_payment('${payment}', 300, 'requested_by_customer', 'refund 1')`)
  expect('the same refund', [again.refund, again.status], [made.refund, 'duplicate'])
  await expectBalance('alice', 140)

  title('The bank sends the refund back: it has failed, so she has her credits again')
  await ask(`settle/${made.refund}`, { outcome: 'failed' })
  await expectDeliveries([['refund.failed', 'applied']])
  await expectBalance('alice', 170)
}

async function disputes() {
  const payment = await lastPayment('bob')
  const { latest_charge: charge } = await ask(`object/${payment}`)
  const dispute = (type, status) => ask('event', { type: `charge.dispute.${type}`, deliver: true, object: { id: 'dp_demo',
    object: 'dispute', amount: 1000, currency: 'usd', status, charge, payment_intent: payment, balance_transactions: [], metadata: {} } })

  title('The bank of Bob takes its money back by a dispute; he had spent some of the credits and owes them now')
  await show(`SELECT * FROM stripe_credit.spend('bob', 25, 'request 3')`)
  await dispute('created', 'needs_response')
  await expectDeliveries([['charge.dispute.created', 'applied']])
  await expectBalance('bob', -25)
  const [found] = await show('SELECT kind, id, detail FROM stripe_credit.attention')
  expect('what needs attention', [found.kind, found.id], ['debt', 'bob'])

  title('It was won after all: what was taken comes back')
  await dispute('closed', 'won')
  await expectDeliveries([['charge.dispute.closed', 'applied']])
  await expectBalance('bob', 75)
}

async function earlyRefund() {
  title('A refund that comes before its payment waits for it, and counts as soon as that comes')
  await deliver(refund('refund.created', 6, 400, 'succeeded'), 200, 'pending')
  await deliver(event('checkout.session.completed', session(6, order('frank'))), 200, 'applied')
  await expectBalance('frank', 60)
}

async function subscription() {
  title('Grace subscribes: each invoice brings its credits')
  const subscribed = await checkout('grace', 'monthly', 'order 1')
  await pay(subscribed, [['payment_intent.succeeded', 'ignored'], ['checkout.session.completed', 'applied'],
    ['invoice.paid', 'applied'], ['invoice_payment.paid', 'applied']])
  await expectBalance('grace', 500)

  title('A month later the next one is paid')
  await ask(`renew/${(await ask(`object/${subscribed.session_id}`)).subscription}`, {})
  await expectDeliveries([['payment_intent.succeeded', 'ignored'], ['invoice.paid', 'applied'], ['invoice_payment.paid', 'applied']])
  await expectBalance('grace', 1000)

  title('Where she finds her card and her invoices, and can cancel')
  const response = await fetch(await call(`SELECT stripe_credit.customer_portal('grace', '${landing.url}/')`))
  expect('the answer of the portal', response.status, 200)
}

// backfill() leaves the last minute to its next call, since clocks differ, so this has to be longer ago.
async function neverDelivered() {
  title('Five minutes ago the endpoint was down, and Heidi has closed her browser: she has paid, and nobody has told us')
  await ask('clock', { ahead: -300 })
  await endpoint({ drop: ['*'] })
  await pay(await checkout('heidi', 'starter', 'order 1'), [], { comesBack: false })
  await endpoint()
  await ask('clock', { ahead: 300 })
  await expectBalance('heidi', 0)

  title('The nightly job asks Stripe for what was missed')
  const [found] = await show('SELECT * FROM stripe_credit.backfill()')
  expect('whether that is all of it', [found.applied > 0, found.complete], [true, true])
  await expectBalance('heidi', 100)
}

async function byEmail() {
  title("A shop with Checkout code of its own: a cent is a credit, the buyer's e-mail is the account")
  await run(`UPDATE stripe_credit.settings SET account_from = '{customer_email}'`)
  await run(`INSERT INTO stripe_credit.rate (currency, credits, per_amount) VALUES ('usd', 1, 1)`)
  await deliver(event('checkout.session.completed', session(7,
    { customer_email: 'Dora@example.com', amount_subtotal: 1500, amount_total: 1500 })), 200, 'applied')
  await expectBalance('dora@example.com', 1500)
}

async function books() {
  title('The books')
  for (const [account, entries] of [['alice', 7], ['bob', 4], ['carol', 1], ['dora@example.com', 1], ['erin', 1], ['frank', 1],
    ['grace', 2], ['heidi', 1], ['mallory', 0]]) {
    const rows = await show(`SELECT * FROM stripe_credit.statement('${account}')`)
    expect(`the number of ${account}'s entries`, rows.length, entries)
  }
  await lookAround()
}

async function lookAround() {
  title('What a person should look at')
  expect('what needs attention', await show('SELECT * FROM stripe_credit.attention'), [])

  title('Are the books right?  A row for each thing that is wrong')
  expect('what is wrong with the books', await show('SELECT * FROM stripe_credit.check_books()'), [])
}

//
// The tour with Stripe itself, which can't reach a webhook on this machine: what is paid comes by confirm_checkout()
//

const PATIENCE = 5 * 60 // seconds for a person to pay

// The last answer of confirm_checkout(): pending if nobody has paid in time.
async function paidByPerson({ session_id: id }) {
  const deadline = now() + (process.stdin.isTTY && process.stdout.isTTY ? PATIENCE : 0)
  for (;;) {
    const [{ answer }] = await sql('SELECT stripe_credit.confirm_checkout($1) AS answer', [id])
    if (answer.status !== 'pending' || now() >= deadline) return answer
    await sleep(3000)
  }
}

async function expire({ session_id: id }) {
  const answer = await call(`SELECT stripe_credit.expire_checkout('${id}')`)
  expect('the answer of expire_checkout()', answer.status, 'applied')
}

async function refundAtStripe({ payment }) {
  await expectBalance('alice', 100)
  title('30 % of it is refunded')
  const made = await call(`SELECT stripe_credit.refund_payment('${payment}', 300, 'requested_by_customer', 'refund 1')`)
  expect('what it changed', [made.status, made.credits], ['applied', -30])
  await expectBalance('alice', 70)
}

async function purchaseAtStripe() {
  title('Alice buys the pack for $10.00')
  await run(`UPDATE stripe_credit.settings SET success_url = 'https://example.com/thanks?session={CHECKOUT_SESSION_ID}'`)
  const bought = await checkout('alice', 'starter', 'order 1')
  expect('what she buys', [bought.credits, bought.amount, bought.currency, bought.livemode], ['100', '1000', 'usd', false])
  console.log(`\n     Open the url and pay with the card 4242 4242 4242 4242: at a terminal, the demo waits ${PATIENCE / 60} minutes.\n`)
  const answer = await paidByPerson(bought)
  console.log(`     confirm_checkout() -> ${JSON.stringify(answer)}`)
  if (answer.status === 'applied') return refundAtStripe(answer)
  title('Nobody has paid, so nobody can any more')
  return expire(bought)
}

async function expiryAtStripe() {
  title('A session that is given up')
  await expire(await checkout('bob', 'starter', 'order 1'))
  await expectBalance('bob', 0)
}

const tour = double ? [install, openShop, purchases, spending, refusals, delayedPayment, refunds, disputes, unmatchedPayment,
  earlyRefund, subscription, neverDelivered, byEmail, books] : [install, purchaseAtStripe, expiryAtStripe, lookAround]

try {
  await owner.connect()
  for (const part of tour) await part()
  console.log(`\nAll ${checked} answers were as they should be.`)
} catch (error) {
  console.error(`\nThe demo failed: ${error.message}${error.detail ? ` (${error.detail})` : ''}`)
  process.exitCode = 1
} finally {
  server?.process.kill()
  landing.server?.close().closeAllConnections()
  await landing.client?.end().catch(() => {})
  await owner.end().catch(() => {})
}
