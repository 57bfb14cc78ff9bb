// What a shop's pages do, with supabase-js.  Prices, addresses and accounts are the database's business: a page names
// a pack, and who buys it is who is signed in.
//
//   import { createClient } from '@supabase/supabase-js'
//   const supabase = createClient(url, publishableKey)
//
//   shop page       await packs(supabase), and on a click await buy(supabase, 'starter')
//   landing page    await land(supabase), where settings.success_url leads: .../thanks?session={CHECKOUT_SESSION_ID}
//   any page        watchCredits(supabase, ({ available }) => { element.textContent = available })

async function call(supabase, name, parameters) {
  const { data, error } = await supabase.schema('api').rpc(name, parameters)
  if (error) throw error // error.code 'PT402' and the like: see "Errors" in the README
  return data
}

export const packs = (supabase) => call(supabase, 'packs')
export const credits = (supabase) => call(supabase, 'credits')
export const history = (supabase, before_seq) => call(supabase, 'credit_history', { before_seq })
export const portal = async (supabase) => location.assign(await call(supabase, 'customer_portal'))

// One key for one purchase, kept until it is paid: a second click, a reload or a broken connection lead to the same
// page of Stripe's, and nobody pays twice.
function keyOf(order) {
  if (!sessionStorage.getItem(order)) sessionStorage.setItem(order, crypto.randomUUID())
  return sessionStorage.getItem(order)
}

function forgetOrders() {
  Object.keys(sessionStorage).filter((name) => name.startsWith('order ')).forEach((name) => sessionStorage.removeItem(name))
}

export async function buy(supabase, pack_id, quantity = 1) {
  const order = `order ${pack_id} ${quantity}`
  const begin = () => call(supabase, 'create_checkout', { pack_id, quantity, idempotency_key: keyOf(order) })
  let checkout = await begin()
  if (Date.parse(checkout.expires_at) <= Date.now()) { // a tab that was left open for days
    sessionStorage.removeItem(order)
    checkout = await begin()
  }
  location.assign(checkout.url)
}

// Credits what was paid, if the webhook has not yet.  Status 'applied' or 'duplicate': the credits are there;
// 'pending': a payment that takes days, and the webhook will tell.
export async function land(supabase) {
  const session_id = new URLSearchParams(location.search).get('session')
  if (!session_id) return null
  const answer = await call(supabase, 'confirm_checkout', { session_id })
  forgetOrders()
  return answer
}

// Shows the credits now, and again whenever somebody comes back to the page, which is when he has bought or spent
// elsewhere.  Call what it returns after something that spends.
export function watchCredits(supabase, show) {
  const refresh = async () => { if (document.visibilityState === 'visible') show(await credits(supabase)) }
  document.addEventListener('visibilitychange', refresh)
  refresh()
  return refresh
}
