// Stripe's nested form encoding: a[b][0][c]=v.  Stricter than Stripe is where that finds faults of the client's encoder:
// a name that stands there twice, and a name that is both a value and the start of others, are refused.
import { ApiError } from './errors.js'

const MAX_DEPTH = 20
const refuse = (message) => { throw new ApiError(400, { type: 'invalid_request_error', message }) }

function decodeText(text) {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return refuse(`Invalid percent-encoding or invalid UTF-8: ${text.slice(0, 100)}`)
  }
}

// 'a[b][]' -> ['a', 'b', '']
function splitName(name) {
  const found = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name)
  if (!found) return refuse(`Invalid parameter name: ${name.slice(0, 100)}`)
  const inner = [...found[2].matchAll(/\[([^[\]]*)\]/g)].map((match) => match[1])
  if (inner.length > MAX_DEPTH) refuse(`Parameter nested too deeply: ${name.slice(0, 100)}`)
  if (inner.slice(0, -1).includes('')) refuse(`The double wants numbered elements here: ${name.slice(0, 100)}`)
  return [found[1], ...inner]
}

function put(tree, path, value, name) {
  let node = tree
  for (const [depth, part] of path.entries()) {
    const key = part === '' ? String(Object.keys(node).length) : part
    if (depth === path.length - 1) {
      if (key in node) refuse(`Parameter given twice: ${name}`)
      node[key] = value
    } else {
      node[key] ??= Object.create(null)
      node = node[key]
      if (typeof node !== 'object') refuse(`Parameter given both as a value and as a hash: ${name}`)
    }
  }
}

// A tree of strings: hashes and arrays are objects alike, because only the parameter's type tells them apart.
export function decodeForm(text, tree = Object.create(null)) {
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const at = pair.indexOf('=')
    const name = decodeText(at < 0 ? pair : pair.slice(0, at))
    put(tree, splitName(name), at < 0 ? '' : decodeText(pair.slice(at + 1)), name)
  }
  return tree
}

const isNumbered = (keys) => keys.length > 0 && keys.every((key, i) => key === String(i))

// The same for people and for JSON: what is numbered 0, 1, 2 … is an array.  Metadata's keys are the application's own.
export function readable(tree, name = '') {
  if (typeof tree !== 'object') return tree
  const keys = Object.keys(tree)
  if (name !== 'metadata' && isNumbered(keys)) return keys.map((key) => readable(tree[key]))
  return Object.fromEntries(keys.map((key) => [key, readable(tree[key], key)]))
}
