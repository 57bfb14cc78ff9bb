// The double's own test: starts one in a temporary directory and asks it for everything once.  Prints TAP.
//
//     node check.js
//
// The part with Stripe's own client is skipped where npm's `stripe` can't be imported.
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const KEY = 'sk_test_51Double'
const VERSION = '2026-10-28.endive'
const SECRET = 'whsec_double'
const directory = mkdtempSync(join(tmpdir(), 'stripe_double.'))
let where, ca, child, hook
let [count, failures] = [0, 0]

//
// TAP
//

function ok(what, isRight, found = '') {
  count++
  if (!isRight) failures++
  console.log(`${isRight ? 'ok' : 'not ok'} ${count} - ${what}`)
  if (!isRight && found !== '') console.log(`#   found ${found}`)
}

function is(what, found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  ok(what, a === b, `${a}, wanted ${b}`)
}

//
// Asking
//

const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })

// Resolves to {status, headers, body, json, error}, whatever happens.  until: as soon as so many bytes have come, or so many
// ms have passed, the client goes away.  pool: false is a connection of its own.
function ask(url, { method = 'GET', headers = {}, body, bytes = Infinity, ms = 8000, pool = agent, ...options } = {}) {
  return new Promise((resolve) => {
    const isTls = url.startsWith('https:')
    const result = { status: null, headers: {}, error: null }
    const chunks = []
    const request = (isTls ? https : http).request(url, { method, ca, headers, agent: isTls && pool, ...options })
    const finish = (error = null) => {
      clearTimeout(timer)
      const text = Buffer.concat(chunks).toString()
      resolve({ ...result, error, body: text, json: parse(text) })
    }
    const timer = setTimeout(() => { finish('timeout'); request.destroy() }, ms)
    let size = 0
    request.on('response', (response) => {
      Object.assign(result, { status: response.statusCode, headers: response.headers, socket: response.socket })
      response.on('data', (chunk) => {
        chunks.push(chunk)
        size += chunk.length
        if (size >= bytes) { finish('enough'); request.destroy() }
      }).on('end', () => finish()).on('error', (error) => finish(error.code ?? error.message))
    })
    request.on('error', (error) => finish(error.code ?? error.message))
    request.end(body)
  })
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const encode = (fields) => Object.entries(fields).map((pair) => pair.map(encodeURIComponent).join('=')).join('&')

// A request of the API as a client would make it
function api(method, path, fields = {}, { key = KEY, headers = {}, fault, base = where.api, ...options } = {}) {
  const form = encode(fields)
  const url = `${base}${fault ? `/_fault/${fault}` : ''}${path}${method === 'GET' && form ? `?${form}` : ''}`
  return ask(url, { method, body: method === 'POST' ? form : undefined, ...options, headers: { authorization: `Bearer ${key}`,
    'stripe-version': VERSION, ...method === 'POST' && { 'content-type': 'application/x-www-form-urlencoded' }, ...headers } })
}

const get = async (path, fields, options) => (await api('GET', path, fields, options)).json
const post = async (path, fields, options) => (await api('POST', path, fields, options)).json
const tell = async (command, given = {}) => (await ask(`${where.plain}/_double/${command}`,
  { method: 'POST', body: JSON.stringify(given) })).json
const watch = async (what) => (await ask(`${where.plain}/_double/${what}`)).json
const buy = (url, fields = {}) => ask(url, { method: 'POST', body: encode(fields) })

const ORDER = { mode: 'payment', success_url: 'https://shop.test/ok?id={CHECKOUT_SESSION_ID}', cancel_url: 'https://shop.test/no',
  'line_items[0][quantity]': '2', 'line_items[0][price_data][currency]': 'usd', 'line_items[0][price_data][unit_amount]': '500',
  'line_items[0][price_data][product_data][name]': 'Credits <100>', 'metadata[order]': '7',
  'payment_intent_data[metadata][order]': '7' }
const without = (...names) => Object.fromEntries(Object.entries(ORDER).filter(([name]) => !names.includes(name)))
const checkout = (more = {}, options) => post('/v1/checkout/sessions', { ...ORDER, ...more }, options)
const typesOf = (list) => list.data.map(({ type }) => type)

//
// Parts
//

async function begin() {
  child = spawn(process.execPath, [fileURLToPath(new URL('double.js', import.meta.url)), directory], { stdio: ['pipe', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    where = JSON.parse(line)
    break
  }
  ca = readFileSync(where.ca)
  is('it says where it listens', Object.keys(where).join(' '), 'api ca unknown_ca wrong_host expired silent reset closed plain h2')
}

async function doors() {
  const events = '/v1/events'
  const errorAt = async (base) => (await api('GET', events, {}, { base, ms: 1000 })).error
  is('an authority that nobody knows', await errorAt(where.unknown_ca), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  is('a certificate for another host', await errorAt(where.wrong_host), 'ERR_TLS_CERT_ALTNAME_INVALID')
  is('a certificate that has expired', await errorAt(where.expired), 'CERT_HAS_EXPIRED')
  is('who never says anything', await errorAt(where.silent), 'timeout')
  is('who resets', await errorAt(where.reset), 'ECONNRESET')
  is('where nothing listens', await errorAt(where.closed), 'ECONNREFUSED')
  is('without TLS', (await api('GET', events, {}, { base: where.plain })).status, 200)
  is('by HTTP/2', await statusByHttp2(), 200)
}

async function statusByHttp2() {
  const client = http2.connect(where.h2, { ca })
  const stream = client.request({ ':path': '/v1/events', authorization: `Bearer ${KEY}`, 'stripe-version': VERSION })
  const status = await new Promise((resolve) => { stream.on('response', (headers) => resolve(headers[':status'])).on('error', resolve) })
  client.destroy()
  return status
}

async function keysAndAddresses() {
  const answer = await api('GET', '/v1/events')
  is('a good key', answer.status, 200)
  ok('each answer has a Request-Id', /^req_/.test(answer.headers['request-id']))
  is('and the version that was asked for', answer.headers['stripe-version'], VERSION)
  is('no key', (await api('GET', '/v1/events', {}, { headers: { authorization: '' } })).status, 401)
  is('an invalid key', (await api('GET', '/v1/events', {}, { key: 'sk_test_invalid' })).status, 401)
  is('a restricted key', (await api('GET', '/v1/events', {}, { key: 'rk_live_abcd' })).status, 200)
  is('no version', (await api('GET', '/v1/events', {}, { headers: { 'stripe-version': '' } })).status, 400)
  is('an address that is none', (await api('GET', '/v1/nothing')).status, 404)
  for (const [path, param] of [['checkout/sessions/cs_test_x', 'session'], ['payment_intents/pi_x', 'intent'], ['refunds/re_x', 'refund'],
    ['customers/cus_x', 'id'], ['events/evt_x', 'id'], ['invoices/in_x', 'invoice']]) {
    const { status, json } = await api('GET', `/v1/${path}`)
    is(`unknown: ${path}`, [status, json.error.code, json.error.param], [404, 'resource_missing', param])
  }
}

async function refusals() {
  const wrong = async (what, fields, code, param) => {
    const { status, json } = await api('POST', '/v1/checkout/sessions', fields)
    is(what, [status, json.error?.type, json.error?.code, json.error?.param], [400, 'invalid_request_error', code, param])
  }
  const [first, data] = ['line_items[0]', 'line_items[0][price_data]']
  await wrong('an unknown parameter', { ...ORDER, 'foo[bar]': 1 }, 'parameter_unknown', 'foo')
  await wrong('an unknown parameter inside', { ...ORDER, 'adaptive_pricing[bar]': 1 }, 'parameter_unknown', 'adaptive_pricing[bar]')
  await wrong('one that went', { ...ORDER, 'payment_method_types[0]': 'card' }, 'parameter_unknown', 'payment_method_types')
  await wrong('no integer', { ...ORDER, [`${first}[quantity]`]: '1.5' }, 'parameter_invalid_integer', `${first}[quantity]`)
  await wrong('no boolean', { ...ORDER, allow_promotion_codes: 'yes' }, undefined, 'allow_promotion_codes')
  await wrong('an empty string', { ...ORDER, client_reference_id: '' }, 'parameter_invalid_empty', 'client_reference_id')
  await wrong('a ui_mode that went', { ...ORDER, ui_mode: 'hosted' }, undefined, 'ui_mode')
  await wrong('no url', { ...ORDER, success_url: '/ok' }, 'url_invalid', 'success_url')
  await wrong('no currency', { ...ORDER, [`${data}[currency]`]: 'xxy' }, undefined, `${data}[currency]`)
  await wrong('no line items', { mode: 'payment', success_url: 'https://shop.test' }, 'parameter_missing', 'line_items')
  await wrong('no success_url', without('success_url'), 'parameter_missing', 'success_url')
  await wrong('success_url where none may be', { ...ORDER, ui_mode: 'elements' }, undefined, 'success_url')
  await wrong('no currency given', without(`${data}[currency]`), 'parameter_missing', `${data}[currency]`)
  await wrong('no product', without(`${data}[product_data][name]`), 'parameter_missing', `${data}[product_data]`)
  await wrong('no amount', without(`${data}[unit_amount]`), 'parameter_missing', `${data}[unit_amount]`)
  await wrong('no quantity', without(`${first}[quantity]`), 'parameter_missing', `${first}[quantity]`)
  await wrong('price and price_data', { ...ORDER, [`${first}[price]`]: 'price_x' }, undefined, `${first}[price]`)
  await wrong('nothing that recurs in a subscription', { ...without('payment_intent_data[metadata][order]'), mode: 'subscription' },
    undefined, 'line_items')
  await wrong('what recurs in a payment', { ...ORDER, [`${data}[recurring][interval]`]: 'month' }, undefined, data)
  await wrong('subscription_data in a payment', { ...ORDER, 'subscription_data[description]': 'x' }, undefined, 'subscription_data')
  await wrong('customer and e-mail', { ...ORDER, customer: 'cus_x', customer_email: 'a@shop.test' }, undefined, 'customer')
  await wrong('an unknown customer', { ...ORDER, customer: 'cus_x' }, 'resource_missing', 'customer')
  await wrong('a long key', { ...ORDER, [`metadata[${'k'.repeat(41)}]`]: 'v' }, undefined, `metadata[${'k'.repeat(41)}]`)
  await wrong('a long value', { ...ORDER, 'metadata[k]': 'v'.repeat(501) }, undefined, 'metadata[k]')
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`metadata[k${i}]`, 'v']))
  await wrong('many keys', { ...ORDER, ...many }, undefined, 'metadata')
  await wrong('too soon', { ...ORDER, expires_at: Math.floor(Date.now() / 1000) + 60 }, undefined, 'expires_at')
  await wrong('a sum too small', { ...ORDER, [`${data}[unit_amount]`]: 3 }, 'amount_too_small', undefined)
  const twice = await ask(`${where.api}/v1/refunds`, { method: 'POST', body: 'charge=ch_a&charge=ch_b', headers: {
    authorization: `Bearer ${KEY}`, 'stripe-version': VERSION, 'content-type': 'application/x-www-form-urlencoded' } })
  is('a parameter twice', twice.status, 400)
  const untyped = await ask(`${where.api}/v1/refunds`, { method: 'POST', body: 'charge=ch_a', headers: {
    authorization: `Bearer ${KEY}`, 'stripe-version': VERSION } })
  is('a body that is no form', untyped.status, 400)
  is('a portal for nobody', (await post('/v1/billing_portal/sessions')).error.param, 'customer')
  is('a refund of nothing', (await post('/v1/refunds')).error.code, 'parameter_missing')
}

async function payment() {
  const made = await checkout()
  is('a session', [made.object, made.status, made.payment_status, made.amount_total, made.payment_intent, made.livemode],
    ['checkout.session', 'open', 'unpaid', 1000, null, false])
  is('its url', made.url, `${where.plain}/c/pay/${made.id}`)
  const page = await ask(made.url)
  is('its page', page.status, 200)
  for (const part of ['$10.00', '&#60;100&#62;', 'https://shop.test/no']) ok(`there is ${part}`, page.body.includes(part), page.body)
  const paid = await buy(made.url)
  is('who pays is sent back', [paid.status, paid.headers.location], [303, `https://shop.test/ok?id=${made.id}`])
  is('nobody pays twice', (await buy(made.url)).status, 410)
  const session = await get(`/v1/checkout/sessions/${made.id}`)
  is('what was paid', [session.status, session.payment_status, session.url, session.customer], ['complete', 'paid', null, null])
  const intent = await get(`/v1/payment_intents/${session.payment_intent}`)
  is('its payment intent', [intent.status, intent.amount_received, intent.metadata], ['succeeded', 1000, { order: '7' }])
  is('the events', typesOf(await get('/v1/events', { limit: 3 })),
    ['checkout.session.completed', 'payment_intent.succeeded', 'charge.succeeded'])
  is('by its payment', (await get('/v1/checkout/sessions', { payment_intent: intent.id })).data.map(({ id }) => id), [made.id])
  const expanded = await get(`/v1/checkout/sessions/${made.id}`, { 'expand[]': 'payment_intent.latest_charge' })
  is('expanded', expanded.payment_intent.latest_charge.object, 'charge')
  is('its lines', (await get(`/v1/checkout/sessions/${made.id}/line_items`)).data[0].quantity, 2)
  return intent
}

async function refunds(intent) {
  const events = async (limit) => typesOf(await get('/v1/events', { limit }))
  const part = await post('/v1/refunds', { payment_intent: intent.id, amount: 300, reason: 'requested_by_customer' })
  is('a part goes back', [part.object, part.amount, part.status, part.charge], ['refund', 300, 'succeeded', intent.latest_charge])
  is('its events', await events(2), ['charge.refunded', 'refund.created'])
  const much = await post('/v1/refunds', { charge: intent.latest_charge, amount: 701 })
  is('more than is left', [much.error.type, much.error.param], ['invalid_request_error', 'amount'])
  is('the rest', (await post('/v1/refunds', { charge: intent.latest_charge })).amount, 700)
  is('nothing is left', (await post('/v1/refunds', { payment_intent: intent.id })).error.code, 'charge_already_refunded')
  is('all of them', (await get('/v1/refunds', { payment_intent: intent.id })).data.map(({ amount }) => amount), [700, 300])
  is('one of them', (await get(`/v1/refunds/${part.id}`)).id, part.id)
  await tell(`settle/${part.id}`, { outcome: 'failed' })
  is('one fails later', await events(1), ['refund.failed'])
  is('and can be tried again', (await post('/v1/refunds', { charge: intent.latest_charge })).amount, 300)
}

async function otherWays() {
  const expired = await checkout()
  is('to expire one', (await post(`/v1/checkout/sessions/${expired.id}/expire`)).status, 'expired')
  is('not twice', (await api('POST', `/v1/checkout/sessions/${expired.id}/expire`)).status, 400)
  is('its event', typesOf(await get('/v1/events', { limit: 1 })), ['checkout.session.expired'])

  for (const [outcome, status] of [['succeeded', 'paid'], ['failed', 'unpaid']]) {
    const delayed = await checkout()
    await buy(delayed.url, { delay: 1 })
    const { status: first, payment_status: unpaid } = await get(`/v1/checkout/sessions/${delayed.id}`)
    is('by a method that takes days', [first, unpaid], ['complete', 'unpaid'])
    is(`it has ${outcome}`, (await tell(`settle/${delayed.id}`, { outcome })).payment_status, status)
    is('its event is', typesOf(await get('/v1/events', { limit: 1 })), [`checkout.session.async_payment_${outcome}`])
  }

  const free = await checkout({ 'line_items[0][price_data][unit_amount]': 0 })
  await buy(free.url)
  const { payment_status: none, payment_intent: intent } = await get(`/v1/checkout/sessions/${free.id}`)
  is('nothing to pay', [none, intent], ['no_payment_required', null])

  const reduced = await checkout({ allow_promotion_codes: true })
  await buy(reduced.url, { discount: 100, tax: 50 })
  const { amount_subtotal: before, amount_total: after } = await get(`/v1/checkout/sessions/${reduced.id}`)
  is('a discount and a tax', [before, after], [1000, 950])

  const live = await checkout({}, { key: 'sk_live_abcd' })
  ok('a live session', live.id.startsWith('cs_live_') && live.livemode)
  is('of which a test key knows nothing', (await api('GET', `/v1/checkout/sessions/${live.id}`)).status, 404)
  is('a customer', (await post('/v1/customers', { email: 'a@shop.test' })).email, 'a@shop.test')
}

async function subscription() {
  const price = await tell('price', { unit_amount: 900, recurring: { interval: 'month' } })
  const made = await post('/v1/checkout/sessions', { mode: 'subscription', success_url: 'https://shop.test/ok', 'metadata[a]': 'session',
    'line_items[0][price]': price.id, 'line_items[0][quantity]': 1, 'subscription_data[metadata][a]': 'subscription' })
  await buy(made.url)
  const session = await get(`/v1/checkout/sessions/${made.id}`)
  ok('a subscription', /^sub_/.test(session.subscription) && /^cus_/.test(session.customer) && session.payment_intent === null)
  const invoice = await get(`/v1/invoices/${session.invoice}`)
  const { subscription_details: details } = invoice.parent
  is('its invoice', [invoice.status, invoice.amount_paid, invoice.billing_reason, details.metadata.a, details.subscription],
    ['paid', 900, 'subscription_create', 'subscription', session.subscription])
  const lines = await get(`/v1/invoices/${session.invoice}/lines`, { limit: 1 })
  is('its lines', [lines.data[0].pricing.price_details.price, lines.has_more], [price.id, false])
  const types = typesOf(await get('/v1/events', { limit: 8 }))
  for (const type of ['checkout.session.completed', 'invoice.paid', 'invoice_payment.paid', 'customer.subscription.created']) {
    ok(`there is ${type}`, types.includes(type), types)
  }
  is('it renews', (await tell(`renew/${session.subscription}`)).billing_reason, 'subscription_cycle')
  const payments = await get('/v1/invoice_payments', { invoice: session.invoice })
  is('who paid the invoice', payments.data[0].payment.type, 'payment_intent')
  const portal = await post('/v1/billing_portal/sessions', { customer: session.customer, return_url: 'https://shop.test/' })
  is('the portal', (await ask(portal.url)).status, 200)

  const trial = await post('/v1/checkout/sessions', { mode: 'subscription', success_url: 'https://shop.test/ok',
    'line_items[0][price]': price.id, 'line_items[0][quantity]': 1, 'subscription_data[trial_period_days]': 7 })
  await buy(trial.url)
  const { payment_status: status, invoice: zero } = await get(`/v1/checkout/sessions/${trial.id}`)
  is('a trial', [trial.amount_total, status, (await get(`/v1/invoices/${zero}`)).lines.data[0].amount], [0, 'no_payment_required', 0])
}

async function events() {
  await tell('reset', { only: ['store'] })
  const object = { id: 'ch_1', object: 'charge' }
  const now = Math.floor(Date.now() / 1000)
  const given = { 1: now - 500, 2: now - 400, 3: now - 300, 4: now - 300, 5: now - 200, old: now - 31 * 24 * 3600 }
  for (const [name, created] of Object.entries(given)) {
    await tell('event', { id: `evt_${name}`, type: name === '5' ? 'charge.updated' : 'charge.refunded', object, created })
  }
  const list = async (fields) => {
    const { data, has_more: more } = await get('/v1/events', fields)
    return `${data.map(({ id }) => id.slice(4)).join('')}${more ? '+' : ''}`
  }
  is('newest first, and none older than 30 days', await list(), '54321')
  is('a page', await list({ limit: 2 }), '54+')
  is('the next', await list({ limit: 2, starting_after: 'evt_4' }), '32+')
  is('backwards', await list({ limit: 2, ending_before: 'evt_1' }), '32+')
  is('up to the newest', await list({ limit: 2, ending_before: 'evt_4' }), '5')
  is('by type', await list({ type: 'charge.updated' }), '5')
  is('by a pattern', await list({ type: 'charge.*' }), '54321')
  is('by types', await list({ 'types[0]': 'charge.updated', 'types[1]': 'invoice.paid' }), '5')
  is('by time', await list({ 'created[gte]': now - 400, 'created[lt]': now - 200 }), '432')
  is('not delivered', await list({ delivery_success: false }), '54321')
  is('one of them', (await get('/v1/events/evt_3')).data.object.id, 'ch_1')
  is('too many', (await api('GET', '/v1/events', { limit: 101 })).status, 400)
  is('an unknown place', (await api('GET', '/v1/events', { starting_after: 'evt_x' })).status, 400)
}

async function idempotency() {
  const once = (fields, key, options = {}) => api('POST', '/v1/checkout/sessions', { ...ORDER, ...fields },
    { ...options, headers: { 'idempotency-key': key } })
  const [first, second] = [await once({}, 'a'), await once({}, 'a')]
  is('the same again', second.body, first.body)
  is('and it says so', [first.headers['idempotent-replayed'], second.headers['idempotent-replayed'], second.headers['original-request']],
    [undefined, 'true', first.headers['request-id']])
  const other = await once({ 'metadata[order]': 8 }, 'a')
  is('with other parameters', [other.status, other.json.error.type], [400, 'idempotency_error'])
  is('of the other mode it is another key', (await once({}, 'a', { key: 'sk_live_abcd' })).status, 200)
  is('what was not valid is not kept', [(await once({ foo: 1 }, 'b')).status, (await once({}, 'b')).status], [400, 200])
  is('what failed later is', [(await once({}, 'c', { fault: 'kept-500' })).status, (await once({}, 'c')).status], [500, 500])
  const slow = once({}, 'd', { fault: 'slow-1', pool: false })
  await sleep(300)
  is('a key in use', (await once({}, 'd')).status, 409)
  is('and then its answer', (await slow).body, (await once({}, 'd')).body)
  const lost = await once({}, 'e', { fault: 'reset-before-answer', pool: false })
  const found = await once({}, 'e')
  is('an answer that was lost is found', [lost.error, found.status, found.headers['idempotent-replayed']], ['ECONNRESET', 200, 'true'])
  await tell('clock', { ahead: 25 * 3600 })
  is('a day later it is new', (await once({}, 'a')).headers['idempotent-replayed'], undefined)
  const all = await get('/v1/checkout/sessions', { status: 'expired', limit: 100 })
  ok('and sessions have expired', all.data.length >= 3, all.data.length)
  await tell('reset', { only: ['store'] })
}

async function webhooks() {
  const got = []
  let refuse = 1
  hook = http.createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    got.push({ signature: request.headers['stripe-signature'], body: Buffer.concat(chunks).toString() })
    response.writeHead(refuse-- > 0 ? 500 : 200).end('thanks')
  })
  await new Promise((resolve) => { hook.listen(0, '127.0.0.1', resolve) })
  const url = `http://127.0.0.1:${hook.address().port}/hook`
  await tell('webhook', { url, secret: SECRET, types: ['checkout.session.completed', 'charge.succeeded'], drop: ['charge.succeeded'] })
  await buy((await checkout()).url)
  is('refused once, delivered then', got.map(({ body }) => parse(body).type), Array(2).fill('checkout.session.completed'))
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(got[0].signature)
  is('signed', v1, createHmac('sha256', SECRET).update(`${t}.${got[0].body}`).digest('hex'))
  is('what was dropped is not delivered', typesOf(await get('/v1/events', { delivery_success: false })), ['charge.succeeded'])
  is('once more', (await tell('deliver', { event: parse(got[0].body).id })).status, 200)
  is('all tries', (await watch('deliveries')).map(({ status }) => status), [500, 200, 200])
  refuse = 3
  const { id } = await tell('event', { type: 'charge.updated', object: { id: 'ch_1', object: 'charge' }, deliver: true })
  const undelivered = (await get('/v1/events', { delivery_success: false })).data.map((event) => event.id)
  is('three tries are all', [got.length, undelivered.includes(id)], [6, true])
  await tell('reset', { only: ['webhook', 'store'] })
}

async function log() {
  await tell('reset', { only: ['requests'] })
  await checkout({ 'expand[]': 'line_items' })
  await get('/v1/events', { 'types[]': 'charge.updated' })
  await api('GET', '/v1/events', {}, { fault: 'status-503' })
  const [made, listed, failed] = await watch('requests')
  is('a request', [made.method, made.path, made.status, made.livemode, made.listener], ['POST', '/v1/checkout/sessions', 200, false, 'api'])
  is('its parameters', [made.parameters.line_items[0].price_data.unit_amount, made.parameters.expand], ['500', ['line_items']])
  is('its key is not there', [made.headers.authorization, JSON.stringify(made).includes(KEY)], ['Bearer s', false])
  is('its body is', made.body.startsWith('mode=payment&success_url='), true)
  is('one connection for two', [listed.connection, listed.request_of_connection], [made.connection, made.request_of_connection + 1])
  is('a fault', [failed.fault, failed.status, failed.path], ['status-503', 503, '/v1/events'])
  is('later ones', (await watch(`requests?after=${listed.number}`)).length, 1)
}

async function faults() {
  const suffer = (fault, options) => api('GET', '/v1/events', {}, { fault, pool: false, ...options })
  const order = (fault, options) => api('POST', '/v1/checkout/sessions', ORDER, { fault, pool: false, ...options })
  for (const status of [401, 402, 404, 409, 429, 500, 503]) {
    const { status: found, json } = await suffer(`status-${status}`)
    ok(`status-${status}`, found === status && json.error.type && json.error.message, found)
  }
  const tries = []
  for (let i = 0; i < 4; i++) tries.push((await suffer('status-500-then-ok-2')).status)
  is('status-500-then-ok-2', tries, [500, 500, 200, 200])
  is('retry-after-7', (await suffer('retry-after-7')).headers['retry-after'], '7')
  const headerOf = async (name, header) => (({ status, headers }) => [status, headers[header]])(await suffer(name))
  is('should-retry-true-400', await headerOf('should-retry-true-400', 'stripe-should-retry'), [400, 'true'])
  is('should-retry-false-500', await headerOf('should-retry-false-500', 'stripe-should-retry'), [500, 'false'])
  is('should-retry-true-200', await headerOf('should-retry-true-200', 'stripe-should-retry'), [200, 'true'])
  is('redirect', await headerOf('redirect', 'location'), [302, `${where.api.replace('localhost', '127.0.0.1')}/v1/events`])
  is('redirect-307', (await suffer('redirect-307')).status, 307)
  is('redirect-plain', (await suffer('redirect-plain')).headers.location, `${where.plain}/v1/events`)
  is('html', await headerOf('html', 'content-type'), [200, 'text/html'])
  for (const name of ['garbage', 'cut-json', 'empty']) {
    is(name, (({ status, json, error }) => [status, json, error])(await suffer(name)), [200, null, null])
  }
  is('array', (await suffer('array')).json, [])
  is('null', (await suffer('null')).body, 'null')
  is('deep', (await suffer('deep')).body.match(/\{/g).length, 10_000)
  is('wrong-type', (await order('wrong-type')).json.id, 12345)
  ok('nul', (await order('nul')).json.id.endsWith('\u0000'))
  ok('nul-aside', (await order('nul-aside')).body.includes('a\\u0000b'))
  ok('echo-key', (await suffer('echo-key')).body.includes(KEY))
  const broken = async (name, status, error) => is(name, (({ status: s, error: e }) => [s, e])(await order(name)), [status, error])
  await broken('truncated', 200, 'ECONNRESET')
  await broken('reset-before-answer', null, 'ECONNRESET')
  await broken('close-before-answer', null, 'ECONNRESET')
  await broken('reset-after-headers', 200, 'ECONNRESET')
  await broken('reset-in-body', 200, 'ECONNRESET')
  await broken('not-http', null, 'HPE_INVALID_CONSTANT')
  is('many-headers', (await suffer('many-headers', { maxHeaderSize: 1e6 })).status, 200)
  is('long-header', (await suffer('long-header', { maxHeaderSize: 2e6 })).headers['x-filler'].length, 1024 * 1024)
  is('endless', (await suffer('endless', { bytes: 3e6 })).error, 'enough')
  is('large', (await suffer('large')).body.length, 100 * 1024 * 1024)
  is('trickle', (({ status, body, error }) => [status, body.length, error])(await suffer('trickle', { ms: 1500 })), [200, 2, 'timeout'])
  is('slow-headers', (({ status, error }) => [status, error])(await suffer('slow-headers', { ms: 500 })), [null, 'timeout'])
  await tell('fault', { name: 'status-429', times: 2, path: '/v1/events', method: 'GET' })
  const four = [await suffer(), await order(), await suffer(), await suffer()]
  is('twice, whatever the base', four.map(({ status }) => status), [429, 200, 429, 200])
  is('no such fault', (await ask(`${where.plain}/_double/fault`, { method: 'POST', body: '{"name":"x","path":"/"}' })).status, 400)
  const much = Buffer.alloc(31 * 1024 * 1024, 'a')
  is('a body that is too large', (await ask(`${where.api}/v1/refunds`, { method: 'POST', body: much })).status, 413)
}

//
// Stripe's own client
//

async function stripeClient() {
  const Stripe = (await import('stripe').catch(() => null))?.default
  if (!Stripe) return console.log(`ok ${++count} - the client of npm # SKIP there is no stripe here`)
  const { hostname: host, port } = new URL(where.api)
  const client = (options, key = KEY) => new Stripe(key, { host, port, httpAgent: new https.Agent({ ca }), maxNetworkRetries: 0,
    ...options })
  const stripe = client()
  const errorOf = (promise) => promise.then(() => 'none', (error) => error.type)

  const session = await stripe.checkout.sessions.create({ mode: 'payment', success_url: 'https://shop.test/ok',
    metadata: { a: 'ü€ &=+[]' },
    line_items: [{ quantity: 1, price_data: { currency: 'eur', unit_amount: 700, product_data: { name: 'Credits' } } }] })
  is('client: a session', [session.amount_total, session.metadata.a], [700, 'ü€ &=+[]'])
  await buy(session.url)
  const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ['payment_intent'] })
  is('client: paid', [paid.payment_status, paid.payment_intent.status], ['paid', 'succeeded'])
  is('client: a refund', (await stripe.refunds.create({ payment_intent: paid.payment_intent.id, amount: 200 })).amount, 200)
  const { id } = await stripe.checkout.sessions.create({ mode: 'setup', currency: 'eur', success_url: 'https://shop.test/ok' })
  is('client: expired', (await stripe.checkout.sessions.expire(id)).status, 'expired')
  const seen = []
  for await (const event of stripe.events.list({ limit: 2 })) seen.push(event.id)
  ok('client: all events, by pages', seen.length >= 6 && new Set(seen).size === seen.length, seen.length)
  const customer = await stripe.customers.create({ email: 'a@shop.test' })
  ok('client: the portal', (await stripe.billingPortal.sessions.create({ customer: customer.id })).url.includes('/p/session/'))
  const [event] = (await stripe.events.list({ limit: 1 })).data
  is('client: an event', (await stripe.events.retrieve(event.id)).type, 'customer.created')

  is('client: resource_missing', await errorOf(stripe.checkout.sessions.retrieve('cs_test_x')), 'StripeInvalidRequestError')
  is('client: more than is left', await errorOf(stripe.refunds.create({ payment_intent: paid.payment_intent.id, amount: 501 })),
    'StripeInvalidRequestError')
  is('client: a wrong key', await errorOf(client({}, 'sk_test_invalid').events.list()), 'StripeAuthenticationError')
  await stripe.customers.create({ name: 'a' }, { idempotencyKey: 'z' })
  is('client: another request', await errorOf(stripe.customers.create({ name: 'b' }, { idempotencyKey: 'z' })), 'StripeIdempotencyError')
  for (const [name, type] of [['status-429', 'StripeRateLimitError'], ['status-402', 'StripeCardError'], ['status-500', 'StripeAPIError'],
    ['reset-before-answer', 'StripeConnectionError'], ['html', 'StripeAPIError']]) {
    await tell('fault', { name, path: '/v1/events', times: name.startsWith('reset') ? 2 : 1 }) // it tries again once, by itself
    is(`client: ${name}`, await errorOf(stripe.events.list()), type)
  }
  await tell('fault', { name: 'status-503', path: '/v1/events' })
  is('client: tries again', (await client({ maxNetworkRetries: 1 }).events.list()).object, 'list')
}

async function finish() {
  agent.destroy()
  hook?.close()
  const ended = new Promise((resolve) => { child.once('exit', resolve) })
  child.stdin.end()
  is('it ends when its stdin closes', await ended, 0)
}

try {
  await begin()
  await doors()
  await keysAndAddresses()
  await refusals()
  await refunds(await payment())
  for (const part of [otherWays, subscription, events, idempotency, webhooks, log, faults, stripeClient, finish]) await part()
} catch (error) {
  ok('everything was tried', false, error.stack.replaceAll('\n', '\n#   '))
} finally {
  child?.kill()
  rmSync(directory, { recursive: true, force: true })
  console.log(`1..${count}`)
  process.exit(failures === 0 ? 0 : 1)
}
