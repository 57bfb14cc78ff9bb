// What can go wrong between a client and Stripe.  A fault is found by its name and has some of these:
//
//   instead(asked)   makes the answer; nothing is done
//   failure          an error that comes while the work is done, and is kept under the idempotency key
//   seconds          the work is done, but the answer waits, and with it the idempotency key is in use
//   change(answer)   the work is done, and its answer changed
//   send(wire, answer)   the work is done, and its answer sent in this way; wire: {response, reset(), end(), isClosed()}
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, Misuse } from './errors.js'

const MB = 1024 * 1024
const MOST_BYTES = 1024 * MB
const MOST_SECONDS = 60
const MOMENT = 50 // ms: what was written before a reset should have arrived, or the reset destroys it

const ERRORS = {
  400: { type: 'invalid_request_error', message: 'The request was unacceptable.' },
  401: { type: 'invalid_request_error', message: 'Invalid API Key provided: sk_test_********************0000' },
  402: { type: 'card_error', code: 'card_declined', decline_code: 'generic_decline', message: 'Your card was declined.' },
  403: { type: 'invalid_request_error', message: 'The provided key does not have the required permissions for this endpoint.' },
  404: { type: 'invalid_request_error', code: 'resource_missing', param: 'id', message: "No such object: 'none'" },
  409: { type: 'idempotency_error', code: 'idempotency_key_in_use',
    message: 'There is currently another in-progress request using this Idempotent Key.' },
  429: { type: 'invalid_request_error', code: 'rate_limit', message: 'Too many requests. Please slow down.' }
}

const errorOf = (status) => new ApiError(status, ERRORS[status] ?? { type: status >= 500 ? 'api_error' : 'invalid_request_error',
  message: `The double was asked for status ${status}.` })

function errorAnswer(status, headers = {}) {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(errorOf(status).body, null, 2) }
}

const answer = (status, type, body, headers = {}) => ({ status, headers: { 'content-type': type, ...headers }, body })
const json = (body) => answer(200, 'application/json', body)
const nested = (depth) => `${'{"deep":'.repeat(depth)}true${'}'.repeat(depth)}`
const range = (n) => Array.from({ length: n }, (_, i) => i)

const changeJson = (change) => (given) => ({ ...given, body: JSON.stringify(change(JSON.parse(given.body)), null, 2) })

// \u0000 in each of the object's own strings, or only where nobody looks.
const withNul = (object) => Object.fromEntries(Object.entries(object).map(([key, value]) =>
  [key, typeof value === 'string' ? `${value}\u0000` : value]))
const withNulAside = (object) => ({ ...object, description: 'a\u0000b', metadata: { ...object.metadata, aside: '\u0000' } })

//
// Ways to send
//

const lengthOf = (text) => Buffer.byteLength(text)

function sendHead({ response }, { status, headers, body }, length = lengthOf(body)) {
  response.writeHead(status, { ...headers, 'content-length': length })
}

async function sendTruncated(wire, given) {
  sendHead(wire, given, lengthOf(given.body) + 1000)
  wire.response.write(given.body)
  await sleep(MOMENT)
  wire.end()
}

async function sendThenReset(wire, given, length) {
  sendHead(wire, given)
  wire.response.flushHeaders()
  wire.response.write(given.body.slice(0, length))
  await sleep(MOMENT)
  wire.reset()
}

async function sendEndless(wire) {
  const { response } = wire
  const chunk = Buffer.alloc(MB, 'a')
  const start = Date.now()
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write('{"object":"list","data":["')
  for (let sent = 0; sent < MOST_BYTES && Date.now() - start < MOST_SECONDS * 1000 && !wire.isClosed(); sent += chunk.length) {
    if (!response.write(chunk)) await Promise.race([once(response, 'drain'), wire.closed, sleep(1000, null, { ref: false })])
  }
  wire.end()
}

async function sendLarge(wire, _given, size = 100 * MB) {
  const { response } = wire
  const [head, tail] = ['{"object":"list","padding":"', '"}']
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': size })
  response.write(head)
  let left = size - head.length - tail.length
  const chunk = Buffer.alloc(MB, 'a')
  while (left > 0 && !wire.isClosed()) {
    const part = chunk.subarray(0, Math.min(left, chunk.length))
    left -= part.length
    if (!response.write(part)) await Promise.race([once(response, 'drain'), wire.closed])
  }
  response.end(tail)
}

async function sendTrickle(wire, given) {
  sendHead(wire, given)
  wire.response.flushHeaders()
  const bytes = Buffer.from(given.body)
  for (let i = 0; i < Math.min(bytes.length, MOST_SECONDS) && !wire.isClosed(); i++) {
    wire.response.write(bytes.subarray(i, i + 1))
    await Promise.race([sleep(1000), wire.closed])
  }
  wire.end()
}

const sendWith = (headers) => (wire, given) => {
  wire.response.writeHead(given.status, { ...given.headers, ...headers, 'content-length': lengthOf(given.body) })
  wire.response.end(given.body)
}

//
// The names
//

const FAULTS = {
  redirect: () => redirect(302, 'otherHost'),
  'redirect-plain': () => redirect(302, 'plain'),
  html: () => ({ instead: () => answer(200, 'text/html', '<!DOCTYPE html>\n<title>Maintenance</title>\n<p>Back soon.\n') }),
  garbage: () => ({ instead: () => json(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x00, 0x80, 0x0a, 0x01])) }),
  empty: () => ({ instead: () => json('') }),
  array: () => ({ instead: () => json('[]') }),
  null: () => ({ instead: () => json('null') }),
  deep: () => ({ instead: () => json(nested(10_000)) }),
  truncated: () => ({ send: sendTruncated }),
  'cut-json': () => ({ change: (given) => ({ ...given, body: given.body.slice(0, given.body.length / 2) }) }),
  endless: () => ({ instead: () => json(''), send: sendEndless }),
  large: () => ({ instead: () => json(''), send: sendLarge }),
  trickle: () => ({ send: sendTrickle }),
  'slow-headers': () => ({ seconds: MOST_SECONDS }),
  'reset-before-answer': () => ({ send: (wire) => wire.reset() }),
  'close-before-answer': () => ({ send: (wire) => wire.end() }),
  'reset-after-headers': () => ({ send: (wire, given) => sendThenReset(wire, given, 0) }),
  'reset-in-body': () => ({ send: (wire, given) => sendThenReset(wire, given, given.body.length / 2) }),
  'not-http': () => ({ send: (wire) => wire.end('* OK this is no HTTP\r\n') }),
  'many-headers': () => ({ send: sendWith(Object.fromEntries(range(4000).map((i) => [`x-filler-${i}`, 'x']))) }),
  'long-header': () => ({ send: sendWith({ 'x-filler': 'x'.repeat(MB) }) }),
  'wrong-type': () => ({ change: changeJson((object) => ({ ...object, id: 12345 })) }),
  nul: () => ({ change: changeJson(withNul) }),
  'nul-aside': () => ({ change: changeJson(withNulAside) }),
  'echo-key': () => ({ instead: ({ headers }) => answer(401, 'application/json', JSON.stringify({ error: {
    type: 'invalid_request_error', message: `Invalid API Key provided: ${headers.authorization}` } })) })
}

const FAMILIES = [
  [/^status-([45]\d\d)$/, (status) => ({ instead: () => errorAnswer(Number(status)) })],
  [/^kept-([45]\d\d)$/, (status) => ({ failure: errorOf(Number(status)) })],
  [/^retry-after-(\d{1,6})$/, (seconds) => ({ instead: () => errorAnswer(429, { 'retry-after': seconds }) })],
  [/^should-retry-(true|false)-([45]\d\d)$/, (yes, status) =>
    ({ instead: () => errorAnswer(Number(status), { 'stripe-should-retry': yes }) })],
  [/^should-retry-(true|false)-200$/, (yes) =>
    ({ change: (given) => ({ ...given, headers: { ...given.headers, 'stripe-should-retry': yes } }) })],
  [/^redirect-(3\d\d)$/, (status) => redirect(Number(status), 'otherHost')],
  [/^slow-(\d{1,2})$/, (seconds) => ({ seconds: Math.min(Number(seconds), MOST_SECONDS) })]
]

// To another name of the double, with a certificate that is good for it, or without TLS: a client that follows, and what
// it still says of its key, is seen in the requests.
function redirect(status, where) {
  const location = (asked) => asked[where] + asked.path + (asked.query && `?${asked.query}`)
  return { instead: (asked) => answer(status, 'text/html', '', { location: location(asked) }) }
}

function plainFault(name) {
  if (Object.hasOwn(FAULTS, name)) return FAULTS[name]()
  for (const [pattern, make] of FAMILIES) {
    const found = pattern.exec(name)
    if (found) return make(...found.slice(1))
  }
  return null
}

// Each name may end in -then-ok-K: the first K requests of a kind suffer it, the others don't.
function faultOf(name) {
  const [, plain, times] = /^(.*?)(?:-then-ok-(\d{1,4}))?$/.exec(name)
  const fault = plainFault(plain)
  return fault && { name, ...fault, times: times === undefined ? Infinity : Number(times) }
}

export class Faults {
  constructor() { this.reset() }

  reset() {
    this.queued = []
    this.suffered = new Map()
  }

  // The next so many requests of that path (with * at its end: of all that begin so) and method.
  queue({ name, times = 1, path, method }) {
    const fault = faultOf(name)
    if (!fault || !path) throw new Misuse(`there is no fault ${name}, or no path is given`)
    this.queued.push({ fault, left: times, path, method })
  }

  nextQueued({ method, path }) {
    const entry = this.queued.find((each) => each.left > 0 && (each.method ?? method) === method &&
      (each.path.endsWith('*') ? path.startsWith(each.path.slice(0, -1)) : each.path === path))
    if (entry) entry.left--
    return entry?.fault
  }

  // Of the same idempotency key are tries of one request; without one, whatever asks for the same thing.
  isSuffered(fault, { method, path, headers }) {
    const kind = `${fault.name} ${headers['idempotency-key'] ?? `${method} ${path}`}`
    const count = this.suffered.get(kind) ?? 0
    this.suffered.set(kind, count + 1)
    return count < fault.times
  }

  // The fault that this request suffers, by what was queued or else by its path's prefix; or undefined.
  choose(asked, prefix) {
    const fault = this.nextQueued(asked) ?? (prefix === undefined ? undefined : faultOf(prefix))
    if (fault === null) throw new Misuse(`there is no fault ${prefix}`)
    return fault && this.isSuffered(fault, asked) ? fault : undefined
  }
}
