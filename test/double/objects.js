// The shapes of Stripe's objects, written from the API's documentation of this version.  Nothing but shapes: ids, times and
// amounts come from outside.
export const API_VERSION = '2026-10-28.endive'

export const listObject = (data, url, hasMore = false) => ({ object: 'list', data, has_more: hasMore, url })

export const eventObject = ({ id, type, object, previous, livemode, created, request, account }) => ({
  id, object: 'event', ...account && { account }, api_version: API_VERSION, created,
  data: { object, ...previous && { previous_attributes: previous } },
  livemode, pending_webhooks: 1, request: request ?? { id: null, idempotency_key: null }, type
})

//
// What is sold
//

export const productObject = ({ id, name, livemode, created, metadata = {}, description = null }) => ({
  id, object: 'product', active: true, attributes: [], created, default_price: null, description, images: [], livemode,
  marketing_features: [], metadata, name, package_dimensions: null, shippable: null, statement_descriptor: null, tax_code: null,
  type: 'service', unit_label: null, updated: created, url: null
})

export const priceObject = ({ id, product, currency, unit_amount, unit_amount_decimal, recurring, livemode, created,
  active = true }) => ({
  id, object: 'price', active, billing_scheme: 'per_unit', created, currency, custom_unit_amount: null, livemode,
  lookup_key: null, metadata: {}, nickname: null, product,
  recurring: recurring ? { interval: 'month', interval_count: 1, meter: null, trial_period_days: null, usage_type: 'licensed',
    ...recurring } : null,
  tax_behavior: 'unspecified', tiers_mode: null, transform_quantity: null, type: recurring ? 'recurring' : 'one_time',
  unit_amount: unit_amount ?? null, unit_amount_decimal: unit_amount_decimal ?? String(unit_amount)
})

export const lineItemObject = ({ id, price, quantity, amount, description, metadata = {} }) => ({
  id, object: 'item', adjustable_quantity: null, amount_discount: 0, amount_subtotal: amount, amount_tax: 0,
  amount_total: amount, currency: price.currency, description, metadata, price, quantity
})

//
// Customers, sessions
//

export const customerObject = ({ id, livemode, created, given = {} }) => ({
  id, object: 'customer', address: given.address ?? null, balance: given.balance ?? 0, created, currency: null,
  default_source: null, delinquent: false, description: given.description ?? null, discount: null, email: given.email ?? null,
  invoice_prefix: id.slice(-8).toUpperCase(),
  invoice_settings: { custom_fields: null, default_payment_method: null, footer: null, rendering_options: null },
  livemode, metadata: given.metadata ?? {}, name: given.name ?? null, next_invoice_sequence: 1, phone: given.phone ?? null,
  preferred_locales: given.preferred_locales ?? [], shipping: given.shipping ?? null, tax_exempt: given.tax_exempt ?? 'none',
  test_clock: null
})

export const sessionObject = ({ id, url, livemode, created, given, customer, amounts }) => ({
  id, object: 'checkout.session',
  adaptive_pricing: { enabled: given.adaptive_pricing?.enabled ?? given.mode === 'payment' },
  after_expiration: given.after_expiration ?? null, allow_promotion_codes: given.allow_promotion_codes ?? null,
  amount_subtotal: amounts.subtotal, amount_total: amounts.total,
  automatic_tax: { enabled: given.automatic_tax?.enabled ?? false, liability: null, provider: null, status: null },
  billing_address_collection: given.billing_address_collection ?? null, cancel_url: given.cancel_url ?? null,
  client_reference_id: given.client_reference_id ?? null, client_secret: null, collected_information: null, consent: null,
  consent_collection: given.consent_collection ?? null, created, currency: amounts.currency, currency_conversion: null,
  custom_fields: [], custom_text: { after_submit: null, shipping_address: null, submit: null, terms_of_service_acceptance: null },
  customer, customer_account: null,
  customer_creation: given.mode === 'payment' ? given.customer_creation ?? (customer ? null : 'if_required') : null,
  customer_details: null, customer_email: given.customer_email ?? null, discounts: [],
  expires_at: given.expires_at ?? created + 24 * 3600, integration_identifier: given.integration_identifier ?? null,
  invoice: null,
  invoice_creation: given.mode === 'payment' ? { enabled: given.invoice_creation?.enabled ?? false, invoice_data: {
    account_tax_ids: null, custom_fields: null, description: null, footer: null, issuer: null, metadata: {},
    rendering_options: null } } : null,
  livemode, locale: given.locale ?? null, metadata: given.metadata ?? {}, mode: given.mode,
  origin_context: given.origin_context ?? null, payment_intent: null, payment_link: null,
  payment_method_collection: given.payment_method_collection ?? (given.mode === 'subscription' ? 'always' : 'if_required'),
  payment_method_configuration_details: null, payment_method_options: {}, payment_method_types: ['card'],
  payment_status: given.mode === 'setup' ? 'no_payment_required' : 'unpaid', permissions: null,
  phone_number_collection: { enabled: given.phone_number_collection?.enabled ?? false }, recovered_from: null,
  saved_payment_method_options: null, setup_intent: null, shipping_address_collection: null,
  shipping_cost: amounts.shipping ? { amount_subtotal: amounts.shipping, amount_tax: 0, amount_total: amounts.shipping,
    shipping_rate: null } : null,
  shipping_options: [], status: 'open', submit_type: given.submit_type ?? null, subscription: null,
  success_url: given.success_url ?? null,
  total_details: { amount_discount: 0, amount_shipping: amounts.shipping, amount_tax: 0 },
  ui_mode: given.ui_mode ?? 'hosted_page', url, wallet_options: null
})

export const customerDetails = ({ email, name }) => ({
  address: { city: null, country: 'US', line1: null, line2: null, postal_code: '12345', state: null }, business_name: null,
  email, individual_name: name, name, phone: null, tax_exempt: 'none', tax_ids: []
})

export const portalObject = ({ id, url, livemode, created, given }) => ({
  id, object: 'billing_portal.session', configuration: given.configuration ?? 'bpc_1DoubleDefaultConfiguration', created,
  customer: given.customer, customer_account: null, flow: null, livemode, locale: given.locale ?? null,
  on_behalf_of: given.on_behalf_of ?? null, return_url: given.return_url ?? null, url
})

//
// Payments and what goes back
//

export const intentObject = ({ id, amount, currency, customer, description, metadata, livemode, created, charge }) => ({
  id, object: 'payment_intent', amount, amount_capturable: 0, amount_details: { tip: {} }, amount_received: 0,
  application: null, application_fee_amount: null, automatic_payment_methods: null, canceled_at: null,
  cancellation_reason: null, capture_method: 'automatic_async', client_secret: `${id}_secret_double`,
  confirmation_method: 'automatic', created, currency, customer, customer_account: null, description,
  last_payment_error: null, latest_charge: charge, livemode, metadata, next_action: null, on_behalf_of: null,
  payment_method: `pm_${id.slice(3)}`, payment_method_configuration_details: null, payment_method_options: {},
  payment_method_types: ['card'], processing: null, receipt_email: null, review: null, setup_future_usage: null,
  shipping: null, source: null, statement_descriptor: null, statement_descriptor_suffix: null, status: 'processing',
  transfer_data: null, transfer_group: null
})

export const chargeObject = ({ id, amount, currency, customer, description, metadata, livemode, created, intent, details }) => ({
  id, object: 'charge', amount, amount_captured: 0, amount_refunded: 0, application: null, application_fee: null,
  application_fee_amount: null, balance_transaction: null,
  billing_details: { address: details.address, email: details.email, name: details.name, phone: null, tax_id: null },
  calculated_statement_descriptor: 'DOUBLE', captured: true, created, currency, customer, description, destination: null,
  dispute: null, disputed: false, failure_balance_transaction: null, failure_code: null, failure_message: null,
  fraud_details: {}, livemode, metadata, on_behalf_of: null, order: null, outcome: null, paid: false, payment_intent: intent,
  payment_method: `pm_${intent.slice(3)}`,
  payment_method_details: { card: { brand: 'visa', country: 'US', exp_month: 12, exp_year: 2034, funding: 'credit',
    last4: '4242', network: 'visa' }, type: 'card' },
  radar_options: {}, receipt_email: null, receipt_number: null, receipt_url: null, refunded: false,
  review: null, shipping: null, source: null, source_transfer: null, statement_descriptor: null,
  statement_descriptor_suffix: null, status: 'pending', transfer_data: null, transfer_group: null
})

export const refundObject = ({ id, amount, charge, created, metadata, reason, balanceTransaction }) => ({
  id, object: 'refund', amount, balance_transaction: balanceTransaction, charge: charge.id, created, currency: charge.currency,
  destination_details: { card: { reference_status: 'pending', reference_type: 'acquirer_reference_number', type: 'refund' },
    type: 'card' },
  metadata, payment_intent: charge.payment_intent, reason, receipt_number: null, source_transfer_reversal: null,
  status: 'succeeded', transfer_reversal: null
})

//
// Subscriptions
//

export const subscriptionObject = ({ id, customer, currency, items, metadata, description, livemode, created, trialEnd }) => ({
  id, object: 'subscription', application: null, application_fee_percent: null, automatic_tax: { disabled_reason: null,
    enabled: false, liability: null },
  billing_cycle_anchor: trialEnd ?? created, billing_cycle_anchor_config: null,
  billing_mode: { flexible: { proration_discounts: 'included' }, type: 'flexible', updated_at: null }, billing_thresholds: null,
  cancel_at: null, cancel_at_period_end: false, canceled_at: null, cancellation_details: { comment: null, feedback: null,
    reason: null },
  collection_method: 'charge_automatically', created, currency, customer, customer_account: null, days_until_due: null,
  default_payment_method: null, default_source: null, default_tax_rates: [], description, discounts: [], ended_at: null,
  invoice_settings: { account_tax_ids: null, issuer: { type: 'self' } },
  items: listObject(items, `/v1/subscription_items?subscription=${id}`), latest_invoice: null, livemode, metadata,
  next_pending_invoice_item_invoice: null, on_behalf_of: null, pause_collection: null, payment_settings: null,
  pending_invoice_item_interval: null, pending_setup_intent: null, pending_update: null, schedule: null, start_date: created,
  status: trialEnd ? 'trialing' : 'active', test_clock: null, transfer_data: null, trial_end: trialEnd,
  trial_settings: { end_behavior: { missing_payment_method: 'create_invoice' } }, trial_start: trialEnd ? created : null
})

export const subscriptionItemObject = ({ id, subscription, price, quantity, created, period }) => ({
  id, object: 'subscription_item', billing_thresholds: null, created, current_period_end: period.end,
  current_period_start: period.start, discounts: [], metadata: {}, price, quantity, subscription, tax_rates: []
})

// Since 2025-03-31 the subscription stands under parent, and payments apart.
export const invoiceObject = ({ id, subscription, customer, details, currency, amount, lines, reason, livemode, created }) => ({
  id, object: 'invoice', account_country: 'US', account_name: 'Double', account_tax_ids: null, amount_due: amount,
  amount_overpaid: 0, amount_paid: 0, amount_remaining: amount, amount_shipping: 0, application: null, attempt_count: 0,
  attempted: false, auto_advance: false, automatic_tax: { disabled_reason: null, enabled: false, liability: null,
    provider: null, status: null },
  automatically_finalizes_at: null, billing_reason: reason, collection_method: 'charge_automatically', created, currency,
  custom_fields: null, customer, customer_account: null, customer_address: details.address, customer_email: details.email,
  customer_name: details.name, customer_phone: null, customer_shipping: null, customer_tax_exempt: 'none',
  customer_tax_ids: [], default_payment_method: null, default_source: null, default_tax_rates: [], description: null,
  discounts: [], due_date: null, effective_at: created, ending_balance: 0, footer: null, from_invoice: null,
  hosted_invoice_url: null, invoice_pdf: null, issuer: { type: 'self' }, last_finalization_error: null,
  latest_revision: null, lines: { object: 'list', data: lines.slice(0, 10), has_more: lines.length > 10,
    total_count: lines.length, url: `/v1/invoices/${id}/lines` },
  livemode, metadata: {}, next_payment_attempt: null, number: `${id.slice(-8).toUpperCase()}-0001`, on_behalf_of: null,
  parent: { quote_details: null, subscription_details: { metadata: subscription.metadata, subscription: subscription.id },
    type: 'subscription_details' },
  payment_settings: { default_mandate: null, payment_method_options: null, payment_method_types: null }, period_end: created,
  period_start: created, post_payment_credit_notes_amount: 0, pre_payment_credit_notes_amount: 0, receipt_number: null,
  rendering: null, shipping_cost: null, shipping_details: null, starting_balance: 0, statement_descriptor: null,
  status: 'open', status_transitions: { finalized_at: created, marked_uncollectible_at: null, paid_at: null, voided_at: null },
  subtotal: amount, subtotal_excluding_tax: amount, test_clock: null, total: amount, total_discount_amounts: [],
  total_excluding_tax: amount, total_pretax_credit_amounts: [], total_taxes: [], webhooks_delivered_at: null
})

export const invoiceLineObject = ({ id, invoice, amount, item, price, quantity, description, subscription, period, livemode }) => ({
  id, object: 'line_item', amount, currency: price.currency, description, discount_amounts: [], discountable: true,
  discounts: [], invoice, livemode, metadata: item ? subscription.metadata : {},
  parent: item ? { invoice_item_details: null, subscription_item_details: { invoice_item: null, proration: false,
    proration_details: { credited_items: null }, subscription: subscription.id, subscription_item: item },
  type: 'subscription_item_details' }
    : { invoice_item_details: { invoice_item: id.replace('il_', 'ii_'), proration: false,
      proration_details: { credited_items: null }, subscription: subscription.id },
    subscription_item_details: null, type: 'invoice_item_details' },
  period, pretax_credit_amounts: [],
  pricing: { price_details: { price: price.id, product: price.product }, type: 'price_details',
    unit_amount_decimal: price.unit_amount_decimal },
  quantity, subtotal: amount, taxes: []
})

export const invoicePaymentObject = ({ id, invoice, intent, livemode, created }) => ({
  id, object: 'invoice_payment', amount_paid: invoice.amount_paid, amount_requested: invoice.amount_due, created,
  currency: invoice.currency, invoice: invoice.id, is_default: true, livemode,
  payment: { payment_intent: intent, type: 'payment_intent' }, status: 'paid',
  status_transitions: { canceled_at: null, paid_at: created }
})
