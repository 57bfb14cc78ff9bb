// How tests steer and watch the double: JSON under /_double/.
import { ApiError, Misuse } from './errors.js'
import { priceObject, productObject } from './objects.js'
import { renew, settleRefund, settleSession } from './payments.js'
import { newId } from './store.js'

const KNOWN_RESETS = ['store', 'webhook', 'faults', 'requests']

function record(double, id, kind) {
  const found = double.store.records.get(id)
  if (!found || (kind && found.object.object !== kind)) throw new ApiError(404, { message: `there is no ${kind ?? 'object'} ${id}` })
  return found
}

const commands = {
  'POST webhook': ({ webhook }, given) => { // see webhook.js
    webhook.configure(given)
    return { ok: true }
  },

  // Any event with any object.  It counts as undelivered unless it says {"deliver": true} or {"delivered": true}.
  'POST event': async ({ store, webhook }, { type, object, created, livemode, id, account, deliver = false, delivered = false }) => {
    if (!type || !object) throw new Misuse('an event needs a type and an object')
    const event = store.addEvent(type, { object, livemode: livemode ?? object.livemode ?? false }, { id, created, account })
    event.delivered = delivered
    if (deliver) await webhook.deliver(event)
    return event.object
  },

  // Any object, to be had by its id.  An invoice's lines are those in it, or those that are given beside it.
  'POST object': ({ store }, { object, livemode, lines }) => {
    if (!object?.id || !object.object) throw new Misuse('an object has an id and an object')
    return store.add(object, livemode ?? object.livemode ?? false,
      { lines, remembered: { lines: [], trialEnd: null, intent: {}, subscription: { metadata: {} } } }).object
  },

  'POST price': ({ store }, { id = newId('price'), name = 'A price', currency = 'usd', livemode = false, ...given }) => {
    const common = { livemode, created: store.now() }
    const product = store.add(productObject({ ...common, id: newId('prod', 14), name }), livemode).object.id
    return store.add(priceObject({ ...common, ...given, id, product, currency }), livemode).object
  },

  'POST settle/:id': async ({ store, webhook }, { outcome = 'succeeded' }, id) => {
    if (!['succeeded', 'failed'].includes(outcome)) throw new Misuse('outcome is succeeded or failed')
    const found = record({ store }, id)
    if (found.object.object === 'refund') settleRefund(store, found, outcome)
    else settleSession(store, record({ store }, id, 'checkout.session'), outcome)
    await webhook.idle()
    return found.object
  },

  'POST renew/:id': async ({ store, webhook }, _given, id) => {
    const { object } = renew(store, record({ store }, id, 'subscription'))
    await webhook.idle()
    return object
  },

  // With {"event": "evt_…"} delivers that one once more; in any case waits until nothing is under way.
  'POST deliver': async ({ store, webhook }, { event }) => {
    const outcome = event ? await webhook.deliver(record({ store }, event, 'event')) : null
    await webhook.idle()
    return outcome ?? { ok: true }
  },

  'POST fault': ({ faults }, given) => {
    faults.queue(given)
    return { ok: true }
  },

  // Time goes on by so many seconds for sessions, events and idempotency keys.
  'POST clock': ({ store }, { ahead }) => {
    if (!Number.isSafeInteger(ahead)) throw new Misuse('ahead is a number of seconds')
    store.secondsAhead += ahead
    store.expireWhatIsDue()
    return { now: store.now() }
  },

  'POST reset': (double, { only = KNOWN_RESETS }) => {
    for (const name of only) {
      if (!KNOWN_RESETS.includes(name)) throw new Misuse(`only names ${KNOWN_RESETS.join(', ')}`)
      double[name].reset()
    }
    return { ok: true }
  },

  'GET requests': ({ requests }, { after = 0 }) => requests.entries.filter(({ number }) => number > Number(after)),
  'GET deliveries': ({ webhook }) => webhook.deliveries,
  'GET connections': ({ connections }) => ({ accepted: connections.accepted, open: connections.open.size }),
  'GET object/:id': (double, _given, id) => record(double, id).object
}

// path without /_double/
export async function control(double, method, path, query, body) {
  const [name, id] = path.split('/')
  const command = commands[`${method} ${name}${id === undefined ? '' : '/:id'}`]
  const answer = (status, object) => ({ status, headers: { 'content-type': 'application/json' },
    body: JSON.stringify(object, null, 2) })
  if (!command) return answer(404, { error: `the double has no ${method} ${path}` })
  try {
    const given = method === 'GET' ? Object.fromEntries(new URLSearchParams(query)) : JSON.parse(body.toString() || '{}')
    if (given === null || typeof given !== 'object') throw new Misuse('a command is a JSON object')
    return answer(200, await command(double, given, id))
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof Misuse || error instanceof SyntaxError)) throw error
    return answer(error.status ?? 400, { error: error.message })
  }
}
