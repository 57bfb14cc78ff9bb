// Which parameters the API takes and of what type: tables written by hand from the API's documentation (2026-10-28), and
// the check of a decoded form against them.  The result has numbers, booleans and arrays where the form had text.
import { ApiError, invalid, missing } from './errors.js'

//
// The types
//

class Type {
  constructor(read) { this.read = read } // read(value, path) returns the value or throws
}

const isHash = (value) => typeof value === 'object'
const show = (value) => (isHash(value) ? JSON.stringify(value) : value).slice(0, 200)
const characters = (text) => [...text].length

function readText(value, path) {
  if (isHash(value)) throw invalid(`Invalid string: ${show(value)}`, path)
  if (value === '') {
    throw invalid(`You passed an empty string for '${path}'. We assume empty values are an attempt to unset a parameter; ` +
      `however '${path}' cannot be unset. You should remove '${path}' from your request or supply a non-empty value.`,
    path, 'parameter_invalid_empty')
  }
  return value
}

function readWith(pattern, code, words) {
  return new Type((value, path) => {
    if (!pattern.test(readText(value, path))) throw invalid(`${words}: ${show(value)}`, path, code)
    return value
  })
}

const upTo = (max) => new Type((value, path) => {
  const length = characters(readText(value, path))
  if (length <= max) return value
  throw invalid(`Invalid string: ${show(value)}; must be at most ${max} characters`, path, 'parameter_invalid_string_too_long')
})

const int = (min = -Infinity, max = Infinity) => new Type((value, path) => {
  if (isHash(value) || !/^[+-]?[0-9]{1,18}$/.test(value)) {
    throw invalid(`Invalid integer: ${show(value)}`, path, 'parameter_invalid_integer')
  }
  const number = Number(value)
  if (number < min) throw invalid(`This value must be greater than or equal to ${min}.`, path, 'parameter_invalid_integer')
  if (number > max) throw invalid(`This value must be less than or equal to ${max}.`, path, 'parameter_invalid_integer')
  return number
})

const oneOf = (...words) => new Type((value, path) => {
  if (!words.includes(value)) throw invalid(`Invalid ${path}: must be one of ${words.join(', ')}`, path)
  return value
})

const listOf = (element, max = Infinity) => new Type((value, path) => {
  if (!isHash(value) || !Object.keys(value).every((key) => /^[0-9]{1,6}$/.test(key))) throw invalid('Invalid array', path)
  const keys = Object.keys(value).sort((a, b) => a - b)
  if (keys.length > max) throw invalid(`Array must have at most ${max} elements`, path)
  return keys.map((key) => read(element, value[key], `${path}[${key}]`))
})

const orEmpty = (inner) => new Type((value, path) => value === '' ? null : read(inner, value, path))
const either = (plain, hash) => new Type((value, path) => read(isHash(value) ? hash : plain, value, path))

const text = new Type(readText)
const anything = new Type((value) => value)
const bool = new Type((value, path) => {
  if (value !== 'true' && value !== 'false') throw invalid(`Invalid boolean: ${show(value)}`, path)
  return value === 'true'
})
const decimal = readWith(/^-?[0-9]{1,12}(\.[0-9]{1,12})?$/, 'parameter_invalid_string', 'Invalid decimal')
const email = readWith(/^[^\s@]+@[^\s@]+\.[^\s@]+$/, 'email_invalid', 'Invalid email address')
const word = readWith(/^[A-Za-z0-9_-]+$/, undefined, 'Invalid value')
const url = new Type((value, path) => {
  if (!isUrl(readText(value, path))) throw invalid('Not a valid URL', path, 'url_invalid')
  return upTo(5000).read(value, path)
})
const currencies = new Set(Intl.supportedValuesOf('currency').map((code) => code.toLowerCase()))
const currency = new Type((value, path) => {
  const code = readText(value, path).toLowerCase()
  if (!currencies.has(code)) throw invalid(`Invalid currency: ${code}.`, path)
  return code
})

function isUrl(value) {
  try {
    return Boolean(new URL(value).host)
  } catch {
    return false
  }
}

const metadata = new Type((value, path) => {
  if (value === '') return {}
  if (!isHash(value)) throw invalid('Invalid object', path)
  const entries = Object.entries(value).filter(([, given]) => given !== '') // an empty value unsets a key
  if (entries.length > 50) throw invalid(`You may only specify up to 50 metadata keys; you gave ${entries.length}.`, path)
  for (const [key, given] of entries) checkMetadata(key, given, `${path}[${key}]`)
  return Object.fromEntries(entries)
})

function checkMetadata(key, value, path) {
  if (isHash(value)) throw invalid('Metadata values must be strings, but you passed in a value of type hash', path)
  if (characters(key) > 40) {
    throw invalid(`Metadata keys can have up to 40 characters, but you passed in a key that is ${characters(key)} characters. ` +
      `Invalid key: ${key}`, path)
  }
  if (characters(value) > 500) {
    throw invalid(`Metadata values can have up to 500 characters, but you passed in a value that is ${characters(value)} ` +
      `characters. Invalid value: ${value}`, path)
  }
}

//
// The check
//

function read(type, value, path) {
  return type instanceof Type ? type.read(value, path) : readHash(type, value, path)
}

const inside = (path, key) => path === '' ? key : `${path}[${key}]`

function readHash(table, value, path) {
  if (!isHash(value)) throw invalid('Invalid object', path)
  const unknown = Object.keys(value).filter((key) => !Object.hasOwn(table, key)).map((key) => inside(path, key))
  if (unknown.length > 0) throw unknownParameters(unknown)
  return Object.fromEntries(Object.entries(value).map(([key, given]) => [key, read(table[key], given, inside(path, key))]))
}

function unknownParameters(names) {
  const plural = names.length > 1 ? 's' : ''
  return new ApiError(400, { type: 'invalid_request_error', code: 'parameter_unknown', param: names[0],
    message: `Received unknown parameter${plural}: ${names.join(', ')}` })
}

export const checkParameters = (table, tree) => readHash(table, tree, '')

//
// The tables
//

const expand = listOf(text)
const created = either(int(), { gt: int(), gte: int(), lt: int(), lte: int() })
const paging = { limit: int(1, 100), starting_after: text, ending_before: text, expand }
const enabled = { enabled: bool }
const autoOrNever = oneOf('auto', 'never')
const party = { account: text, type: oneOf('account', 'self') }
const address = { line1: text, line2: text, city: text, state: text, postal_code: text, country: text }
const shipping = { address, carrier: text, name: text, phone: text, tracking_number: text }
const picture = { type: oneOf('file', 'url'), file: text, url }
const note = orEmpty({ message: upTo(1200) })
const duration = { unit: oneOf('hour', 'day', 'business_day', 'week', 'month'), value: int(1) }
const span = { minimum: duration, maximum: duration }
const printed = orEmpty({ amount_tax_display: text, template: text })
const labels = orEmpty(listOf({ name: text, value: text }))
const typed = { default_value: text, minimum_length: int(0), maximum_length: int(0) }
const amount = int(0, 99999999)

const priceData = {
  currency, product: text, unit_amount: amount, unit_amount_decimal: decimal,
  product_data: { name: upTo(5000), description: upTo(5000), images: listOf(url, 8), metadata, tax_code: text, unit_label: text,
    tax_details: { performance_location: text, tax_code: text } },
  recurring: { interval: oneOf('day', 'week', 'month', 'year'), interval_count: int(1) },
  tax_behavior: oneOf('exclusive', 'inclusive', 'unspecified')
}
const adjustableQuantity = { enabled: bool, minimum: int(0), maximum: int(1) }

const shippingRate = {
  display_name: text, type: oneOf('fixed_amount'), metadata, tax_code: text,
  fixed_amount: { amount, currency, currency_options: anything },
  tax_behavior: oneOf('exclusive', 'inclusive', 'unspecified'), delivery_estimate: span
}

const subscriptionData = {
  application_fee_percent: decimal, billing_cycle_anchor: int(), billing_mode: { type: oneOf('classic', 'flexible'),
    flexible: { proration_discounts: oneOf('included', 'itemized') } },
  billing_cycle_anchor_config: { month: int(1, 12), day_of_month: int(1, 31), hour: int(0, 23), minute: int(0, 59),
    second: int(0, 59) },
  default_tax_rates: listOf(text), description: upTo(500), metadata, on_behalf_of: text,
  invoice_settings: { issuer: party, account_tax_ids: anything, custom_fields: labels, description: text, footer: text },
  pending_invoice_item_interval: { interval: oneOf('day', 'week', 'month'), interval_count: int(1) },
  proration_behavior: oneOf('create_prorations', 'none'), trial_end: int(), trial_period_days: int(1),
  transfer_data: { destination: text, amount_percent: decimal },
  trial_settings: { end_behavior: { missing_payment_method: oneOf('cancel', 'create_invoice', 'pause') } }
}

// No payment_method_types: it went with 2026-09-30.
export const sessionCreate = {
  adaptive_pricing: enabled, after_expiration: { recovery: { enabled: bool, allow_promotion_codes: bool } },
  allow_promotion_codes: bool, allowed_payment_method_types: listOf(word), excluded_payment_method_types: listOf(word),
  automatic_tax: { enabled: bool, liability: party }, billing_address_collection: oneOf('auto', 'required'),
  branding_settings: { background_color: text, button_color: text, border_style: text, display_name: text, font_family: text,
    icon: picture, logo: picture },
  cancel_url: url, client_reference_id: upTo(200), currency,
  consent_collection: { promotions: oneOf('auto', 'none'), terms_of_service: oneOf('none', 'required'),
    payment_method_reuse_agreement: { position: oneOf('auto', 'hidden') } },
  custom_fields: listOf({ key: upTo(200), label: { type: oneOf('custom'), custom: upTo(50) }, optional: bool, numeric: typed,
    text: typed, type: oneOf('dropdown', 'numeric', 'text'),
    dropdown: { default_value: text, options: listOf({ label: text, value: text }, 200) } }, 3),
  custom_text: { after_submit: note, shipping_address: note, submit: note, terms_of_service_acceptance: note },
  customer: text, customer_account: text, customer_creation: oneOf('always', 'if_required'), customer_email: email,
  customer_update: { address: autoOrNever, name: autoOrNever, shipping: autoOrNever },
  discounts: listOf({ coupon: text, promotion_code: text }, 20), expand, expires_at: int(), integration_identifier: text,
  invoice_creation: { enabled: bool, invoice_data: { account_tax_ids: anything, custom_fields: labels, description: text,
    footer: text, issuer: party, metadata, rendering_options: printed } },
  line_items: listOf({ adjustable_quantity: adjustableQuantity, metadata, price: text, price_data: priceData,
    quantity: int(1, 999999999999), tax_rates: listOf(text) }),
  locale: readWith(/^(auto|[a-z]{2,3}(-[A-Z0-9]{2,3})?)$/, undefined, 'Invalid locale'),
  managed_payments: enabled, metadata, mode: oneOf('payment', 'setup', 'subscription'),
  name_collection: { business: { enabled: bool, optional: bool }, individual: { enabled: bool, optional: bool } },
  optional_items: listOf({ adjustable_quantity: adjustableQuantity, price: text, quantity: int(1) }, 10),
  origin_context: oneOf('mobile_app', 'web'),
  payment_intent_data: { application_fee_amount: amount, capture_method: oneOf('automatic', 'automatic_async', 'manual'),
    description: upTo(1000), metadata, on_behalf_of: text, receipt_email: email, shipping,
    setup_future_usage: oneOf('off_session', 'on_session'), statement_descriptor: upTo(22),
    statement_descriptor_suffix: upTo(22), transfer_data: { amount, destination: text }, transfer_group: text },
  payment_method_collection: oneOf('always', 'if_required'), payment_method_configuration: text,
  payment_method_data: { allow_redisplay: oneOf('always', 'limited', 'unspecified') }, payment_method_options: anything,
  permissions: { update_shipping_details: oneOf('client_only', 'server_only') }, phone_number_collection: enabled,
  redirect_on_completion: oneOf('always', 'if_required', 'never'), return_url: url,
  saved_payment_method_options: { allow_redisplay_filters: listOf(oneOf('always', 'limited', 'unspecified')),
    payment_method_remove: oneOf('disabled', 'enabled'), payment_method_save: oneOf('disabled', 'enabled') },
  setup_intent_data: { description: text, metadata, on_behalf_of: text },
  shipping_address_collection: { allowed_countries: listOf(word) },
  shipping_options: listOf({ shipping_rate: text, shipping_rate_data: shippingRate }, 5),
  submit_type: oneOf('auto', 'book', 'donate', 'pay', 'subscribe'), subscription_data: subscriptionData, success_url: url,
  tax_id_collection: { enabled: bool, required: oneOf('if_supported', 'never') },
  ui_mode: oneOf('elements', 'embedded_page', 'form', 'hosted_page'),
  wallet_options: { link: { display: autoOrNever } }
}

export const justExpand = { expand }
export const sessionList = { ...paging, created, customer: text, customer_account: text, customer_details: { email },
  payment_intent: text, payment_link: text, status: oneOf('complete', 'expired', 'open'), subscription: text }
export const page = paging
export const refundCreate = { amount: int(1), charge: text, currency, customer: text, expand, instructions_email: email, metadata,
  origin: oneOf('customer_balance'), payment_intent: text, reason: oneOf('duplicate', 'fraudulent', 'requested_by_customer'),
  refund_application_fee: bool, reverse_transfer: bool }
export const refundList = { ...paging, charge: text, created, payment_intent: text }
export const portalCreate = { configuration: text, customer: text, customer_account: text, expand, flow_data: anything,
  locale: word, on_behalf_of: text, return_url: url }
export const customerCreate = { address: orEmpty(address), balance: int(), business_name: text, cash_balance: anything,
  description: text, email: upTo(512), expand, individual_name: text, invoice_prefix: text, invoice_settings: anything, metadata,
  name: upTo(256), next_invoice_sequence: int(1), payment_method: text, phone: upTo(20), preferred_locales: listOf(word),
  shipping: orEmpty(shipping), source: text, tax: anything, tax_exempt: oneOf('', 'exempt', 'none', 'reverse'),
  tax_id_data: listOf({ type: word, value: text }), test_clock: text, validate: bool }
export const eventList = { ...paging, created, delivery_success: bool, type: text, types: listOf(text, 20) }
export const invoicePaymentList = { ...paging, created: anything, invoice: text, status: oneOf('canceled', 'open', 'paid'),
  payment: { type: oneOf('charge', 'payment_intent', 'payment_record'), payment_intent: text, charge: text } }

//
// Rules that no type can say
//

const onlyIn = (given, name, mode, ...modes) => {
  if (name in given && !modes.includes(mode)) throw invalid(`You can not pass \`${name}\` in \`${mode}\` mode.`, name)
}

const onlyOne = (given, path, ...names) => {
  const found = names.filter((name) => name in given)
  if (found.length > 1) throw invalid(`You may only specify one of these parameters: ${found.join(', ')}.`, inside(path, found[0]))
  return found.length === 1
}

function checkPriceData(data, path, mode) {
  if (!data.currency) throw missing(`${path}[currency]`)
  if (!onlyOne(data, path, 'product', 'product_data')) throw missing(`${path}[product_data]`)
  if (data.product_data && !data.product_data.name) throw missing(`${path}[product_data][name]`)
  if (!onlyOne(data, path, 'unit_amount', 'unit_amount_decimal')) throw missing(`${path}[unit_amount]`)
  if (data.recurring && !data.recurring.interval) throw missing(`${path}[recurring][interval]`)
  if (data.recurring && mode === 'payment') throw recurringInPayment(path)
}

const recurringInPayment = (path) => invalid('You specified `payment` mode but passed a recurring price. Either switch to ' +
  '`subscription` mode or use only one-time prices.', path)

function checkLine(line, path, mode) {
  if (!onlyOne(line, path, 'price', 'price_data')) {
    throw invalid('You must specify either `price` or `price_data` when using prices.', `${path}[price]`, 'parameter_missing')
  }
  if (!('quantity' in line)) throw missing(`${path}[quantity]`)
  if (line.price_data) checkPriceData(line.price_data, `${path}[price_data]`, mode)
}

function checkUrls(given) {
  const uiMode = given.ui_mode ?? 'hosted_page'
  if (uiMode === 'hosted_page' && !given.success_url) throw missing('success_url')
  if (uiMode === 'embedded_page' || uiMode === 'elements') {
    for (const name of ['success_url', 'cancel_url']) {
      if (name in given) throw invalid(`\`${name}\` can't be used with \`ui_mode\`: ${uiMode}.`, name)
    }
    if (!given.return_url && given.redirect_on_completion !== 'never') throw missing('return_url')
  }
}

export function checkSession(given, now) {
  const { mode } = given
  if (!mode) throw missing('mode')
  if (mode === 'setup' && given.line_items) onlyIn(given, 'line_items', mode)
  if (mode === 'setup' && !given.currency && !given.allowed_payment_method_types) throw missing('currency')
  if (mode !== 'setup' && !given.line_items?.length) throw missing('line_items')
  for (const [i, line] of (given.line_items ?? []).entries()) checkLine(line, `line_items[${i}]`, mode)
  checkUrls(given)
  onlyOne(given, '', 'customer', 'customer_email')
  onlyOne(given, '', 'allow_promotion_codes', 'discounts')
  onlyIn(given, 'payment_intent_data', mode, 'payment')
  onlyIn(given, 'invoice_creation', mode, 'payment')
  onlyIn(given, 'subscription_data', mode, 'subscription')
  onlyIn(given, 'setup_intent_data', mode, 'setup')
  onlyIn(given, 'customer_creation', mode, 'payment', 'setup')
  onlyIn(given, 'submit_type', mode, 'payment', 'subscription')
  if (given.customer_update && !given.customer) throw invalid('`customer_update` can only be used with `customer`.', 'customer_update')
  checkExpiry(given.expires_at, now)
}

// A client's clock may be a few seconds off.
function checkExpiry(at, now) {
  if (at === undefined) return
  if (at < now + 30 * 60 - 10) {
    throw invalid('The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.', 'expires_at')
  }
  if (at > now + 24 * 3600 + 10) {
    throw invalid('The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.', 'expires_at')
  }
}

export function checkRefund(given) {
  if (!onlyOne(given, '', 'payment_intent', 'charge')) {
    throw invalid('One of the following params should be provided for this request: payment_intent or charge.',
      'payment_intent', 'parameter_missing')
  }
}

export function checkPortal(given) {
  if (!onlyOne(given, '', 'customer', 'customer_account')) throw missing('customer')
}
