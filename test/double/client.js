// Stripe's own npm package, used as its documentation says but pointed at the double: for tests that compare what it sends
// with what the extension does.
//
//     node client.js DIR API CA        DIR has node_modules, API and CA are what the double says of itself
//
// reads from stdin one JSON object a line, {"call": "checkout.sessions.create", "arguments": [...]}, and prints what the call
// has answered, a line each.  A call that is refused answers {"error": message}.
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

const [directory, api, ca] = process.argv.slice(2)
const Stripe = createRequire(resolve(directory, 'here.js'))('stripe')
const { hostname, port } = new URL(api)
const stripe = new Stripe('sk_test_of_the_client', { host: hostname, port,
  httpAgent: new https.Agent({ ca: readFileSync(ca), keepAlive: true }) })

function call({ call: name, arguments: given }) {
  const path = name.split('.')
  const method = path.pop()
  return path.reduce((object, key) => object[key], stripe)[method](...given)
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await call(JSON.parse(line)).catch((error) => ({ error: error.message }))
  console.log(JSON.stringify(answer))
}
process.exit() // whatever the agent keeps open
