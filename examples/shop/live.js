// What keeps the balance on every open page right: server-sent events, one whenever what an account has is no longer
// what was said last.  Whoever changes an account here says so; what others change, such as another server, is seen
// within a second, since the accounts that somebody looks at are asked for that often, all by one query.
import { setTimeout as sleep } from 'node:timers/promises'

const PAUSE = 1000 // ms
const PINGS = 20_000 // ms, by which a connection that has died is noticed

export class Live {
  #present
  #pages = new Map() // the response of each -> its account, and what was said last
  #turn = Promise.resolve()

  // present: what some accounts have
  constructor(present) {
    this.#present = present
    this.#keepLooking()
    setInterval(() => this.#ping(), PINGS).unref()
  }

  add(account, response) {
    this.#pages.set(response, { account, said: null })
    response.on('close', () => this.#pages.delete(response))
    response.write('retry: 1000\n\n')
    this.changed(account)
  }

  // One after the other, so that nothing older is said after something newer.
  changed(...accounts) {
    this.#turn = this.#turn.then(() => this.#look(accounts))
      .catch((error) => console.error('balances are not known:', error.code, error.message)) // again in a second
    return this.#turn
  }

  async #look(accounts) {
    const watched = new Set([...this.#pages.values()].map(({ account }) => account))
    const wanted = accounts.filter((account) => watched.has(account))
    if (wanted.length === 0) return
    const found = new Map((await this.#present(wanted)).map(({ account, ...state }) => [account, JSON.stringify(state)]))
    for (const [response, page] of this.#pages) {
      const state = found.get(page.account)
      if (state === undefined || state === page.said) continue
      page.said = state
      response.write(`data: ${state}\n\n`)
    }
  }

  async #keepLooking() {
    for (;;) {
      await sleep(PAUSE, undefined, { ref: false })
      await this.changed(...new Set([...this.#pages.values()].map(({ account }) => account)))
    }
  }

  #ping() {
    for (const response of this.#pages.keys()) response.write(':\n\n')
  }

  end() {
    for (const response of this.#pages.keys()) response.end()
  }
}
