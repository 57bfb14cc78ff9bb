// What the tour (demo.js) and the shop (shop.js) of the demo stand on: the double of Stripe, and servers of our examples.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const double = process.env.DOUBLE ? JSON.parse(process.env.DOUBLE) : null
export const secretFile = process.env.WEBHOOK_SECRET_FILE
export const secret = secretFile && readFileSync(secretFile, 'utf8').trim()

// The event types of an endpoint, those that the README names.
const TYPES = ['checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed',
  'checkout.session.expired', 'payment_intent.succeeded', 'charge.refunded', 'refund.created', 'refund.updated', 'refund.failed',
  'charge.dispute.created', 'charge.dispute.updated', 'charge.dispute.closed', 'charge.dispute.funds_withdrawn',
  'charge.dispute.funds_reinstated', 'invoice.paid', 'invoice_payment.paid']

// By the double's control interface, see test/double/double.js.
export async function ask(path, given) {
  const response = await fetch(`${double.plain}/_double/${path}`,
    given && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(given) })
  const answer = await response.json()
  if (!response.ok) throw new Error(`the double says to ${path}: ${answer.error}`)
  return answer
}

// As in Stripe's dashboard.
export const pointWebhookTo = (url, more = {}) => ask('webhook', { url: `${url}/webhook`, secret, types: TYPES, ...more })

// The server of examples/NAME.  Resolves to {url, process} as soon as it listens.
export async function startServer(name, environment) {
  const program = fileURLToPath(new URL(`../../examples/${name}/server.js`, import.meta.url))
  const server = spawn(process.execPath, [program], { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /http:\S+/.exec(line)?.[0]
    if (url) return { url, process: server }
  }
  throw new Error(`the server of examples/${name} did not start`)
}
