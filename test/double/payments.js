// What happens when a buyer pays, at once or later, when a subscription renews, and when money goes back: the objects that
// come to be, and the events that tell of them.
import { invalid } from './errors.js'
import { chargeObject, customerDetails, customerObject, intentObject, invoiceLineObject, invoiceObject, invoicePaymentObject,
  refundObject, subscriptionItemObject, subscriptionObject } from './objects.js'
import { newId } from './store.js'

const MONTH = 30 * 24 * 3600
const SECONDS = { day: 24 * 3600, week: 7 * 24 * 3600, month: MONTH, year: 365 * 24 * 3600 }

//
// One payment: an intent and its charge
//

function startPayment(store, { amount, currency, customer, description = null, metadata = {}, livemode, details }) {
  const common = { amount, currency, customer, description, metadata, livemode, created: store.now() }
  const [intent, charge] = [newId('pi'), newId('ch')]
  store.add(chargeObject({ ...common, id: charge, intent, details }), livemode)
  return store.add(intentObject({ ...common, id: intent, charge }), livemode)
}

const chargeOf = (store, intent) => store.records.get(intent.object.latest_charge)

function emitWaiting(store, intent) {
  store.emit('payment_intent.processing', intent)
  store.emit('charge.pending', chargeOf(store, intent))
}

function succeed(store, intent) {
  const charge = chargeOf(store, intent)
  Object.assign(charge.object, { status: 'succeeded', paid: true, amount_captured: charge.object.amount,
    balance_transaction: newId('txn'), outcome: { network_status: 'approved_by_network', reason: null, risk_level: 'normal',
      seller_message: 'Payment complete.', type: 'authorized' } })
  Object.assign(intent.object, { status: 'succeeded', amount_received: intent.object.amount })
  store.emit('charge.succeeded', charge)
  store.emit('payment_intent.succeeded', intent)
}

function fail(store, intent) {
  const charge = chargeOf(store, intent)
  Object.assign(charge.object, { status: 'failed', paid: false, failure_code: 'insufficient_funds',
    failure_message: 'The account has insufficient funds.' })
  Object.assign(intent.object, { status: 'requires_payment_method', last_payment_error: { code: 'payment_intent_payment_attempt_failed',
    message: 'The payment failed.', type: 'invalid_request_error' } })
  store.emit('charge.failed', charge)
  store.emit('payment_intent.payment_failed', intent)
}

//
// The buyer's form
//

function changeTotals(session, { discount, tax }) {
  session.amount_total += tax - discount
  Object.assign(session.total_details, { amount_discount: discount, amount_tax: tax })
}

const minorUnits = (given) => /^[0-9]{1,9}$/.test(given ?? '') ? Number(given) : 0

// form: email, name; delay=1 (a method that takes days), discount and tax in minor units
export function pay(store, record, form) {
  const { object: session, livemode } = record
  if (session.status !== 'open') throw invalid(`This Checkout Session is ${session.status}.`)
  const discount = minorUnits(form.discount)
  if (discount > 0 && !session.allow_promotion_codes) throw invalid('This Checkout Session takes no promotion codes.', 'discount')
  if (discount > session.amount_total) throw invalid('That is more than the total.', 'discount')
  if (session.mode !== 'setup') changeTotals(session, { discount, tax: minorUnits(form.tax) })

  const details = customerDetails({ email: form.email || emailOf(store, session) || 'buyer@example.com', name: form.name || 'A Buyer' })
  Object.assign(session, { customer_details: details, status: 'complete', url: null, customer: customerFor(store, record, details) })
  if (session.mode === 'setup') session.setup_intent = newId('seti')
  else if (session.mode === 'subscription') subscribe(store, record, form.delay === '1')
  else payOnce(store, record, form.delay === '1')
}

const emailOf = (store, session) => session.customer_email ?? store.records.get(session.customer)?.object.email

function customerFor(store, { object: session, livemode }, { email, name }) {
  if (session.customer) return session.customer
  if (session.mode !== 'subscription' && session.customer_creation !== 'always') return null
  const customer = customerObject({ id: newId('cus', 14), livemode, created: store.now(), given: { email, name } })
  store.emit('customer.created', store.add(customer, livemode))
  return customer.id
}

function complete(store, record, status) {
  record.object.payment_status = status
  store.emit('checkout.session.completed', record)
}

function payOnce(store, record, isDelayed) {
  const { object: session, livemode, remembered } = record
  if (session.amount_total === 0) return complete(store, record, 'no_payment_required')
  const intent = startPayment(store, { amount: session.amount_total, currency: session.currency, customer: session.customer,
    livemode, details: session.customer_details, ...remembered.intent })
  session.payment_intent = intent.object.id
  if (isDelayed) emitWaiting(store, intent)
  else succeed(store, intent)
  return complete(store, record, isDelayed ? 'unpaid' : 'paid')
}

//
// Subscriptions
//

function subscribe(store, record, isDelayed) {
  const { object: session, livemode, remembered } = record
  const created = store.now()
  const id = newId('sub')
  const recurring = remembered.lines.filter(({ price }) => price.recurring)
  const items = recurring.map(({ price, quantity }) => subscriptionItemObject({ id: newId('si', 14), subscription: id, price, quantity,
    created, period: { start: created, end: created + periodOf(price) } }))
  const subscription = store.add(subscriptionObject({ id, customer: session.customer, currency: session.currency, items, livemode,
    created, trialEnd: remembered.trialEnd, ...remembered.subscription }), livemode, { details: session.customer_details })
  const invoice = bill(store, subscription, 'subscription_create', session.amount_total,
    remembered.lines.filter(({ price }) => !price.recurring))
  Object.assign(session, { subscription: id, invoice: invoice.object.id })

  if (invoice.intent && isDelayed) emitWaiting(store, invoice.intent)
  else if (invoice.intent) succeed(store, invoice.intent)
  store.emit('customer.subscription.created', subscription)
  complete(store, record, invoice.intent ? isDelayed ? 'unpaid' : 'paid' : 'no_payment_required')
  if (!isDelayed || !invoice.intent) payInvoice(store, invoice)
}

const periodOf = ({ recurring }) => SECONDS[recurring.interval] * recurring.interval_count

// An open invoice of the subscription's items, and of what is sold once beside them.
function bill(store, subscription, reason, amount, once = []) {
  const { object, livemode, details } = subscription
  const created = store.now()
  const id = newId('in')
  const isTrial = object.trial_end !== null && reason === 'subscription_create'
  const line = (price, quantity, item, period) => invoiceLineObject({ id: newId('il'), invoice: id, item, price, quantity, livemode,
    amount: isTrial && item ? 0 : Math.round(Number(price.unit_amount_decimal) * quantity), subscription: object, period,
    description: isTrial && item ? 'Free trial' : `${quantity} × ${store.records.get(price.product)?.object.name ?? price.product}` })
  const lines = [
    ...object.items.data.map(({ id: item, price, quantity }) => line(price, quantity, item,
      { start: created, end: isTrial ? object.trial_end : created + periodOf(price) })),
    ...once.map(({ price, quantity }) => line(price, quantity, null, { start: created, end: created }))
  ]
  const invoice = store.add(invoiceObject({ id, subscription: object, customer: object.customer, details, currency: object.currency,
    amount, lines, reason, livemode, created }), livemode, { lines })
  // The payment of an invoice has none of the subscription's metadata.
  if (amount > 0) {
    invoice.intent = startPayment(store, { amount, currency: object.currency, customer: object.customer, livemode, details,
      description: reason === 'subscription_create' ? 'Subscription creation' : 'Subscription update' })
  }
  object.latest_invoice = id
  return invoice
}

function payInvoice(store, invoice) {
  const { object, livemode, intent } = invoice
  const now = store.now()
  Object.assign(object, { status: 'paid', amount_paid: object.amount_due, amount_remaining: 0, attempted: true,
    attempt_count: intent ? 1 : 0 })
  object.status_transitions.paid_at = now
  store.emit('invoice.paid', invoice)
  store.emit('invoice.payment_succeeded', invoice) // says the same again, as Stripe does
  if (!intent) return
  const payment = invoicePaymentObject({ id: newId('inpay'), invoice: object, intent: intent.object.id, livemode, created: now })
  store.emit('invoice_payment.paid', store.add(payment, livemode))
}

// The next period of a subscription, paid at once.
export function renew(store, subscription) {
  const { items } = subscription.object
  if (subscription.object.status === 'trialing') subscription.object.status = 'active'
  for (const item of items.data) {
    const start = item.current_period_end
    Object.assign(item, { current_period_start: start, current_period_end: start + periodOf(item.price) })
  }
  const amount = items.data.reduce((sum, { price, quantity }) => sum + Math.round(Number(price.unit_amount_decimal) * quantity), 0)
  const invoice = bill(store, subscription, 'subscription_cycle', amount)
  if (invoice.intent) succeed(store, invoice.intent)
  payInvoice(store, invoice)
  store.emit('customer.subscription.updated', subscription)
  return invoice
}

//
// What takes days
//

// A payment by a delayed method.
export function settleSession(store, record, outcome) {
  const { object: session } = record
  if (session.status !== 'complete' || session.payment_status !== 'unpaid' || record.isSettled) {
    throw invalid('No payment of this Checkout Session is under way.')
  }
  record.isSettled = true
  const invoice = store.records.get(session.invoice)
  const intent = invoice ? invoice.intent : store.records.get(session.payment_intent)
  if (outcome === 'succeeded') {
    succeed(store, intent)
    session.payment_status = 'paid'
    store.emit('checkout.session.async_payment_succeeded', record)
    if (invoice) payInvoice(store, invoice)
  } else {
    fail(store, intent)
    store.emit('checkout.session.async_payment_failed', record)
    if (invoice) store.emit('invoice.payment_failed', invoice)
  }
}

// A refund that the bank sends back (whether Stripe then lowers amount_refunded is not known for sure; here it does), or
// that has arrived.
export function settleRefund(store, record, outcome) {
  const { object: refund } = record
  if (!['succeeded', 'pending'].includes(refund.status)) throw invalid(`This refund is ${refund.status}.`)
  if (outcome === 'succeeded') {
    refund.status = 'succeeded'
    store.emit('refund.updated', record)
    return
  }
  const { object: charge } = store.records.get(refund.charge)
  charge.amount_refunded -= refund.amount
  charge.refunded = false
  Object.assign(refund, { status: 'failed', failure_reason: 'expired_or_canceled_card', failure_balance_transaction: newId('txn') })
  store.emit('refund.failed', record)
}

//
// Refunds
//

const money = (amount, currency) => `${amount} ${currency.toUpperCase()}`

// Throws what Stripe would.  Returns the amount.
function refundable(charge, asked) {
  const left = charge.amount - charge.amount_refunded
  if (!charge.paid) throw invalid('This payment does not have a successful charge to refund.', 'payment_intent')
  if (left === 0) {
    throw invalid(`Charge ${charge.id} has already been refunded.`, undefined, 'charge_already_refunded', { charge: charge.id })
  }
  if (asked > left) {
    throw invalid(`Refund amount (${money(asked, charge.currency)}) is greater than unrefunded amount on charge ` +
      `(${money(left, charge.currency)})`, 'amount')
  }
  return asked ?? left
}

export function refund(store, record, { amount: asked, metadata = {}, reason = null }, request) {
  const { object: charge, livemode } = record
  const amount = refundable(charge, asked)
  const before = charge.amount_refunded
  charge.amount_refunded += amount
  charge.refunded = charge.amount_refunded === charge.amount
  const previous = { amount_refunded: before, ...charge.refunded && { refunded: false } }
  const made = store.add(refundObject({ id: newId('re'), amount, charge, created: store.now(), metadata, reason,
    balanceTransaction: newId('txn') }), livemode)
  store.emit('refund.created', made, { request })
  store.emit('charge.refunded', record, { previous, request })
  return made
}
