// The shop of examples/shop as somebody has it who sits before its page: a browser buys, pays on the hosted page, comes
// back, uses credits up and is refused more.  Whatever the page shows is compared with the database.  Prints a line "ok"
// or "not ok" for each thing that was looked at.
//
//     node browser.mjs '{"npm": …, "chromium": …, "shop": url, "double": url, "database": url, "secret": …}'
//
// npm is a directory whose node_modules has playwright-core and pg, database is for the owner.
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'

const given = JSON.parse(process.argv[2])
const require = createRequire(`${given.npm}/package.json`)
const pg = require('pg')
const { chromium } = require('playwright-core')

const PATIENCE = 15_000 // ms for what happens by itself
const PAGE_ROWS = 10
const DESK = { width: 1200, height: 900 }
const PHONE = { width: 360, height: 740 }
const WORDS = { purchase: 'Bought', grant: 'Given', spend: 'Used', capture: 'Used', spend_reversal: 'Given back',
  adjustment: 'Corrected', expiry: 'Expired', reversal: 'Taken back', reinstatement: 'Restored', write_off: 'Written off' }

//
// Telling
//

function ok(what, isRight, found = '') {
  console.log(`${isRight ? 'ok' : 'not ok'} - ${what}`)
  if (!isRight && found !== '') console.log(`# found ${found}`)
}

const is = (what, found, wanted) =>
  ok(what, isDeepStrictEqual(found, wanted), `${JSON.stringify(found)}\n# wanted ${JSON.stringify(wanted)}`)

//
// The database and the double
//

const database = new pg.Client({ connectionString: given.database })

const sql = async (text, values) => (await database.query(text, values)).rows

async function ask(path, body) {
  const response = await fetch(`${given.double}/_double/${path}`, body && { method: 'POST', body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`the double says ${response.status} to ${path}`)
  return response.json()
}

const endpoint = (more) => ask('webhook', { url: `${given.shop}/webhook`, secret: given.secret, ...more })

// Of the last session that was made
async function lastCheckout() {
  const [row] = await sql('SELECT session_id, account_id, url FROM stripe_credit.checkout ORDER BY created_at DESC LIMIT 1')
  return row
}

async function lastPayment(account) {
  const [row] = await sql(`SELECT payment_id FROM stripe_credit.ledger WHERE account_id = $1 AND kind = 'purchase'
    ORDER BY seq DESC LIMIT 1`, [account])
  return row.payment_id
}

const balanceOf = async (account) => (await sql('SELECT balance, held, available FROM stripe_credit.balance($1)', [account]))[0]

//
// Browsers.  Whatever goes wrong on a page of the shop is kept.
//

const wrong = []
const isOfShop = (url) => url.startsWith(given.shop)

function watch(page) {
  page.on('pageerror', (error) => wrong.push(`exception: ${error.message}`))
  page.on('console', (message) => {
    const { url } = message.location()
    if (['error', 'warning'].includes(message.type()) && isOfShop(url)) wrong.push(`console: ${message.text()}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400 && isOfShop(response.url())) wrong.push(`HTTP ${response.status()} ${new URL(response.url()).pathname}`)
  })
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure()
    const isLeft = request.method() === 'GET' && errorText === 'net::ERR_ABORTED' // since its page was
    if (isOfShop(request.url()) && !isLeft) wrong.push(`failed: ${request.url()} ${errorText}`)
  })
}

// Runs in the page: how much of it moved before somebody touched it, and what it shows
const lookOn = () => {
  window.shifts = 0
  new PerformanceObserver((list) => { for (const { value } of list.getEntries()) window.shifts += value })
    .observe({ type: 'layout-shift', buffered: true })
  window.shownState = () => ({
    available: document.getElementById('available').textContent,
    entries: [...document.querySelectorAll('#entries tr')].map((row) => [row.dataset.seq, row.cells[0].firstChild.textContent,
      row.cells[1].textContent, row.cells[2].textContent])
  })
}

async function openShop(context) {
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  watch(page)
  await page.addInitScript(lookOn)
  await page.goto(given.shop)
  await isThere(page)
  return page
}

const isThere = (page) => page.waitForSelector('#shop[aria-busy="false"]')

async function newContext(browser, more = {}) {
  return browser.newContext({ locale: 'en-US', viewport: DESK, ...more })
}

//
// What is shown
//

const minus = (text) => text.replace('-', '\u2212')
const shownNumber = (value) => minus(new Intl.NumberFormat('en-US').format(BigInt(value)))
const shownChange = (value) => minus(new Intl.NumberFormat('en-US', { signDisplay: 'exceptZero' }).format(BigInt(value)))

const shown = (page) => page.evaluate(() => window.shownState())

async function stored(account, count) {
  const rows = await sql('SELECT seq, kind, credits, balance FROM stripe_credit.statement($1, $2)', [account, count])
  return { available: shownNumber((await balanceOf(account)).available),
    entries: rows.map(({ seq, kind, credits, balance }) => [seq, WORDS[kind], shownChange(credits), shownNumber(balance)]) }
}

// The page comes to show what the database holds, by itself: of the statement at least the newest entries, and whatever it
// shows besides.
async function agrees(what, { page, account }, count = PAGE_ROWS) {
  const wanted = await stored(account, count)
  await page.waitForFunction(([text, most]) => {
    const { available, entries } = window.shownState()
    return JSON.stringify({ available, entries: entries.slice(0, most) }) === text
  }, [JSON.stringify(wanted), count]).catch(() => {})
  const found = await shown(page)
  is(`the page shows what the database holds: ${what}`, found, await stored(account, Math.max(count, found.entries.length)))
}

async function says(what, page, selector, wanted) {
  const text = page.locator(selector)
  await page.waitForFunction(([where, pattern]) => new RegExp(pattern).test(document.querySelector(where).textContent),
    [selector, wanted.source]).catch(() => {})
  const found = await text.textContent()
  ok(what, wanted.test(found), found)
}

const heights = (page) => page.evaluate(() => ['.generate', '.side'].map((one) => document.querySelector(one).offsetHeight))

//
// What a buyer does
//

async function goToHostedPage(page, pack) {
  await page.getByRole('button', { name: `Buy ${pack}` }).click()
  await page.waitForURL(`${given.double}/c/pay/*`)
}

async function pay(page, { delayed = false } = {}) {
  await page.getByLabel('E-mail').fill('reader@example.com')
  if (delayed) await page.getByLabel('takes days').check()
  await page.getByRole('button', { name: 'Pay' }).click()
  await page.waitForURL(`${given.shop}/`) // by way of /thanks
  await isThere(page)
}

async function generate(page, fails = false) {
  await page.getByLabel('let it fail').setChecked(fails)
  await page.getByRole('button', { name: 'Generate' }).click()
}

//
// The parts, in the order in which they happen
//

// What the page asks for comes after it was painted.
async function slowStart(browser) {
  const context = await newContext(browser)
  const painted = () => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)) })
  await context.route(/\/(shop|events|statement|operator)$/, async (route) => {
    await route.request().frame().evaluate(painted)
    await route.continue()
  })
  const page = await openShop(context)
  is('nothing moves while the page loads', await page.evaluate(() => window.shifts), 0)
  await context.close()
}

async function firstSight({ page }) {
  is('a newcomer has nothing', await shown(page), { available: '0', entries: [] })
  ok('the page says that it is in test mode', await page.getByText('Test mode').isVisible())
  is('prices are written as their currencies are', await page.locator('#packs button').allTextContents(),
    (await sql(`SELECT pack_id FROM stripe_credit.pack WHERE active ORDER BY recurring_interval IS NOT NULL, credits, pack_id`))
      .map(({ pack_id: id }) => ({ sampler: '$5.00', notebook: '€10.00', volume: '¥3,000', monthly: '$12.00', forints: 'HUF\u00a025.00',
        dinars: 'KWD\u00a01.250', kronur: 'ISK\u00a09.00', ariary: 'MGA\u00a020,000' })[id]))
  is('the balance is announced', await page.locator('#balance').getAttribute('aria-live'), 'polite')
  await says('the operator sees right books', page, '#books', /^The books are right\.$/)
  await generate(page)
  await says('without credits there is no poem', page, '#job', /^Not enough credits: a poem needs 10, and you have 0\.$/)
}

// With nothing but the keyboard
async function buyByKeyboard(buyer) {
  const { page } = buyer
  await page.reload()
  await isThere(page)
  await page.keyboard.press('Tab')
  const focus = await page.evaluate(() => [document.activeElement.getAttribute('aria-label'),
    getComputedStyle(document.activeElement).outlineStyle])
  is('the first pack has the focus, which is seen', focus, ['Buy Sampler, 100 credits, for $5.00', 'solid'])
  await page.keyboard.press('Enter')
  await page.waitForURL(`${given.double}/c/pay/*`)
  Object.assign(buyer, { account: (await lastCheckout()).account_id })
  is('the hosted page asks for the price', await page.locator('#amount').textContent(), '$5.00')
  await pay(page)
  await says('what came is said', page, '#news', /^Thank you\. 100 credits have come\.$/)
  await agrees('a purchase', buyer)
  const delivered = (await ask('deliveries')).filter(({ type }) => type === 'checkout.session.completed')
  is('its webhook was answered', delivered.map(({ status }) => status), [200])
  is('and says the account', JSON.parse(delivered[0].body).account, buyer.account)
}

async function buyWithoutWebhook(buyer) {
  await endpoint({ drop: ['*'] })
  await goToHostedPage(buyer.page, 'Volume')
  is('yen have no decimals on either page', await buyer.page.locator('#amount').textContent(), '¥3,000')
  await pay(buyer.page)
  await says('the landing page brings them alone', buyer.page, '#news', /^Thank you\. 1,000 credits have come\.$/)
  await agrees('a purchase whose webhook is lost', buyer)
  await endpoint()
}

async function buyDelayed(buyer) {
  await goToHostedPage(buyer.page, 'Notebook')
  const { session_id: session } = await lastCheckout()
  await pay(buyer.page, { delayed: true })
  await says('money that takes days is said to be on its way', buyer.page, '#news', /on its way/)
  await agrees('a purchase that is not paid yet', buyer)
  await ask(`settle/${session}`, { outcome: 'succeeded' })
  await agrees('the same when it is, by itself', buyer)
}

// A page beside it looks on while somebody pays and never comes back.
async function buyAndClose(buyer) {
  const other = await openShop(buyer.page.context())
  await goToHostedPage(other, 'Sampler')
  const { url } = await lastCheckout()
  await other.close()
  await fetch(url, { method: 'POST', body: '', redirect: 'manual' })
  await agrees('what the webhook alone brings, by itself', buyer)
}

async function goBack(buyer) {
  const { page } = buyer
  await goToHostedPage(page, 'Sampler')
  await page.getByRole('link', { name: 'Cancel' }).click()
  await isThere(page)
  await agrees('a purchase that was given up', buyer)
  const before = await sql('SELECT count(*) FROM stripe_credit.checkout')
  await page.getByRole('button', { name: 'Buy Sampler' }).dblclick()
  await page.waitForURL(`${given.double}/c/pay/*`)
  const after = await sql('SELECT count(*) FROM stripe_credit.checkout')
  is('two clicks are one Checkout Session', Number(after[0].count) - Number(before[0].count), 1)
  await page.goto(given.shop)
  await isThere(page)
}

async function use(buyer) {
  const { page, account } = buyer
  const before = await balanceOf(account)
  const height = await heights(page)
  await generate(page)
  await page.waitForFunction(() => document.querySelectorAll('#poem p').length === 2 && !document.querySelector('#poem .soft'))
  is('ten are held meanwhile', (await balanceOf(account)).held, '10')
  await says('which the page says', page, '#held', /^10 more are held/)
  await says('what was used is said', page, '#job', /^[4-7] credits used, the other [3-6] are free again\.$/)
  await agrees('a poem', buyer)
  const used = await page.locator('#poem p').count()
  is('a line was a credit', Number(before.balance) - Number((await balanceOf(account)).balance), used)
  is('nothing moved for that', await heights(page), height)
}

async function fail(buyer) {
  const { page, account } = buyer
  const before = await stored(account, 100)
  await generate(page, true)
  await says('a failure is said', page, '#job', /^It has failed, and nothing was lost: all 10 are free again\.$/)
  is('and has cost nothing', await stored(account, 100), before)
  is('nor is anything held', (await balanceOf(account)).held, '0')
  await agrees('a poem that failed', buyer)
}

async function othersChange(buyer) {
  const { account } = buyer
  await sql(`SELECT stripe_credit.grant_credits($1, 25, 'gift')`, [account])
  await agrees('a grant by SQL, by itself', buyer)
  await sql('SELECT stripe_credit.spend_many($1, $2)', [account, Array(PAGE_ROWS + 2).fill(1)])
  await agrees('more entries at once than a page has', buyer)
}

async function spendAll(buyer) {
  const { page, account } = buyer
  const { available } = await balanceOf(account)
  await sql('SELECT stripe_credit.spend($1, $2)', [account, String(BigInt(available) - 12n)])
  await agrees('twelve are left', buyer)
  await generate(page)
  await says('which is enough for one more', page, '#job', /free again\.$/)
  await agrees('and after that', buyer)
  const { available: left } = await balanceOf(account)
  await generate(page)
  await says('and then no more', page, '#job', new RegExp(`^Not enough credits: a poem needs 10, and you have ${left}\\.$`))
  await agrees('a poem that was refused', buyer)
  is('nothing is held for it', (await balanceOf(account)).held, '0')
}

async function somebodyElse(browser) {
  const page = await openShop(await newContext(browser))
  is('somebody else has nothing', await shown(page), { available: '0', entries: [] })
  await says('nor a purchase', page, '#purchase', /^There is none that could be refunded\.$/)
  is('nor another name than his own', (await sql('SELECT count(DISTINCT account_id) FROM stripe_credit.account'))[0].count, '1')
  await goToHostedPage(page, 'Sampler')
  const { account_id: account } = await lastCheckout()
  await pay(page)
  await agrees("somebody else's purchase", { page, account })
  is('which is his alone', (await sql('SELECT count(*) FROM stripe_credit.account'))[0].count, '2')
  await page.context().close()
}

// All has been spent, so what is taken back is owed.
async function refund(buyer) {
  const { page, account } = buyer
  const payment = await lastPayment(account)
  await page.getByRole('button', { name: 'Refund $5.00' }).click()
  await says('a refund is said', page, '#refunded', /^Refunded, and 100 credits taken back\.$/)
  await agrees('a refund', buyer)
  is('it is of the last purchase', (await sql(`SELECT payment_id FROM stripe_credit.statement($1, 1)`, [account]))[0].payment_id, payment)
  ok('and has made a debt', BigInt((await balanceOf(account)).available) < 0n)
  const [{ detail }] = await sql(`SELECT detail FROM stripe_credit.attention WHERE kind = 'debt'`)
  await says('which the operator sees', page, '#attention', new RegExp(detail))
  await says('and the buyer', page, '#held', /^Spent credits were taken back\.$/)

  const { refund: id } = await firstRefund()
  await ask(`settle/${id}`, { outcome: 'failed' })
  await agrees('a refund that failed', buyer)
  await says('the operator has nothing to look at again', page, '#attention', /^Nothing needs a person\.$/)
}

async function firstRefund() {
  const { data } = (await sql(`SELECT stripe_credit.stripe_request('GET', '/v1/events', '{"type": "refund.created"}') AS list`))[0].list
  return { refund: data[0].data.object.id }
}

// Every kind of entry has its word.
async function everyKind(buyer) {
  const { page, account } = buyer
  for (const text of [`adjust_credits($1, 5, 'correction', 'test')`, `spend($1, 2, 'job')`, `reverse_spend($1, 'job')`,
    `grant_credits($1, 3, 'short', clock_timestamp() + '1 ms')`]) await sql(`SELECT stripe_credit.${text}`, [account])
  await sql('SELECT stripe_credit.maintain()')
  await sql(`UPDATE stripe_credit.settings SET on_overdraw = 'clamp'`)
  await page.getByRole('button', { name: 'Refund $5.00' }).click()
  await page.waitForSelector('#entries tr[data-kind="write_off"]').catch(() => {})
  await agrees('every kind of entry', buyer)
  const kinds = (await sql('SELECT DISTINCT kind FROM stripe_credit.ledger')).map(({ kind }) => kind)
  is('which are all there are', kinds.sort(), Object.keys(WORDS).sort())
}

async function allEntries(buyer) {
  const { page, account } = buyer
  await page.reload()
  await isThere(page)
  await agrees('the newest entries', buyer)
  is('are a page', await page.locator('#entries tr').count(), PAGE_ROWS)
  const older = page.getByRole('button', { name: 'Show older entries' })
  for (let pages = 2; await older.isVisible(); pages++) {
    const before = await page.locator('#entries tr').count()
    await older.click()
    await page.waitForFunction((count) => document.querySelectorAll('#entries tr').length > count, before)
  }
  const [{ count }] = await sql('SELECT count(*) FROM stripe_credit.ledger WHERE account_id = $1', [account])
  is('page after page all of them come', await page.locator('#entries tr').count(), Number(count))
  await agrees('all entries', buyer, Number(count))
}

//
// Looks
//

// Runs in the page: of each kind of text, how its colour stands out from what is behind it
const contrasts = (selectors) => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number)
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (node) => {
    const found = rgb(getComputedStyle(node).backgroundColor)
    return found[3] === 0 ? behind(node.parentElement) : found
  }
  return selectors.map((selector) => {
    const node = document.querySelector(selector)
    const [a, b] = [light(rgb(getComputedStyle(node).color).slice(0, 3)), light(behind(node).slice(0, 3))]
    return [selector, Math.max(a, b) + 0.05, Math.min(a, b) + 0.05]
  }).filter(([, lighter, darker]) => lighter / darker < 4.5).map(([selector]) => selector)
}

const TEXTS = ['#mode', 'header', '#available', '.unit', '#news', '#packs .pack', '#packs .soft', '#packs button', '#generate button',
  'label', '#poem p', '#entries td', 'time', '.plus', '#operator .soft', '#refund', '.good']

async function looks(browser, buyer) {
  const storageState = await buyer.page.context().storageState()
  for (const colorScheme of ['light', 'dark']) {
    const context = await newContext(browser, { storageState, colorScheme, viewport: PHONE })
    const page = await openShop(context)
    const width = () => page.evaluate(() => document.documentElement.scrollWidth)
    is(`${colorScheme}, on a phone: no wider than the screen`, await width(), PHONE.width)
    is(`${colorScheme}: every text can be read`, await page.evaluate(contrasts, TEXTS), [])
    await page.setViewportSize(DESK)
    is(`${colorScheme}, on a desk: no wider than the screen`, await width(), DESK.width)
    await context.close()
  }
}

//
// All of it
//

const browser = await chromium.launch({ executablePath: given.chromium, // nobody but this machine is asked for anything
  args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--disable-dev-shm-usage'] })
try {
  await database.connect()
  await endpoint()
  await slowStart(browser)
  const buyer = { page: await openShop(await newContext(browser)), account: null }
  await firstSight(buyer)
  is('of which the page knew in time', wrong.splice(0), ['HTTP 402 /generate',
    'console: Failed to load resource: the server responded with a status of 402 (Payment Required)'])
  for (const part of [buyByKeyboard, buyWithoutWebhook, buyDelayed, buyAndClose, goBack, use, fail, othersChange]) await part(buyer)
  is('nothing went wrong on any page', wrong.splice(0), [])
  await spendAll(buyer)
  is('but for what was refused', wrong.splice(0), ['HTTP 402 /generate',
    'console: Failed to load resource: the server responded with a status of 402 (Payment Required)'])
  await somebodyElse(browser)
  for (const part of [refund, everyKind, allEntries]) await part(buyer)
  await looks(browser, buyer)
  await says('the page says that the books are right', buyer.page, '#books', /^The books are right\.$/)
  is('which they are', await sql('SELECT * FROM stripe_credit.check_books()'), [])
  is('nothing went wrong on any page to the end', wrong, [])
} finally {
  await browser.close()
  await database.end()
}
console.log('done')
