// Stripe's API as far as it is doubled: authentication, idempotency, and what each address does.
import { ApiError, invalid, noSuch } from './errors.js'
import { decodeForm } from './form.js'
import { customerObject, lineItemObject, listObject, portalObject, priceObject, productObject, sessionObject } from './objects.js'
import * as parameters from './parameters.js'
import { refund } from './payments.js'
import { newId } from './store.js'

const DAY = 24 * 3600

// The least that Stripe charges, in minor units; in other currencies the double takes anything.
const LEAST = { usd: 50, eur: 50, chf: 50, cad: 50, aud: 50, gbp: 30, jpy: 50, sek: 300, nok: 300, dkk: 250 }

//
// Checkout Sessions
//

function priceOf(call, line, param) {
  if (line.price) return call.find('price', line.price, `${param}[price]`, { status: 400 }).object
  const { product_data: data, product, ...given } = line.price_data
  const created = call.store.now()
  const made = product ? call.find('product', product, `${param}[price_data][product]`, { status: 400 }).object
    : call.add(productObject({ id: newId('prod', 14), livemode: call.livemode, created, ...data })).object
  return call.add(priceObject({ ...given, id: newId('price'), product: made.id, livemode: call.livemode, created,
    active: false })).object
}

function lineItem(call, line, i) {
  const price = priceOf(call, line, `line_items[${i}]`)
  const amount = Math.round(Number(price.unit_amount_decimal) * line.quantity)
  return lineItemObject({ id: newId('li'), price, quantity: line.quantity, amount, metadata: line.metadata,
    description: call.store.records.get(price.product)?.object.name ?? price.product })
}

function checkLines(lines, mode) {
  const recurring = lines.filter(({ price }) => price.recurring)
  if (mode === 'payment' && recurring.length > 0) {
    throw invalid('You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only ' +
      'one-time prices.', 'line_items')
  }
  if (mode === 'subscription' && recurring.length === 0) {
    throw invalid('You must provide at least one recurring price in `subscription` mode when using prices.', 'line_items')
  }
  if (mode === 'payment' ? lines.length > 100 : recurring.length > 20 || lines.length - recurring.length > 20) {
    throw invalid('There are too many line items.', 'line_items')
  }
  if (new Set(lines.map(({ currency }) => currency)).size > 1) {
    throw invalid('All line items must have the same currency.', 'line_items')
  }
}

function shippingOf(call, [option] = []) {
  if (option?.shipping_rate) throw noSuch('shipping rate', option.shipping_rate, 'shipping_options[0][shipping_rate]', { status: 400 })
  return option?.shipping_rate_data?.fixed_amount?.amount ?? 0
}

// What is due now: in a trial nothing of what recurs.
function amountsOf(call, given, lines, isTrial) {
  if (given.mode === 'setup') return { subtotal: null, total: null, currency: given.currency ?? null, shipping: 0 }
  const subtotal = lines.filter(({ price }) => !(isTrial && price.recurring)).reduce((sum, line) => sum + line.amount_subtotal, 0)
  const shipping = shippingOf(call, given.shipping_options)
  const total = subtotal + shipping
  const [{ currency }] = lines
  if (total > 0 && total < (LEAST[currency] ?? 0)) {
    throw invalid(`The Checkout Session's total amount must be at least ${LEAST[currency]} ${currency}.`, undefined, 'amount_too_small')
  }
  if (total > 99999999) throw invalid('The total amount must be no more than 99999999.', undefined, 'amount_too_large')
  return { subtotal, total, currency, shipping }
}

function createSession(call, given) {
  const { store, livemode } = call
  if (given.customer) call.find('customer', given.customer, 'customer', { status: 400 })
  for (const { coupon, promotion_code: code } of given.discounts ?? []) {
    throw noSuch(coupon ? 'coupon' : 'promotion code', coupon ?? code, 'discounts', { status: 400 })
  }
  const created = store.now()
  const { trial_period_days: days, trial_end: end } = given.subscription_data ?? {}
  const trialEnd = end ?? (days ? created + days * DAY : null)
  const lines = (given.line_items ?? []).map((line, i) => lineItem(call, line, i))
  if (given.mode !== 'setup') checkLines(lines, given.mode)
  const id = newId(`cs_${livemode ? 'live' : 'test'}`, 58)
  const isHosted = (given.ui_mode ?? 'hosted_page') === 'hosted_page'
  const session = sessionObject({ id, url: isHosted ? `${call.plain}/c/pay/${id}` : null, livemode, created, given,
    customer: given.customer ?? null, amounts: amountsOf(call, given, lines, trialEnd !== null) })
  const { metadata, description } = given.payment_intent_data ?? {}
  return call.add(session, { remembered: { lines, trialEnd, intent: { metadata, description },
    subscription: { metadata: given.subscription_data?.metadata ?? {}, description: given.subscription_data?.description ?? null } } })
}

function expireSession(call) {
  const record = call.find('checkout.session', call.id, 'session')
  const { status } = record.object
  if (status !== 'open') {
    throw invalid('Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of ' +
      `\`${status}\`.`)
  }
  call.store.expire(record, call.request)
  return record
}

//
// Everything else
//

function createCustomer(call, given) {
  const customer = call.add(customerObject({ id: newId('cus', 14), livemode: call.livemode, created: call.store.now(), given }))
  call.store.emit('customer.created', customer, { request: call.request })
  return customer
}

function createPortal(call, given) {
  call.find('customer', given.customer, 'customer', { status: 400 })
  const id = newId('bps')
  return call.add(portalObject({ id, url: `${call.base}/p/session/${id}`, livemode: call.livemode, created: call.store.now(), given }))
}

function createRefund(call, given) {
  const inParameter = { status: 400 }
  const charge = given.charge ?? call.find('payment_intent', given.payment_intent, 'payment_intent', inParameter).object.latest_charge
  return refund(call.store, call.find('charge', charge, 'charge', inParameter), given, call.request)
}

const retrieve = (kind, param) => (call) => call.find(kind, call.id, param)

//
// Lists
//

function isCreated(created, wanted) {
  if (wanted === undefined) return true
  if (typeof wanted === 'number') return created === wanted
  const { gt = -Infinity, gte = -Infinity, lt = Infinity, lte = Infinity } = wanted
  return created > gt && created >= gte && created < lt && created <= lte
}

// starting_after goes down the list, ending_before up from its object: a page is always in the list's own order.
function paged(all, { limit = 10, starting_after: after, ending_before: before }, url, kind) {
  if (after !== undefined && before !== undefined) {
    throw invalid('You may only specify one of these parameters: starting_after, ending_before.')
  }
  const [cursor, param] = before === undefined ? [after, 'starting_after'] : [before, 'ending_before']
  const at = cursor === undefined ? -1 : all.findIndex(({ id }) => id === cursor)
  if (cursor !== undefined && at < 0) throw noSuch(kind, cursor, param, { status: 400 })
  const rest = before === undefined ? all.slice(at + 1) : all.slice(0, at)
  const page = before === undefined ? rest.slice(0, limit) : rest.slice(-limit)
  return { object: listObject(page, url, rest.length > limit) }
}

// A list of the key's mode by those parameters that are fields of the objects, by created, and by another test.
const list = (kind, fields, test = () => true) => (call, given) => {
  const found = call.store.list(kind, call.livemode).filter((record) => !call.store.isForgotten(record) &&
    isCreated(record.object.created, given.created) && test(record, given) &&
    fields.every((field) => given[field] === undefined || record.object[field] === given[field]))
  return paged(found.map(({ object }) => object), given, call.path, kind)
}

const isOfType = (type, pattern) => pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern

function isWantedEvent({ object: { type }, delivered }, { type: one, types, delivery_success: success }) {
  return (one === undefined || isOfType(type, one)) && (types === undefined || types.some((each) => isOfType(type, each))) &&
    (success === undefined || success === delivered)
}

const isWantedPayment = ({ object }, { payment }) => payment?.payment_intent === undefined ||
  object.payment.payment_intent === payment.payment_intent

function invoiceLines(call, given) {
  const invoice = call.find('invoice', call.id, 'invoice')
  return paged(invoice.lines ?? invoice.object.lines.data, given, call.path, 'line_item')
}

function sessionLines(call, given) {
  return paged(call.find('checkout.session', call.id, 'session').remembered.lines, given, call.path, 'item')
}

function retrieveEvent(call) {
  const event = call.find('event', call.id, 'id')
  if (call.store.isForgotten(event)) throw noSuch('event', call.id, 'id')
  return event
}

//
// The addresses
//

const { page, justExpand } = parameters
const routes = [
  ['POST', '/v1/checkout/sessions', parameters.sessionCreate, createSession, (given, now) => parameters.checkSession(given, now)],
  ['GET', '/v1/checkout/sessions', parameters.sessionList,
    list('checkout.session', ['payment_intent', 'customer', 'subscription', 'status', 'payment_link'])],
  ['GET', '/v1/checkout/sessions/:id', justExpand, retrieve('checkout.session', 'session')],
  ['GET', '/v1/checkout/sessions/:id/line_items', page, sessionLines],
  ['POST', '/v1/checkout/sessions/:id/expire', justExpand, expireSession],
  ['GET', '/v1/payment_intents/:id', justExpand, retrieve('payment_intent', 'intent')],
  ['GET', '/v1/charges/:id', justExpand, retrieve('charge', 'id')],
  ['POST', '/v1/refunds', parameters.refundCreate, createRefund, parameters.checkRefund],
  ['GET', '/v1/refunds', parameters.refundList, list('refund', ['charge', 'payment_intent'])],
  ['GET', '/v1/refunds/:id', justExpand, retrieve('refund', 'refund')],
  ['POST', '/v1/billing_portal/sessions', parameters.portalCreate, createPortal, parameters.checkPortal],
  ['POST', '/v1/customers', parameters.customerCreate, createCustomer],
  ['GET', '/v1/customers/:id', justExpand, retrieve('customer', 'id')],
  ['GET', '/v1/subscriptions/:id', justExpand, retrieve('subscription', 'id')],
  ['GET', '/v1/prices/:id', justExpand, retrieve('price', 'price')],
  ['GET', '/v1/events', parameters.eventList, list('event', [], isWantedEvent)],
  ['GET', '/v1/events/:id', justExpand, retrieveEvent],
  ['GET', '/v1/invoices/:id', justExpand, retrieve('invoice', 'invoice')],
  ['GET', '/v1/invoices/:id/lines', page, invoiceLines],
  ['GET', '/v1/invoice_payments', parameters.invoicePaymentList, list('invoice_payment', ['invoice', 'status'], isWantedPayment)]
].map(([method, address, table, run, check]) => ({ method, table, run, check,
  pattern: new RegExp(`^${address.replace(':id', '([^/]+)')}$`) }))

function routeOf(method, path) {
  for (const route of routes) {
    const found = route.method === method && route.pattern.exec(path)
    if (found) return { ...route, id: found[1] && decodeURIComponent(found[1]) }
  }
  throw invalidUrl(method, path)
}

const invalidUrl = (method, path) => new ApiError(404, { type: 'invalid_request_error',
  message: `Unrecognized request URL (${method}: ${path}). Please see https://stripe.com/docs.` })

//
// Who asks, and with which version
//

const unauthorized = (message) => new ApiError(401, { type: 'invalid_request_error', message })

const KEY = /^Bearer ((?:sk|rk)_(test|live)_[A-Za-z0-9_]{4,250})$/

// true for a live key, false for a test key, null for none that is any good
export function modeOf(authorization) {
  const found = KEY.exec(authorization ?? '')
  return found && !found[1].includes('invalid') ? found[2] === 'live' : null
}

function authenticate(authorization) {
  const livemode = modeOf(authorization)
  if (livemode !== null) return livemode
  if (!authorization) {
    throw unauthorized('You did not provide an API key. You need to provide your API key in the Authorization header, using ' +
      'Bearer auth.')
  }
  const shown = authorization.replace(/^Bearer /, '')
  throw unauthorized(`Invalid API Key provided: ${shown.slice(0, 8)}${'*'.repeat(20)}${shown.slice(-4)}`)
}

function checkVersion(version) {
  if (!version) throw invalid('The double wants a Stripe-Version header with each request.')
  if (!/^20\d\d-\d\d-\d\d(\.[a-z]+)?$/.test(version)) throw invalid(`Invalid Stripe API version: ${version}`)
}

// The body must say that it is a form; what stands in the URL counts too.
function parametersOf({ method, query, body, headers }) {
  const tree = decodeForm(query)
  if (method === 'GET' || body.length === 0) return tree
  if (!/^application\/x-www-form-urlencoded(;|$)/i.test(headers['content-type'] ?? '')) {
    throw invalid('Invalid request: the body must be application/x-www-form-urlencoded')
  }
  return decodeForm(decodeUtf8(body), tree)
}

function decodeUtf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw invalid('Invalid request: the body is not UTF-8')
  }
}

//
// Idempotency: the first result of a key is kept for a day, success or not; but not what failed before the work began.
//

const canonical = (tree) => typeof tree !== 'object' ? tree : Object.keys(tree).sort().map((key) => [key, canonical(tree[key])])

class Key {
  constructor(store, livemode, key, { method, path }, tree) {
    if (key.length > 255) throw invalid('Idempotency keys can be at most 255 characters long.', undefined, 'idempotency_key_too_long')
    this.store = store
    this.name = `${livemode} ${key}`
    this.request = `${method} ${path}`
    this.fingerprint = JSON.stringify(canonical(tree))
    const known = store.keys.get(this.name)
    this.known = known && known.since > store.now() - DAY ? known : null
    if (this.known) this.compare(this.known, key)
  }

  compare(known, key) {
    const refuse = (words) => { throw new ApiError(400, { type: 'idempotency_error', message: words }) }
    if (known.request !== this.request) {
      refuse(`Keys for idempotent requests can only be used for the same endpoint they were first used for ('${this.request}' vs ` +
        `'${known.request}'). Try using a key other than '${key}' if you meant to execute a different request.`)
    }
    if (known.fingerprint !== this.fingerprint) {
      refuse('Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key ' +
        `other than '${key}' if you meant to execute a different request.`)
    }
    if (!known.answer) {
      throw new ApiError(409, { type: 'idempotency_error', code: 'idempotency_key_in_use',
        message: 'There is currently another in-progress request using this Idempotent Key (that probably means you submitted ' +
          'twice, and the other request is still going through). Please try again later.' })
    }
  }

  start() {
    const { request, fingerprint } = this
    this.kept = { request, fingerprint, since: this.store.now() }
    this.store.keys.set(this.name, this.kept)
  }

  finish(answer) { this.kept.answer = answer }
}

//
// A request
//

// What a handler gets: its id, and the store as the key sees it.
function callOf(store, asked, livemode, route) {
  const kindOf = { id: asked.requestId, idempotency_key: asked.headers['idempotency-key'] ?? null }
  return { store, livemode, id: route.id, path: asked.path, base: asked.base, plain: asked.plain, request: kindOf,
    add: (object, beside) => store.add(object, livemode, beside),
    find: (kind, id, param, options) => store.find(kind, id, livemode, param, options) }
}

// An id in a field becomes the object itself; in lists by data.field.
function expandIn(store, object, [field, ...rest], record) {
  if (field === 'data' && object.object === 'list') {
    return { ...object, data: object.data.map((each) => expandIn(store, each, rest, store.records.get(each.id))) }
  }
  if (field === 'line_items' && record?.remembered) {
    return { ...object, line_items: listObject(record.remembered.lines, `/v1/checkout/sessions/${object.id}/line_items`) }
  }
  if (!(field in object)) throw invalid(`This property cannot be expanded (${field}).`, 'expand')
  const known = typeof object[field] === 'string' ? store.records.get(object[field]) : null
  const inner = known?.object ?? object[field]
  const isObject = inner !== null && typeof inner === 'object'
  return { ...object, [field]: rest.length > 0 && isObject ? expandIn(store, inner, rest, known) : inner }
}

const expanded = (store, record, paths = []) => paths.reduce((object, path) =>
  expandIn(store, object, path.split('.'), record), record.object)

const answerOf = (error) => {
  if (!(error instanceof ApiError)) throw error
  return { status: error.status, body: JSON.stringify(error.body, null, 2) }
}

function run(store, asked, route, call, given, failure) {
  try {
    if (failure) throw failure
    const record = route.run(call, given)
    return { status: 200, body: JSON.stringify(expanded(store, record, given.expand), null, 2) }
  } catch (error) {
    return answerOf(error)
  }
}

// The answer {status, headers, body} to asked {method, path, query, body, headers, requestId, base}.  failure is a kept error
// instead of the work, and the key is in use until hold, a promise, is kept.
export async function answerApi(store, asked, { failure, hold } = {}) {
  const { headers } = asked
  const common = { 'content-type': 'application/json', 'request-id': asked.requestId, 'cache-control': 'no-cache, no-store',
    ...headers['stripe-version'] && { 'stripe-version': headers['stripe-version'] },
    ...headers['idempotency-key'] && { 'idempotency-key': headers['idempotency-key'] } }
  try {
    store.expireWhatIsDue()
    const livemode = authenticate(headers.authorization)
    checkVersion(headers['stripe-version'])
    const route = routeOf(asked.method, asked.path)
    const tree = parametersOf(asked)
    const name = asked.method === 'POST' ? headers['idempotency-key'] : undefined
    const key = name === undefined ? null : new Key(store, livemode, name, asked, tree)
    if (key?.known) {
      const { answer, requestId } = key.known.answer
      return { ...answer, headers: { ...common, 'idempotent-replayed': 'true', 'original-request': requestId } }
    }
    const given = parameters.checkParameters(route.table, tree)
    route.check?.(given, store.now())

    key?.start()
    const answer = run(store, asked, route, callOf(store, asked, livemode, route), given, failure)
    await hold
    key?.finish({ answer, requestId: asked.requestId })
    return { ...answer, headers: { ...common, ...key && { 'original-request': asked.requestId } } }
  } catch (error) {
    return { ...answerOf(error), headers: common }
  }
}
