// HTTP for the shop: who asks, from where, what a body says, and how an answer looks.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'

// Where buyers find the shop.  Without it, under whatever name of this machine somebody asks for.
const PUBLIC_URL = process.env.PUBLIC_URL ? new URL(process.env.PUBLIC_URL).origin : null

// The browser runs and shows nothing but what the shop itself sends, and no other site may hold this page in a frame.
const HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin', // the address of /thanks is nobody else's business
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store'
}

//
// Answers
//

export class Refusal extends Error {
  constructor(status) {
    super(`HTTP ${status}`)
    this.status = status
  }
}

// What the buyer is told.  The rest is for the log.
const WORDS = {
  400: 'The shop did not understand that.',
  401: 'The shop does not know this browser yet: reload the page.',
  402: 'Not enough credits.',
  403: 'The shop takes orders from its own page only.',
  404: 'There is no such thing here.',
  409: 'That was asked for before in another way: reload the page.',
  413: 'That is too large.',
  421: 'The shop has another address.',
  500: 'Something went wrong on our side.',
  502: 'Stripe has refused that.',
  503: 'That can’t be reached at the moment. Please try again.'
}

// SQLSTATE PTxyz means HTTP xyz; the rest of the table is in the README, Errors.
function statusOf({ status, code = '' }) {
  if (status) return status
  const own = /^PT([45]\d\d)$/.exec(code)?.[1]
  if (own) return Number(own)
  if (['22003', '22023'].includes(code)) return 400
  // Stripe could not be reached, or the database could not
  if (/^(08|57P0|53300|ECONN|ENOTFOUND|ETIMEDOUT)/.test(code)) return 503
  return 500
}

// What Stripe says of a request that it refuses stands in the detail; elsewhere that can hold a row.
export const logged = ({ code, message, hint, detail }) => [code, message, hint, code === 'PT502' && detail].filter(Boolean)

export function refusal(error) {
  const status = statusOf(error)
  if (status >= 500) console.error('request failed:', ...logged(error))
  return [status, { error: WORDS[status] ?? WORDS[500] }]
}

export function sendJson(response, status, object) {
  response.writeHead(status, { ...HEADERS, 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(object))
}

// No proxy should hold it back.  Of what must not be stored, Chromium says after the last byte that it was aborted.
export function startStream(response, type) {
  response.writeHead(200, { ...HEADERS, 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache',
    'x-accel-buffering': 'no' })
  response.flushHeaders()
}

// Read once, so that no path in a request leads to a file.
function file(name, type) {
  const body = readFileSync(new URL(`page/${name}`, import.meta.url))
  return (response, headers = {}) =>
    response.writeHead(200, { ...HEADERS, 'content-type': type, 'content-length': body.length, ...headers }).end(body)
}

export const files = {
  page: file('index.html', 'text/html; charset=utf-8'),
  script: file('shop.js', 'text/javascript; charset=utf-8'),
  style: file('shop.css', 'text/css; charset=utf-8'),
  icon: file('icon.svg', 'image/svg+xml')
}

//
// Bodies
//

// The bytes as they came: a signature is over these.
export async function readBody(request, most) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size <= most) chunks.push(chunk)
    else chunks.length = 0 // read to its end, so that the answer arrives, but not kept
  }
  if (size > most) throw new Refusal(413)
  return Buffer.concat(chunks)
}

// An object, of which some fields must be texts.
export async function readJson(request, ...texts) {
  const body = await readBody(request, 10_000)
  let given
  try {
    given = JSON.parse(body)
  } catch {
    throw new Refusal(400)
  }
  const isObject = given !== null && typeof given === 'object'
  if (!isObject || !texts.every((name) => typeof given[name] === 'string')) throw new Refusal(400)
  return given
}

//
// Where the page is
//

// A page of another site whose name was made to lead to this machine asks for that name, and is told nothing.
export function originOf(request) {
  if (PUBLIC_URL) return PUBLIC_URL
  const host = request.headers.host ?? ''
  if (!/^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/.test(host)) throw new Refusal(421)
  return `http://${host}`
}

// Browsers say with every POST whose page makes it.
export function refuseOtherSites(request) {
  const { origin, 'sec-fetch-site': site = 'same-origin' } = request.headers
  if (origin !== originOf(request) || site !== 'same-origin') throw new Refusal(403)
}

//
// Who asks
//
// Here everybody is a guest: a cookie with a random id that only this server makes and no script can read.  A real
// shop puts its own login in the place of these two functions.  What must stay: the account comes from the session and
// from nothing else in the request, and is a name that never changes.
//

const COOKIE = PUBLIC_URL?.startsWith('https:') ? '__Host-shop' : 'shop' // such a name no other host can write
const YEAR = 365 * 24 * 3600
const ATTRIBUTES = `Path=/; HttpOnly; SameSite=Lax; Max-Age=${YEAR}${COOKIE.startsWith('__Host-') ? '; Secure' : ''}`

const sessionOf = ({ headers }) => new RegExp(`(?:^|; )${COOKIE}=([\\w-]{43})(?:;|$)`).exec(headers.cookie ?? '')?.[1]

// To be sent with the page: a new guest's cookie.
export function welcome(request) {
  return sessionOf(request) ? {} : { 'set-cookie': `${COOKIE}=${randomBytes(32).toString('base64url')}; ${ATTRIBUTES}` }
}

// The account's name stands in the books and at Stripe, where nobody should find the session itself.
export function accountOf(request) {
  const session = sessionOf(request)
  if (!session) throw new Refusal(401)
  return `guest_${createHash('sha256').update(session).digest('hex').slice(0, 32)}`
}
