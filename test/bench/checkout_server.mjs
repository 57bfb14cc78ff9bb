// What test/bench/checkout asks in Stripe's place: TLS on 127.0.0.1, where any POST is answered at once by a new Checkout
// Session as large as Stripe's; below /after-N it waits N ms.  It does next to nothing, so that what the others add to it is
// not hidden by it.
//
//     node checkout_server.mjs DIR
//
// makes throw-away certificates in DIR, says on stdout in one line of JSON where it is, and keeps the first body that it is
// sent in DIR/body.  It ends when its stdin closes.
import { existsSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { certificates } from '../double/certificates.js'
import { sessionObject } from '../double/objects.js'
import { newId } from '../double/store.js'

const [directory] = process.argv.slice(2)
const { ca, server: pair } = certificates(directory)
const amounts = { subtotal: 1000, total: 1000, currency: 'usd', shipping: 0 }

function session() {
  const id = newId('cs_test', 58)
  const created = Math.floor(Date.now() / 1000)
  return sessionObject({ id, url: `https://checkout.stripe.com/c/pay/${id}`, livemode: false, created, customer: null, amounts,
    given: { mode: 'payment' } })
}

const file = join(directory, 'body')
let isKept = existsSync(file)

function keepFirst(body) {
  if (!isKept) writeFileSync(file, body)
  isKept = true
}

const server = https.createServer(pair, async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  keepFirst(Buffer.concat(chunks))
  const pause = /^\/after-(\d+)\//.exec(request.url)?.[1]
  if (pause) await sleep(Number(pause))
  const answer = JSON.stringify(session(), null, 2)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) }).end(answer)
})
server.keepAliveTimeout = 75_000 // a connection's end is the client's decision
server.on('connection', (socket) => socket.setNoDelay(true))
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ api: `https://localhost:${server.address().port}`, ca })))
process.stdin.resume().on('end', () => process.exit())
