// A test double of Stripe's API, for the tests and the demo of stripe_credit: no account, no network, no money.
//
//     node double.js DIR [--port N]
//
// makes throw-away certificates in DIR (once), listens on 127.0.0.1 only, and says in one line of JSON on stdout where:
//
//     api          https, to be believed with the authority in ca
//     plain        the same without TLS               h2      the same, and HTTP/2 for who offers it
//     unknown_ca, wrong_host, expired    the same with certificates that must not be believed
//     silent       accepts and never says anything      reset   accepts and resets
//     closed       nothing listens there
//
// It ends on SIGTERM, or when its stdin closes if that is a pipe, so that it can't outlive who started it.  Node 18 or
// later and the openssl command line; nothing from npm.
//
// What is doubled
//   The API (api.js), shaped like 2026-10-28; a key's prefix decides between test and live, and one that contains 'invalid' is
//   refused.  Stricter than Stripe on purpose: without a Stripe-Version header, with a parameter twice or with a body that says
//   it is no form, the answer is 400.
//   The pages (page.js): a session's url, without TLS, since no browser believes the authority in ca.  POST pays; fields email,
//   name, delay=1, discount=N, tax=N.
//   Webhooks (webhook.js).
//
// For tests: JSON under /_double/ (control.js), in all of it POST unless said otherwise
//   webhook {url, secret, types, drop, headers, copies, concurrent}     event {type, object, created, livemode, id, account, deliver}
//   object {object, livemode, lines}     price {id, unit_amount, currency, recurring, name}     GET object/ID (any, charges too)
//   settle/cs_… or re_… {outcome: succeeded|failed}     renew/sub_…     deliver {event}     clock {ahead: seconds}
//   fault {name, times, path, method}     reset {only: [store, webhook, faults, requests]}
//   GET requests?after=NUMBER     GET deliveries     GET connections
//
// Faults (faults.js) are queued so, or all requests of a client suffer one if its base URL is api + "/_fault/NAME":
//   status-N   kept-N (kept under the idempotency key)   retry-after-S   should-retry-true-N   should-retry-false-N
//   redirect   redirect-3xx   redirect-plain   html   garbage   empty   array   null   deep   echo-key
//   wrong-type   nul   nul-aside   cut-json   truncated   endless   large   trickle   slow-S   slow-headers   not-http
//   reset-before-answer   close-before-answer   reset-after-headers   reset-in-body   many-headers   long-header
// and NAME-then-ok-K is K times NAME, then the real answer.  From wrong-type on, except for endless and large, the work is
// done and only its answer is spoilt: with the same idempotency key it is there.
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { fstatSync } from 'node:fs'
import { answerApi, modeOf } from './api.js'
import { certificates } from './certificates.js'
import { control } from './control.js'
import { ApiError, Misuse } from './errors.js'
import { Faults } from './faults.js'
import { decodeForm, readable } from './form.js'
import { checkoutPage, payOnPage, portalPage } from './page.js'
import { newId, Store } from './store.js'
import { Webhook } from './webhook.js'

const MB = 1024 * 1024
const MOST_BODY = 30 * MB
const MOST_CONNECTIONS = 200

//
// What was asked
//

class Requests {
  constructor() { this.reset() }

  reset() {
    this.entries = []
    this.bytes = 0
  }

  // The last 10,000, or as many as have 50 MB of bodies.  Numbers go on over a reset, so `after` stays right.
  add(entry) {
    this.number = (this.number ?? 0) + 1
    this.entries.push({ number: this.number, ...entry })
    this.bytes += entry.body.length
    while (this.entries.length > 10_000 || this.bytes > 50 * MB) this.bytes -= this.entries.shift().body.length
    return this.entries.at(-1)
  }
}

// The key itself is nobody's business, not even a test's.
const shownHeaders = ({ authorization, ...headers }) => ({ ...headers,
  ...authorization && { authorization: authorization.slice(0, 8) } })

function shownParameters({ query, body }) {
  if (body.length > MB) return null
  try {
    return readable(decodeForm(body.toString(), decodeForm(query)))
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return null
  }
}

function shownTls(socket) {
  if (!socket.encrypted) return null
  return { protocol: socket.getProtocol(), server_name: socket.servername || null, resumed: socket.isSessionReused() }
}

function logEntry(request, asked, connection, faultName) {
  return { at: new Date().toISOString(), listener: connection.listener, connection: connection.number,
    request_of_connection: ++connection.requests, tls: shownTls(request.socket), method: asked.method, path: asked.path,
    query: asked.query, fault: faultName ?? null, headers: shownHeaders(asked.headers), livemode: modeOf(asked.headers.authorization),
    parameters: shownParameters(asked), body: asked.body.subarray(0, MB).toString(), body_length: asked.body.length,
    request_id: asked.requestId, status: null, replayed: false }
}

//
// Connections
//

const portsOf = ({ remotePort, localPort }) => `${remotePort} ${localPort}`

class Connections {
  constructor() {
    this.accepted = 0
    this.open = new Map() // by both ports, as a TLS socket doesn't tell which socket it stands on
  }

  add(listener, socket) {
    socket.on('error', () => {}) // whoever reads or writes hears of it
    if (this.open.size >= MOST_CONNECTIONS) return socket.destroy()
    const ports = portsOf(socket)
    const closed = new Promise((resolve) => { socket.once('close', resolve) })
    this.open.set(ports, { listener, socket, closed, number: ++this.accepted, requests: 0 })
    return closed.then(() => this.open.delete(ports))
  }

  of({ socket }) { return this.open.get(portsOf(socket)) }

  destroyAll() {
    for (const { socket } of this.open.values()) socket.destroy()
  }
}

// What faults.js may do to a connection.
function wireOf(request, response, { closed, socket }) {
  const isHttp2 = request.httpVersionMajor === 2 // whose socket is nobody's to write on
  return { response, closed, isClosed: () => socket.destroyed, reset: () => socket.resetAndDestroy(),
    end: (text) => isHttp2 ? socket.destroy() : request.socket.end(text) }
}

async function readBody(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size <= MOST_BODY) chunks.push(chunk)
    else chunks.length = 0 // read to its end, so that the answer arrives, but not kept
  }
  return size <= MOST_BODY ? Buffer.concat(chunks) : null
}

//
// Requests
//

const double = { store: new Store(), webhook: new Webhook(), faults: new Faults(), requests: new Requests(),
  connections: new Connections() }
double.store.onEvent = (record) => double.webhook.take(record)
const where = {} // what is said on stdout

function send(response, { status, headers, body }) {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

// Resolves after so many seconds, or when nobody waits any more.
function held({ seconds }, wire) {
  if (!seconds) return undefined
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000)
    wire.closed.then(() => { clearTimeout(timer); resolve() })
  })
}

async function api(request, response, asked, prefix, connection) {
  const fault = double.faults.choose(asked, prefix) ?? {}
  const entry = double.requests.add(logEntry(request, asked, connection, fault.name))
  const wire = wireOf(request, response, connection)
  const real = fault.instead ? { ...fault.instead(asked) }
    : await answerApi(double.store, asked, { failure: fault.failure, hold: held(fault, wire) })
  if (fault.instead) real.headers = { 'request-id': asked.requestId, ...real.headers }
  const answer = fault.change ? fault.change(real) : real
  Object.assign(entry, { status: answer.status, replayed: 'idempotent-replayed' in answer.headers })
  if (wire.isClosed()) return
  if (fault.send) await fault.send(wire, answer)
  else send(response, answer)
}

async function page({ method, path, body }) {
  const [, kind, , id] = path.split('/')
  if (kind === 'p') return portalPage(double.store, id)
  return method === 'POST' ? payOnPage(double.store, double.webhook, id, body.toString()) : checkoutPage(double.store, id)
}

async function serve(request, response, connection) {
  const body = await readBody(request).catch(() => undefined)
  if (body === undefined) return undefined // the client has gone
  if (body === null) return send(response, { status: 413, headers: {}, body: '' })
  const { method, headers } = request
  const [whole, query = ''] = request.url.split(/\?(.*)/s)
  const [, prefix, rest] = /^\/_fault\/([^/]+)(\/.*)$/.exec(whole) ?? [null, undefined, whole]
  const path = rest
  if (path.startsWith('/_double/')) return send(response, await control(double, method, path.slice('/_double/'.length), query, body))
  const asked = { method, path, query, body, headers, requestId: newId('req', 14), plain: where.plain,
    base: connection.listener === 'plain' ? where.plain : where.api, otherHost: where.api.replace('localhost', '127.0.0.1') }
  if (/^\/(c\/pay|p\/session)\/[^/]+$/.test(path)) return send(response, await page(asked))
  return api(request, response, asked, prefix, connection)
}

// A client that has gone is no fault of the double.  What is one, and a fault's name that is none, ends the double:
// whatever it answered, some test would take it for what it waits for.
function answer(request, response) {
  const connection = double.connections.of(request)
  if (!connection) return
  serve(request, response, connection).catch((error) => {
    if (error instanceof ApiError) return send(response, { status: error.status, headers: {}, body: `${error.message}\n` })
    if (connection.socket.destroyed) return undefined
    console.error('double:', error instanceof Misuse ? error.message : error)
    return process.exit(1)
  })
}

//
// Listening
//

function listen(server, port = 0) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server.address().port))
  })
}

async function listenHttp(listener, create, options, port) {
  const server = create(options, answer)
  server.keepAliveTimeout = 75_000 // a connection's end is the client's decision, or a fault's
  server.on('connection', (socket) => double.connections.add(listener, socket))
  server.on('tlsClientError', () => {}) // certificates are meant to be refused
  server.on('clientError', (_error, socket) => socket.destroy())
  return listen(server, port)
}

async function listenRaw(listener, onConnection) {
  const server = net.createServer((socket) => {
    double.connections.add(listener, socket)
    onConnection(socket)
  })
  return listen(server)
}

// A port on which nothing listens, and nobody else will: this end of a connection of our own holds it.
function heldPort(silentPort) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(silentPort, '127.0.0.1', () => resolve(socket.localPort))
    socket.on('error', reject)
  })
}

async function start(directory, port) {
  const { ca, server, unknown_ca: unknown, wrong_host: wrong, expired } = certificates(directory)
  const url = async (listening) => `https://localhost:${await listening}`
  where.api = await url(listenHttp('api', https.createServer, server, port))
  where.ca = ca
  where.unknown_ca = await url(listenHttp('unknown_ca', https.createServer, unknown))
  where.wrong_host = await url(listenHttp('wrong_host', https.createServer, wrong))
  where.expired = await url(listenHttp('expired', https.createServer, expired))
  const silent = await listenRaw('silent', (socket) => socket.resume())
  where.silent = `https://localhost:${silent}`
  where.reset = await url(listenRaw('reset', (socket) => socket.resetAndDestroy()))
  where.closed = await url(heldPort(silent))
  where.plain = `http://127.0.0.1:${await listenHttp('plain', http.createServer, {})}`
  where.h2 = await url(listenHttp('h2', http2.createSecureServer, { ...server, allowHTTP1: true }))
  console.log(JSON.stringify(where))
}

function end() {
  double.connections.destroyAll()
  process.exit(0)
}

// A pipe closes when who holds it ends.  What else stdin may be, such as /dev/null, says nothing.
function endWithStdin() {
  const stdin = fstatSync(0)
  if (!stdin.isFIFO() && !stdin.isSocket()) return
  process.stdin.resume().on('end', end).on('error', end)
}

function readArguments([directory, option, port, ...rest]) {
  const isRight = directory && rest.length === 0 && (option === undefined || (option === '--port' && /^[0-9]{1,5}$/.test(port ?? '')))
  if (isRight) return [directory, port === undefined ? 0 : Number(port)]
  console.error('usage: node double.js DIR [--port N]')
  return process.exit(2)
}

process.on('SIGTERM', end)
process.on('SIGINT', end)
endWithStdin()
await start(...readArguments(process.argv.slice(2)))
