// The page of the shop: it shows what the server says, and asks it for what the buyer wants.  Credits and prices come
// as texts of whole numbers, which may be larger than JavaScript's own.

const $ = (id) => document.getElementById(id)
const whole = new Intl.NumberFormat()
const change = new Intl.NumberFormat(undefined, { signDisplay: 'exceptZero' })
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' })
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' })

function element(name, content, more = {}) {
  const made = Object.assign(document.createElement(name), more)
  made.append(...[content].flat())
  return made
}

// With a minus that is as wide as the plus
const written = (value, format = whole) => format.format(BigInt(value)).replace('-', '\u2212')
const credits = (count) => `${written(count)} ${String(count) === '1' ? 'credit' : 'credits'}`

//
// Prices
//

// How many digits of an amount are minor units is Stripe's to say: Intl knows how a currency is written, which for
// some is something else.  https://docs.stripe.com/currencies
const DIGITS = {
  ...digits(0, 'bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf'),
  ...digits(3, 'bhd jod kwd omr tnd')
}

function digits(count, currencies) {
  return Object.fromEntries(currencies.split(' ').map((currency) => [currency, count]))
}

// In decimals all the way, so that nothing is rounded.
function price(amount, currency) {
  const places = DIGITS[currency] ?? 2
  const text = String(amount).padStart(places + 1, '0')
  const decimal = places === 0 ? text : `${text.slice(0, -places)}.${text.slice(-places)}`
  return new Intl.NumberFormat(undefined, { style: 'currency', currency, minimumFractionDigits: places,
    maximumFractionDigits: places }).format(decimal)
}

//
// Asking the server
//

async function ask(path, given) {
  const response = await fetch(path, given && { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify(given) }).catch(() => { throw new Error('The shop can’t be reached. Please try again.') })
  if (!response.ok) throw await refusal(response)
  return response
}

async function refusal(response) {
  const { error } = await response.json().catch(() => ({}))
  return Object.assign(new Error(error ?? 'Something went wrong on our side.'), { status: response.status })
}

const get = async (path) => (await ask(path)).json()
const post = async (path, given) => (await ask(path, given)).json()

// Says in the element what went wrong.
async function tell(target, work) {
  try {
    await work()
  } catch (error) {
    say(target, error.message, true)
  }
}

function say(target, text, isBad = false) {
  target.textContent = text
  target.classList.toggle('bad', isBad)
}

//
// The balance
//

let state = null
let source = null

function more({ seq, balance, held, available, next_expiry: expiry }) {
  if (seq === null) return 'A pack is all you need to begin.'
  if (available < 0) return 'Spent credits were taken back.'
  if (held > 0) return `${written(held)} more are held, ${written(balance)} in all`
  return expiry ? `Some of them expire on ${day.format(new Date(expiry))}` : ''
}

async function show(next) {
  const isOld = next.seq !== state?.seq
  state = next
  $('available').textContent = written(next.available)
  $('available').classList.toggle('debt', next.available < 0)
  $('held').textContent = more(next)
  if (isOld) await Promise.all([refreshStatement(), refreshOperator()])
  $('shop').setAttribute('aria-busy', 'false')
}

// Each connection begins with how things are.  A page that nobody sees needs none, and a browser has few.
function listen() {
  source?.close()
  source = null
  if (document.visibilityState === 'hidden') return
  source = new EventSource('/events')
  source.addEventListener('message', ({ data }) => tell($('news'), () => show(JSON.parse(data))))
  source.addEventListener('open', () => trouble(''))
  source.addEventListener('error', ({ target }) => {
    trouble('The shop can’t be reached. Trying again …')
    if (target.readyState === EventSource.CLOSED) setTimeout(listen, 3000)
  })
}

function trouble(text) {
  say($('trouble'), text)
  $('trouble').hidden = !text
}

//
// Packs
//

let visit = null

const per = (interval) => (interval ? ` a ${interval}` : '')

function packItem(pack) {
  const cost = pack.amount === null ? 'Buy' : price(pack.amount, pack.currency)
  const name = element('span', pack.name || pack.id, { className: 'pack' })
  const button = element('button', cost, { type: 'button' })
  button.setAttribute('aria-label', `Buy ${pack.name || pack.id}, ${credits(pack.credits)}${per(pack.interval)}, for ${cost}`)
  button.addEventListener('click', () => buy(pack, button))
  const brings = element('span', credits(pack.credits) + per(pack.interval), { className: 'soft' })
  return element('li', [element('div', [name, brings]), button])
}

async function showPacks() {
  const shop = await get('/shop')
  visit = shop.visit
  $('mode').hidden = shop.mode !== 'test'
  $('operator').hidden = !shop.operator
  $('packs').replaceChildren(...shop.packs.map(packItem))
}

// A second click is the same request, by its key.
async function buy({ id }, button) {
  button.disabled = true
  await tell($('news'), async () => {
    const { url } = await post('/buy', { pack: id, visit }).finally(() => { button.disabled = false })
    location.assign(url)
  })
}

//
// Coming back
//

const CAME = {
  pending: 'Your payment is on its way. The credits will come by themselves.',
  unmatched: 'Your payment has arrived, and one of us will look at it.'
}

async function comeBack() {
  const session = location.pathname === '/thanks' && new URLSearchParams(location.search).get('session')
  history.replaceState(null, '', '/') // or a reload would ask again
  if (!session) return
  say($('news'), 'Asking for your payment …')
  await tell($('news'), async () => {
    const { status, credits: came } = await post('/confirm', { session })
    say($('news'), CAME[status] ?? (came ? `Thank you. ${credits(came)} have come.` : 'Thank you. The credits come with the invoice.'))
  })
}

//
// Generating
//

const MOST = 10

function showMeter(used, held) {
  $('meter').replaceChildren(...Array.from({ length: MOST }, (_, i) =>
    element('span', '', { className: i < used ? 'used' : i < held ? 'held' : '' })))
}

function showStep({ held, line, used, captured, failed, free }) {
  if (held) {
    $('poem').replaceChildren()
    showMeter(0, held)
    say($('job'), `${credits(held)} are held.`)
  }
  if (line) {
    $('poem').append(element('p', line))
    showMeter(used, MOST)
    say($('job'), `${credits(used)} used so far.`)
  } else if (captured) {
    showMeter(captured, 0)
    say($('job'), `${credits(captured)} used, the other ${free} are free again.`)
  } else if (failed) {
    showMeter(0, 0)
    say($('job'), `It has failed, and nothing was lost: all ${free} are free again.`)
  }
  return captured || failed
}

// A line of JSON for each step
async function* steps(response) {
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const lines = (text + decoder.decode(value, { stream: true })).split('\n')
    text = lines.pop()
    yield* lines.map((line) => JSON.parse(line))
  }
}

async function follow(fails) {
  let isDone = false
  for await (const step of steps(await ask('/generate', { fails }))) isDone = showStep(step)
  if (!isDone) throw new Error('The connection broke. What is held will be free again in two minutes.')
}

async function generate(event) {
  event.preventDefault()
  const form = event.currentTarget
  form.elements[0].disabled = true
  say($('news'), '')
  say($('job'), '')
  await follow(form.elements.fails.checked).catch((error) => {
    showMeter(0, 0)
    const needed = `Not enough credits: a poem needs ${MOST}, and you have ${$('available').textContent}.`
    say($('job'), error.status === 402 ? needed : error.message, true)
  })
  form.elements[0].disabled = false
}

//
// The statement
//

const KINDS = {
  purchase: ['Bought', 'paid through Stripe'],
  grant: ['Given', 'as a present'],
  spend: ['Used', ''],
  capture: ['Used', 'for a poem'],
  spend_reversal: ['Given back', 'it failed after all'],
  adjustment: ['Corrected', 'by hand'],
  expiry: ['Expired', 'their time was over'],
  reversal: ['Taken back', 'refunded or disputed'],
  reinstatement: ['Restored', 'a refund failed, or a dispute was won'],
  write_off: ['Written off', 'nobody owes it']
}

let newest = null
let oldest = null

function entry({ seq, kind, credits: plus, balance, created_at: at }) {
  const [word, note] = KINDS[kind] ?? [kind, '']
  const time = element('time', day.format(new Date(at)), { dateTime: at, title: moment.format(new Date(at)) })
  const row = element('tr', [
    element('td', [word, element('small', note ? [time, element('span', note, { className: 'note' })] : time)]),
    element('td', written(plus, change), { className: plus > 0 ? 'plus' : '' }),
    element('td', written(balance))])
  Object.assign(row.dataset, { seq, kind })
  return row
}

// Entries are numbered without a gap, so where there is one a page of them is missing: then the list begins anew.
function addNewer({ rows, more: hasMore }) {
  const newer = rows.filter(({ seq }) => newest === null || BigInt(seq) > BigInt(newest))
  if (newer.length === 0) return
  if (newest !== null && newer.length < rows.length) {
    $('entries').prepend(...newer.map(entry))
  } else {
    $('entries').replaceChildren(...newer.map(entry))
    oldest = newer.at(-1).seq
    $('older').hidden = !hasMore
  }
  newest = newer[0].seq
  $('no-entries').hidden = true
}

async function addOlder() {
  const { rows, more: hasMore } = await get(`/statement?before=${oldest}`)
  $('entries').append(...rows.map(entry))
  oldest = rows.at(-1)?.seq ?? oldest
  $('older').hidden = !hasMore
}

let turn = Promise.resolve()

// One after the other, since each goes on from what the one before has shown.
function inTurn(work) {
  turn = turn.catch(() => {}).then(work)
  return turn
}

const refreshStatement = () => inTurn(async () => addNewer(await get('/statement')))
const showOlder = () => inTurn(addOlder)

//
// The operator's panel
//

function lines(target, rows, isBad, whenNone) {
  target.replaceChildren(...rows.length > 0 ? rows.map((text) => element('li', text, { className: isBad ? 'bad' : '' }))
    : [element('li', whenNone, { className: 'good' })])
}

function showPurchase(purchase) {
  const cost = purchase?.amount ? price(purchase.amount, purchase.currency) : ''
  $('purchase').replaceChildren(...purchase ? [[credits(purchase.credits), cost].filter(Boolean).join(' for '),
    element('span', day.format(new Date(purchase.created_at)), { className: 'soft' })]
    : ['There is none that could be refunded.'])
  $('refund').textContent = `Refund ${cost}`.trim()
  $('refund').disabled = !purchase
}

async function refreshOperator() {
  if ($('operator').hidden) return
  const { purchase, attention, wrong } = await get('/operator')
  showPurchase(purchase)
  lines($('attention'), attention.map(({ kind, id, detail }) => `${kind}: ${detail} (${id})`), false, 'Nothing needs a person.')
  lines($('books'), wrong.map(({ invariant, detail }) => `${invariant}: ${detail}`), true, 'The books are right.')
}

let refunds = 0

// Asked for again, because no answer came, it is the same refund; after an answer the next is another.
async function refund() {
  $('refund').disabled = true
  await tell($('refunded'), async () => {
    const { credits: gone } = await post('/refund', { visit: `${visit} ${refunds}` })
    refunds++
    say($('refunded'), `Refunded, and ${credits(gone)} taken back.`)
  })
  await refreshOperator()
}

//
// All of it
//

async function start() {
  showMeter(0, 0)
  $('generate').addEventListener('submit', generate)
  $('older').addEventListener('click', () => tell($('news'), showOlder))
  $('refund').addEventListener('click', () => tell($('refunded'), refund))
  document.addEventListener('visibilitychange', listen)
  window.addEventListener('pageshow', ({ persisted }) => persisted && tell($('news'), showPacks)) // another visit
  await showPacks()
  listen()
  await comeBack()
}

start().catch((error) => trouble(error.message))
