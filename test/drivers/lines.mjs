// What the programs for drivers of JavaScript have in common.  Each reads a statement a line and answers with its rows:
//
//     {"sql": "SELECT * FROM stripe_credit.spend($1, $2, $3)", "arguments": ["ada", {"bigint": "3"}, "key"], "prepared": true}
//     {"rows": [{"seq": {"type": "string", "value": "2"}, ...}]}       or {"error": {"type", "code", "message", "detail", "hint"}}
//
// so that a test can tell the value that the driver hands out from the type in which it does.  Arguments are
//
//     "a string", 1, true, null         as they are
//     {"text": BASE64}                  bytes that came over HTTP, read as the text that they should be
//     {"bytes": BASE64}                 the bytes themselves
//     {"bigint": "9007199254740993"}    a number that a double can't hold
//     {"time": "2031-02-03T04:05:06Z"}  the language's own time
//     {"interval": SECONDS}             its own interval, or what the driver has in its place
//     {"list": [ARGUMENT, ...]}         an array of SQL's
//     {"json": VALUE}                   a value for jsonb, wrapped as the driver wants it
//     {"plain": VALUE}                  the same, not wrapped
//     {"missing": true}                 what the language has where there is nothing: a header that did not come
//
// Types are named alike where they are alike in all languages: string, boolean, null, object, array.
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

// The package is in node_modules of a directory that is named on the command line.
export const bring = (name) => createRequire(resolve(process.argv[2], 'here.js'))(name)

export function decode(argument, wrap = (value) => value) {
  if (argument === null || typeof argument !== 'object') return argument
  const [[kind, value]] = Object.entries(argument)
  const kinds = {
    text: () => Buffer.from(value, 'base64').toString(),
    bytes: () => Buffer.from(value, 'base64'),
    bigint: () => BigInt(value),
    time: () => new Date(value),
    interval: () => `${value} seconds`,
    list: () => value.map((element) => decode(element, wrap)),
    json: () => wrap(value),
    plain: () => value,
    missing: () => undefined
  }
  return kinds[kind]()
}

function typeOf(value) {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value
  const { name } = value.constructor
  return ['Object', 'Array'].includes(name) ? name.toLowerCase() : name
}

function encode(value) {
  const type = typeOf(value)
  if (type === 'Date') return { type, value: value.toISOString() }
  return { type, value: ['number', 'bigint'].includes(type) ? String(value) : value }
}

const encodeRow = (row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, encode(value)]))

const encodeError = (error) => ({ type: error.constructor.name, code: error.code ?? null,
  message: error.message, detail: error.detail ?? null, hint: error.hint ?? null })

// Whatever a line asks, and whatever is answered
export async function answerEach(answer) {
  for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await answer(JSON.parse(line))))
}

export const answerLines = (query) => answerEach((asked) => query(asked).then((rows) => ({ rows: [...rows].map(encodeRow) }),
  (error) => ({ error: encodeError(error) })))
