// A tour of stripe_credit over HTTP: the webhook server of examples/node on one side, events signed by Stripe's own
// package on the other.  Every answer is checked; the first that is not as it should be ends the tour with exit code 1.
//
// test/demo/run sets these up: DATABASE_URL (the owner), WEBHOOK_SECRET_FILE, SERVER
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import pg from 'pg'
import Stripe from 'stripe'

const secretFile = process.env.WEBHOOK_SECRET_FILE
const secret = readFileSync(secretFile, 'utf8').trim()
const stripe = new Stripe('sk_test_never_used') // only for the signature: no request leaves this machine
const owner = new pg.Client({ connectionString: process.env.DATABASE_URL })
let checked = 0

//
// Telling and checking
//

const title = (text) => console.log(`\n-- ${text}`)
const sqlText = (text) => console.log(text.trim().replace(/^\s*/gm, '     '))

function expect(what, got, wanted) {
  const [is, should] = [got, wanted].map((value) => JSON.stringify(value))
  if (is !== should) throw new Error(`${what}: got ${is}, but it should be ${should}`)
  checked++
}

function printTable(columns, rows) {
  const lines = [columns, ...rows.map((row) => columns.map((name) => toText(row[name])))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)))
  for (const line of lines) console.log(`     ${line.map((cell, i) => cell.padEnd(widths[i])).join('  ')}`.trimEnd())
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
// What Stripe would send
//

const now = () => Math.floor(Date.now() / 1000)
let events = 0

function event(type, object) {
  return { id: `evt_demo${++events}`, object: 'event', api_version: '2026-07-29.dahlia', created: now(), livemode: false,
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

async function deliver(sent, http, status, signingSecret) {
  const answer = await post(JSON.stringify(sent), signingSecret)
  console.log(`     ${sent.type} ${sent.id} -> HTTP ${answer.http} ${JSON.stringify(answer.body)}`)
  expect(`the answer to ${sent.type}`, { http: answer.http, status: answer.body.status }, { http, status })
}

//
// The server of examples/node, as a role that may do nothing but deliver webhooks
//

const server = { url: null, process: null }

async function startServer(password) {
  const url = new URL(process.env.DATABASE_URL)
  Object.assign(url, { username: 'web', password })
  server.process = spawn(process.execPath, [process.env.SERVER],
    { env: { ...process.env, DATABASE_URL: url.href, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: server.process.stdout })) {
    server.url = /http:\S+/.exec(line)?.[0]
    if (server.url) return
  }
  throw new Error('the server did not start')
}

//
// The tour
//

async function setUp() {
  title('Set up: the extension, one pack, the secret of the webhook, a role for the web server')
  await run('CREATE EXTENSION stripe_credit')
  await run(`INSERT INTO stripe_credit.pack (pack_id, name, credits, unit_amount, currency)
    VALUES ('starter', '100 credits', 100, 1000, 'usd')`)
  console.log("     SELECT stripe_credit.add_webhook_secret('file:/.../webhook_secret')")
  await sql('SELECT stripe_credit.add_webhook_secret($1)', [`file:${secretFile}`])
  console.log("     CREATE ROLE web LOGIN PASSWORD '...'")
  const password = randomBytes(16).toString('hex')
  await sql(`CREATE ROLE web LOGIN PASSWORD '${password}'`)
  await run('GRANT USAGE ON SCHEMA stripe_credit TO web')
  await run('GRANT EXECUTE ON FUNCTION stripe_credit.webhook_bytes(bytea, text) TO web')
  await startServer(password)
  const { status } = await fetch(`${server.url}/healthz`)
  console.log(`     node server.js: GET /healthz -> HTTP ${status}`)
  expect('the answer to /healthz', status, 200)
}

async function purchases() {
  const bought = event('checkout.session.completed', session(1, order('alice')))

  title('Alice buys the pack for $10.00')
  await deliver(bought, 200, 'applied')
  await expectBalance('alice', 100)

  title('Stripe delivers the same event again: at least once is its promise')
  await deliver(bought, 200, 'duplicate')
  await expectBalance('alice', 100)

  title('Another purchase of hers, delivered twenty times at once')
  const twice = JSON.stringify(event('checkout.session.completed', session(2, order('alice'))))
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(twice)))
  const counts = {}
  for (const { http, body } of answers) counts[`${http} ${body.status}`] = (counts[`${http} ${body.status}`] ?? 0) + 1
  console.log(`     ${Object.entries(counts).map(([answer, n]) => `${n} x HTTP ${answer}`).join(', ')}`)
  expect('how often it was applied', [counts['200 applied'], counts['200 duplicate']], [1, 19])
  await expectBalance('alice', 200)
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
  await deliver(event('checkout.session.completed', session(4, { ...order('bob'), payment_status: 'unpaid' })), 200, 'pending')
  await expectBalance('bob', 0)
  await deliver(event('checkout.session.async_payment_succeeded', session(4, order('bob'))), 200, 'applied')
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

// Of the payment of session(number): its charge as it is once so much went back, one refund, and its dispute
const refunded = (number, amount) => event('charge.refunded', { id: `ch_demo${number}`, object: 'charge', livemode: false,
  payment_intent: `pi_demo${number}`, amount: 1000, amount_refunded: amount, currency: 'usd', paid: true,
  refunded: amount === 1000, status: 'succeeded', metadata: {} })

const refund = (type, number, amount, status) => event(type, { id: `re_demo${number}`, object: 'refund', amount, currency: 'usd',
  status, charge: `ch_demo${number}`, payment_intent: `pi_demo${number}`, created: now(), metadata: {} })

const dispute = (type, number, status) => event(`charge.dispute.${type}`, { id: `dp_demo${number}`, object: 'dispute', amount: 1000,
  currency: 'usd', status, charge: `ch_demo${number}`, payment_intent: `pi_demo${number}`, balance_transactions: [], metadata: {} })

async function refunds() {
  title('30 % of her second purchase is refunded; Stripe tells it twice, and it is taken once')
  await deliver(refund('refund.created', 2, 300, 'pending'), 200, 'applied')
  await deliver(refunded(2, 300), 200, 'applied')
  await expectBalance('alice', 140)

  title('The bank sends the refund back: it has failed, so she has her credits again')
  await deliver(refund('refund.failed', 2, 300, 'failed'), 200, 'applied')
  await expectBalance('alice', 170)

  title('The bank of Bob takes its money back by a dispute; he had spent some of the credits and owes them now')
  await show(`SELECT * FROM stripe_credit.spend('bob', 25, 'request 3')`)
  await deliver(dispute('created', 4, 'needs_response'), 200, 'applied')
  await expectBalance('bob', -25)
  const [found] = await show('SELECT kind, id, detail FROM stripe_credit.attention')
  expect('what needs attention', [found.kind, found.id], ['debt', 'bob'])

  title('It was won after all: what was taken comes back')
  await deliver(dispute('closed', 4, 'won'), 200, 'applied')
  await expectBalance('bob', 75)
}

async function earlyRefund() {
  title('A refund that comes before its payment waits for it, and counts as soon as that comes')
  await deliver(refund('refund.created', 6, 400, 'succeeded'), 200, 'pending')
  await deliver(event('checkout.session.completed', session(6, order('frank'))), 200, 'applied')
  await expectBalance('frank', 60)
}

async function subscription() {
  title("A subscription: the invoice comes before the session that says whose it is")
  await run(`INSERT INTO stripe_credit.pack (pack_id, credits, price_id, recurring_interval, expires_after)
    VALUES ('monthly', 500, 'price_demo', 'month', '1 month')`)
  await deliver(event('invoice.paid', { id: 'in_demo8', object: 'invoice', status: 'paid', billing_reason: 'subscription_create',
    currency: 'usd', amount_due: 900, amount_paid: 900, livemode: false, metadata: {},
    parent: { type: 'subscription_details', subscription_details: { subscription: 'sub_demo8', metadata: {} } },
    lines: { object: 'list', has_more: false, data: [{ id: 'il_demo8', object: 'line_item', amount: 900, currency: 'usd', quantity: 1,
      parent: { type: 'subscription_item_details', subscription_item_details: { proration: false } },
      pricing: { type: 'price_details', price_details: { price: 'price_demo' } } }] } }), 200, 'pending')
  await deliver(event('checkout.session.completed', session(8, { mode: 'subscription', payment_intent: null,
    subscription: 'sub_demo8', metadata: { stripe_credit_account: 'grace' } })), 200, 'applied')
  await expectBalance('grace', 500)
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
  for (const [account, entries] of [['alice', 7], ['bob', 4], ['carol', 1], ['dora@example.com', 1], ['frank', 1], ['grace', 1],
    ['mallory', 0]]) {
    const rows = await show(`SELECT * FROM stripe_credit.statement('${account}')`)
    expect(`the number of ${account}'s entries`, rows.length, entries)
  }

  title('What a person should look at')
  expect('what needs attention', await show('SELECT * FROM stripe_credit.attention'), [])

  title('Are the books right?  A row for each thing that is wrong')
  expect('what is wrong with the books', await show('SELECT * FROM stripe_credit.check_books()'), [])
}

try {
  await owner.connect()
  for (const part of [setUp, purchases, spending, refusals, delayedPayment, refunds, unmatchedPayment, earlyRefund,
    subscription, byEmail, books]) await part()
  console.log(`\nAll ${checked} answers were as they should be.`)
} catch (error) {
  console.error(`\nThe demo failed: ${error.message}`)
  process.exitCode = 1
} finally {
  server.process?.kill()
  await owner.end().catch(() => {})
}
