// examples/supabase/client.js outside of a browser: this is of a browser what it uses.
//
//     node browser.mjs DIR CLIENT URL TOKEN        DIR has node_modules with supabase-js, CLIENT is client.js
//
// says {} in a line on stdout, reads from stdin one call a line, [name, arguments...], and prints what it has answered, a line each:
//   packs, history, land URL     what the function returns
//   buy PACK, portal             where the page has gone
//   watchCredits                 what was shown
//   show                         the page comes back into view; what was shown, in all
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [directory, file, url, token] = process.argv.slice(2)
const { createClient } = createRequire(resolve(directory, 'here.js'))('@supabase/supabase-js')
const supabase = createClient(url, 'publishable key', { accessToken: async () => token })
const shown = []

// A Storage has its items as own properties, so a plain object with hidden methods is one.
globalThis.sessionStorage = Object.create({
  getItem(name) { return this[name] ?? null },
  setItem(name, value) { this[name] = value },
  removeItem(name) { delete this[name] }
})
globalThis.location = { search: '', assign(address) { this.gone = address } }
globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
const client = await import(pathToFileURL(resolve(file)))

// As many as that, if they come at all
async function watched(count, deadline = Date.now() + 10_000) {
  while (shown.length < count && Date.now() < deadline) await new Promise((done) => setTimeout(done, 10))
  return shown
}

const calls = {
  packs: () => client.packs(supabase),
  history: () => client.history(supabase),
  buy: async (pack) => { await client.buy(supabase, pack); return location.gone },
  portal: async () => { await client.portal(supabase); return location.gone },
  land: (address) => { location.search = new URL(address).search; return client.land(supabase) },
  watchCredits: () => { client.watchCredits(supabase, ({ available }) => shown.push(available)); return watched(1) },
  show: () => { document.dispatchEvent(new Event('visibilitychange')); return watched(2) }
}

console.log('{}')
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line)
  const answer = await calls[name](...given).catch?.(({ code, message }) => ({ code, message })) ?? null
  console.log(JSON.stringify(answer))
}
process.exit()
