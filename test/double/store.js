// What the double's Stripe account holds.  A record is an object as Stripe shows it, with what Stripe knows beside it:
// {object, livemode, order, …}.
import { randomBytes } from 'node:crypto'
import { noSuch } from './errors.js'
import { eventObject } from './objects.js'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const THIRTY_DAYS = 30 * 24 * 3600

const random = (length) => [...randomBytes(length)].map((byte) => LETTERS[byte % LETTERS.length]).join('')
export const newId = (prefix, length = 24) => `${prefix}_${random(length)}`
export const copy = (object) => structuredClone(object)

export class Store {
  constructor() {
    this.onEvent = () => {}
    this.reset()
  }

  reset() {
    this.records = new Map()
    this.keys = new Map() // of idempotency: api.js
    this.openSessions = new Set()
    this.order = 0
    this.secondsAhead = 0
  }

  now() { return Math.floor(Date.now() / 1000) + this.secondsAhead }

  add(object, livemode, beside = {}) {
    const record = { object, livemode, order: ++this.order, ...beside }
    this.records.set(object.id, record)
    if (object.object === 'checkout.session') this.openSessions.add(record)
    return record
  }

  // Of that kind and in the key's mode; test and live don't see each other.
  find(kind, id, livemode, param, options) {
    const record = this.records.get(id)
    if (record?.object.object !== kind) throw noSuch(kind, id, param, options)
    if (record.livemode !== livemode) throw noSuch(kind, id, param, { ...options, otherMode: record.livemode ? 'live' : 'test' })
    return record
  }

  // Newest first.
  list(kind, livemode) {
    return [...this.records.values()].filter((record) => record.object.object === kind && record.livemode === livemode)
      .sort((a, b) => b.object.created - a.object.created || b.order - a.order)
  }

  // Events are to be had for 30 days.
  isForgotten({ object }) { return object.object === 'event' && object.created < this.now() - THIRTY_DAYS }

  emit(type, record, given) {
    const event = this.addEvent(type, record, given)
    this.onEvent(event)
    return event
  }

  // The same, but nobody is told.
  addEvent(type, { object, livemode }, { id = newId('evt'), created = this.now(), ...given } = {}) {
    return this.add(eventObject({ ...given, id, type, object: copy(object), livemode, created }), livemode, { delivered: false })
  }

  // Sessions that nobody paid in time.
  expireWhatIsDue() {
    for (const record of this.openSessions) {
      const { status, expires_at: end } = record.object
      if (status !== 'open') this.openSessions.delete(record)
      else if (end <= this.now()) this.expire(record)
    }
  }

  expire(record, request) {
    Object.assign(record.object, { status: 'expired', url: null })
    this.emit('checkout.session.expired', record, { request })
  }
}
