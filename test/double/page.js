// The pages that a buyer sees: Checkout's hosted page, and the customer portal.
import { decodeForm } from './form.js'
import { pay } from './payments.js'

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const html = (status, title, body) => ({ status, headers: { 'content-type': 'text/html; charset=utf-8' }, body:
  `<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>${escape(title)}</title></head>\n<body>\n` +
  `<p><strong>This is a test double of Stripe. No money moves.</strong></p>\n${body}\n</body>\n</html>\n` })

const noPage = () => html(404, 'Nothing here', '<p>There is no such page.</p>')

// Currencies whose minor unit is no hundredth, as Stripe counts them, which is not as Intl does.
const DIGITS = { 0: 'bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf', 3: 'bhd jod kwd omr tnd' }

// Minor units to what is printed
function price(amount, currency) {
  if (amount === null) return 'Nothing to pay now'
  const digits = Number(Object.keys(DIGITS).find((count) => DIGITS[count].split(' ').includes(currency)) ?? 2)
  const format = { style: 'currency', currency, minimumFractionDigits: digits, maximumFractionDigits: digits }
  return new Intl.NumberFormat('en', format).format(amount / 10 ** digits)
}

function openPage({ object: session, remembered }) {
  const lines = remembered.lines.map(({ quantity, description }) => `<li>${quantity} × ${escape(description)}</li>`)
  return html(200, 'Pay', `<ul>\n${lines.join('\n')}\n</ul>
<p id="amount">${escape(price(session.amount_total, session.currency ?? 'usd'))}</p>
<form method="post">
<label>E-mail <input name="email" type="email" value="${escape(session.customer_email ?? 'buyer@example.com')}"></label>
<label><input name="delay" type="checkbox" value="1"> by a method that takes days</label>
<button type="submit">Pay</button>
</form>
${session.cancel_url ? `<p><a href="${escape(session.cancel_url)}">Cancel</a></p>` : ''}`)
}

export function checkoutPage(store, id) {
  store.expireWhatIsDue()
  const record = store.records.get(id)
  if (record?.object.object !== 'checkout.session') return noPage()
  if (record.object.status !== 'open') return html(410, 'Closed', `<p>This Checkout Session is ${escape(record.object.status)}.</p>`)
  return openPage(record)
}

// As Stripe does, waits for the endpoint's answer to the events before it sends the buyer back.
export async function payOnPage(store, webhook, id, body) {
  const page = checkoutPage(store, id)
  if (page.status !== 200) return page
  const record = store.records.get(id)
  pay(store, record, decodeForm(body))
  await webhook.idle()
  const { success_url: back } = record.object
  if (!back) return html(200, 'Thank you', '<p>Thank you.</p>')
  return { status: 303, headers: { location: back.replaceAll('{CHECKOUT_SESSION_ID}', id) }, body: '' }
}

export function portalPage(store, id) {
  const { object: session } = store.records.get(id) ?? {}
  if (session?.object !== 'billing_portal.session') return noPage()
  const back = session.return_url ? `<p><a href="${escape(session.return_url)}">Return</a></p>` : ''
  return html(200, 'Customer portal', `<p>Cards and invoices of ${escape(session.customer)}</p>\n${back}`)
}
