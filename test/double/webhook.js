// Delivery of events, as Stripe does it: signed, more than once if need be, and not for ever.
import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Misuse } from './errors.js'

const PAUSES = [100, 300] // ms between the three tries; Stripe takes days
const PATIENCE = 10_000 // ms for an answer
const KEPT = 2000 // deliveries that can be looked at

const fits = (types, type) => types.some((each) => each === '*' || each === type)

export class Webhook {
  constructor() { this.reset() }

  reset() {
    this.settings = null
    this.deliveries = []
    this.pending = new Set()
    this.last = Promise.resolve()
  }

  // url, secret (or several: a secret is being rolled), types (null: all), drop, headers (to add), copies (how often each
  // event is delivered), concurrent (all at once, in no order)
  configure({ url, secret, types = null, drop = [], headers = {}, copies = 1, concurrent = false }) {
    if (!/^https?:/.test(url)) throw new Misuse('a webhook needs a url')
    if (!secret) throw new Misuse('a webhook needs a secret')
    this.settings = { url, secrets: [secret].flat(), types, drop, headers, copies, concurrent }
  }

  // An event has come to be.  Without an endpoint, or with one that doesn't want it, nothing is undelivered.
  take(record) {
    const { settings } = this
    const { type } = record.object
    if (!settings || (settings.types && !fits(settings.types, type))) {
      record.delivered = true
    } else if (!fits(settings.drop, type)) {
      this.deliver(record)
    }
  }

  // Resolves to the last try.
  deliver(record) {
    const { settings } = this
    if (!settings) throw new Misuse('there is no webhook')
    const send = () => this.send(record, settings)
    const done = settings.concurrent ? send() : this.last.then(send)
    this.last = done
    this.pending.add(done)
    return done.finally(() => this.pending.delete(done))
  }

  async idle() {
    while (this.pending.size > 0) await Promise.all(this.pending)
  }

  async send(record, settings) {
    let outcome
    for (let copy = 0; copy < settings.copies; copy++) {
      for (let tries = 0; tries <= PAUSES.length; tries++) {
        if (tries > 0) await sleep(PAUSES[tries - 1])
        outcome = await this.post(record, settings, tries + 1)
        if (outcome.ok) break
      }
    }
    record.delivered ||= outcome.ok
    if (record.delivered) record.object.pending_webhooks = 0
    return outcome
  }

  async post({ object: event }, { url, secrets, headers }, tries) {
    const body = JSON.stringify(event, null, 2)
    const outcome = { event: event.id, type: event.type, try: tries, ok: false, status: null, body: null, error: null }
    try {
      const answer = await fetch(url, { method: 'POST', body, redirect: 'manual', signal: AbortSignal.timeout(PATIENCE),
        headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-cache',
          'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)', accept: '*/*; q=0.5, application/xml',
          'stripe-signature': signatureOf(body, secrets), ...headers } })
      Object.assign(outcome, { ok: answer.ok, status: answer.status, body: (await answer.text()).slice(0, 10_000) })
    } catch (error) {
      outcome.error = String(error.cause?.message ?? error.message)
    }
    this.deliveries = [...this.deliveries.slice(1 - KEPT), outcome]
    return outcome
  }
}

// By the real clock, whatever time the double thinks it is.
export function signatureOf(body, secrets, at = Math.floor(Date.now() / 1000)) {
  const sign = (secret) => createHmac('sha256', secret).update(`${at}.`).update(body).digest('hex')
  return [`t=${at}`, ...secrets.map((secret) => `v1=${sign(secret)}`)].join(',')
}
