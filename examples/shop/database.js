// All that the shop asks of the database: as the role of the shop, and as that of the operator where OPERATOR_URL
// names one.  roles.sql grants both what stands here, and no more.
import pg from 'pg'

function connect(connectionString) {
  const pool = new pg.Pool({
    connectionString,
    connectionTimeoutMillis: 5000 // Stripe doesn't wait forever, nor does a buyer
  })
  pool.on('error', (error) => console.error('idle connection:', error.message)) // or it would end the process
  return pool
}

const shop = connect(process.env.DATABASE_URL)
const operator = process.env.OPERATOR_URL ? connect(process.env.OPERATOR_URL) : null

async function one(pool, text, values) {
  return (await pool.query(text, values)).rows[0]
}

export const hasOperator = operator !== null
export const close = () => Promise.all([shop.end(), operator?.end()])

//
// Money in
//

export async function mode() {
  return (await one(shop, 'SELECT mode FROM stripe_credit.settings')).mode
}

export async function packs() {
  const { rows } = await shop.query(`SELECT pack_id AS id, name, credits, unit_amount AS amount, currency,
      recurring_interval AS interval
    FROM stripe_credit.pack WHERE active ORDER BY recurring_interval IS NOT NULL, credits, pack_id`)
  return rows
}

// The same key is the same session, however often it is asked for.
export async function createCheckout(account, pack, key, home) {
  const { url } = await one(shop, `SELECT url FROM stripe_credit.create_checkout($1, $2, idempotency_key => $3,
    success_url => $4, cancel_url => $5)`, [account, pack, key, `${home}/thanks?session={CHECKOUT_SESSION_ID}`, `${home}/`])
  return url
}

export async function confirmCheckout(session) {
  return (await one(shop, 'SELECT stripe_credit.confirm_checkout($1) AS answer', [session])).answer
}

export async function webhook(body, signature) {
  return (await one(shop, 'SELECT stripe_credit.webhook_bytes($1, $2) AS answer', [body, signature])).answer
}

//
// What there is
//

// Of several accounts at once, with the number of the newest entry, by which a page knows whether its statement is old.
export async function present(accounts) {
  const { rows } = await shop.query(`SELECT a.account, b.balance, b.held, b.available, b.next_expiry, s.seq
    FROM unnest($1::text[]) a (account), stripe_credit.balance(a.account) b
      LEFT JOIN LATERAL stripe_credit.statement(a.account, 1) s ON true`, [accounts])
  return rows
}

export async function statement(account, count, before) {
  const { rows } = await shop.query('SELECT seq, kind, credits, balance, created_at FROM stripe_credit.statement($1, $2, $3)',
    [account, count, before])
  return rows
}

//
// Spending.  The key names the hold, and is the same for what becomes of it.
//

export const hold = (account, credits, key, ttl) =>
  one(shop, 'SELECT available FROM stripe_credit.hold($1, $2, $3, $4)', [account, credits, key, ttl])
export const capture = (account, key, credits) =>
  one(shop, 'SELECT available FROM stripe_credit.capture($1, $2, $3)', [account, key, credits])
export const release = (account, key) =>
  one(shop, 'SELECT available FROM stripe_credit.release($1, $2)', [account, key])

//
// The operator's
//

// That has not been taken back, among the newest entries
export const lastPurchase = (account) =>
  one(operator, `SELECT p.payment_id AS payment, p.posted AS credits, p.amount, p.currency, s.created_at
    FROM stripe_credit.statement($1, 1000) s JOIN stripe_credit.payment p USING (payment_id)
    WHERE s.kind = 'purchase' AND p.posted > 0 ORDER BY s.seq DESC LIMIT 1`, [account])

export async function refund(payment, key) {
  return (await one(operator, `SELECT stripe_credit.refund_payment($1, reason => 'requested_by_customer',
    idempotency_key => $2) AS answer`, [payment, key])).answer
}

export async function attention() {
  return (await operator.query('SELECT kind, id, since, detail FROM stripe_credit.attention ORDER BY since')).rows
}

// Reads all books: in a large shop a matter for the night.
export async function wrongInBooks() {
  return (await operator.query('SELECT invariant, detail FROM stripe_credit.check_books()')).rows
}

export const maintain = () => operator.query('SELECT stripe_credit.maintain()')
