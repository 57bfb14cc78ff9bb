// The shop of examples/shop, for who wants to click after the tour: in a database of its own, with a catalogue of its
// own.  Open until Enter, Ctrl-C or the end of the terminal.  test/demo/run sets up what demo.js has too; and
//
//   SHOP_PORT    where to listen on 127.0.0.1, otherwise any port that is free
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { double, pointWebhookTo, secretFile, startServer } from './stage.js'

const ROLES = ['shop_web', 'shop_operator']

const urlOf = (changed) => Object.assign(new URL(process.env.DATABASE_URL), { pathname: '/shop', ...changed }).href
const sqlFile = (name) => readFileSync(new URL(`../../examples/shop/${name}`, import.meta.url), 'utf8')

async function withOwner(url, work) {
  const owner = new pg.Client({ connectionString: url })
  await owner.connect()
  try {
    return await work(owner)
  } finally {
    await owner.end()
  }
}

// No webhook reaches this machine from Stripe itself, and the credits of a subscription come by nothing else.
async function openBooks(owner) {
  await owner.query('CREATE EXTENSION stripe_credit')
  await owner.query('SELECT stripe_credit.set_api_key($1)', [`file:${process.env.API_KEY_FILE}`])
  if (double) await owner.query('SELECT stripe_credit.add_webhook_secret($1)', [`file:${secretFile}`])
  for (const name of ['roles.sql', 'packs.sql']) await owner.query(sqlFile(name))
  if (!double) await owner.query('UPDATE stripe_credit.pack SET active = false WHERE recurring_interval IS NOT NULL')
}

// Resolves to the URLs of the roles.
async function givePasswords(owner) {
  const urls = []
  for (const username of ROLES) {
    const password = randomBytes(16).toString('hex')
    await owner.query(`ALTER ROLE ${username} PASSWORD '${password}'`)
    urls.push(urlOf({ username, password }))
  }
  return urls
}

async function openShop() {
  await withOwner(process.env.DATABASE_URL, (owner) => owner.query('CREATE DATABASE shop'))
  const [DATABASE_URL, OPERATOR_URL] = await withOwner(urlOf({}), async (owner) => {
    await openBooks(owner)
    return givePasswords(owner)
  })
  const server = await startServer('shop', { DATABASE_URL, OPERATOR_URL, PORT: process.env.SHOP_PORT || '0', PUBLIC_URL: '' })
  if (double) await pointWebhookTo(server.url)
  return server
}

function sayWhere(url) {
  console.log('\n-- The shop: a page to buy and use credits on, with all of it in the database (examples/shop)')
  if (!double) {
    console.log('\n   No webhook of Stripe reaches 127.0.0.1: what you buy comes when you are back on the page.\n' +
      '   The card 4242 4242 4242 4242 pays.')
  }
  console.log(`\nOpen ${url} — Ctrl-C ends it${process.env.KEEP ? '' : ' and removes everything'}`)
}

// What was typed before somebody could know what it does is not meant.
const typed = { isHeard: false, heard: null }
process.stdin.on('data', () => { if (typed.isHeard) typed.heard() })
const toldToEnd = new Promise((resolve) => {
  typed.heard = resolve
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, resolve)
  process.stdin.on('end', resolve)
})

try {
  const server = await openShop()
  const ended = new Promise((resolve) => { server.process.once('exit', resolve) })
  sayWhere(server.url)
  typed.isHeard = true
  const first = await Promise.race([toldToEnd, ended.then(() => 'ended')])
  if (first === 'ended') throw new Error('its server has ended')
  server.process.kill()
  await ended
} catch (error) {
  console.error(`\nThe shop failed: ${error.message}`)
  process.exitCode = 1
}
process.stdin.destroy()
