// A stand-in for PostgREST, for tests of what stands before it and of what calls it: POST /rpc/NAME, and of PostgREST's
// behaviour what a function and its caller notice.
//
//     node server.js DIR DATABASE SCHEMAS JWT_SECRET        DIR has node_modules with pg, SCHEMAS are db-schemas
//
// listens on 127.0.0.1, says where in one line of JSON on stdout, and ends when its stdin closes.  GET /_requests: what it
// was asked, with bodies in base64.  A path may begin with /rest/v1, as behind Supabase's gateway, whose apikey it doesn't ask for.
import { createHmac } from 'node:crypto'
import http from 'node:http'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const [directory, database, schemas, secret] = process.argv.slice(2)
const pg = createRequire(resolve(directory, 'here.js'))('pg')
const pool = new pg.Pool({ connectionString: database })
const exposed = schemas.split(',')
const requests = []

class Refusal extends Error {
  constructor(status, code, message) {
    super(message)
    Object.assign(this, { status, code })
  }
}

async function readBody(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

//
// Who asks, and for what
//

// The claims of a token that is signed with the secret; nobody's without one.
function claimsOf({ authorization }) {
  const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1]
  if (!token) return { role: 'anon' }
  const [header, payload, signature] = token.split('.')
  const expected = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url')
  if (signature !== expected) throw new Refusal(401, 'PGRST301', 'No suitable key or wrong key type')
  return JSON.parse(Buffer.from(payload, 'base64url'))
}

function schemaOf({ 'content-profile': asked = exposed[0] }) {
  if (!exposed.includes(asked)) throw new Refusal(406, 'PGRST106', `Invalid schema: ${asked}`)
  return asked
}

// Whatever stands behind a question mark filters the answer.
function nameOf({ method, url }) {
  const { pathname, search } = new URL(url, 'http://localhost')
  const name = /^(?:\/rest\/v1)?\/rpc\/(\w+)$/.exec(pathname)?.[1]
  if (!name) throw new Refusal(404, 'PGRST125', 'Invalid path specified in request URL')
  if (method !== 'POST') throw new Refusal(405, 'PGRST101', `Cannot use the ${method} method on RPC`)
  if (search.includes('=')) throw new Refusal(400, 'PGRST100', `failed to parse filter (${search})`)
  return name
}

function parse(type, body) {
  if (!/^application\/json\b/i.test(type ?? 'application/json')) throw new Refusal(415, 'PGRST102', 'Content-Type not acceptable')
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    throw new Refusal(400, 'PGRST102', 'Empty or invalid json')
  }
}

//
// The call
//

const FIND = `
  SELECT p.oid::regproc AS name, p.proretset AS is_set, p.prorettype = 'record'::regtype AS is_record, p.proconfig AS settings,
    p.pronargs = 1 AND p.proargnames IS NULL AND p.proargtypes[0] = 'json'::regtype AS is_raw,
    (SELECT json_object_agg(a.name, a.type::regtype) FROM unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) a (name, type)
     WHERE a.name IS NOT NULL) AS types
  FROM pg_proc p WHERE p.pronamespace = to_regnamespace($1) AND p.proname = $2`

async function find(client, schema, name, given) {
  const { rows: [found] } = await client.query(FIND, [schema, name])
  const fits = found && (found.is_raw || Object.keys(given).every((key) => key in (found.types ?? {})))
  if (!fits) throw new Refusal(404, 'PGRST202', `Could not find the function ${schema}.${name} in the schema cache`)
  return found
}

// The body is a parameter, as text, and its keys are looked up by the server.
function queryFor({ name, is_set, is_record, is_raw, types }, given) {
  if (is_raw) return `SELECT to_json(${name}($1::json)) AS body`
  const named = Object.keys(given).map((key) => `"${key}" => ($1::json->>'${key}')::${types[key]}`)
  const call = `${name}(${named.join(', ')})`
  if (is_set) return `SELECT coalesce(json_agg(r), '[]') AS body FROM (SELECT $1::json) g, ${call} r`
  return is_record ? `SELECT to_json(r) AS body FROM (SELECT $1::json) g, ${call} r` : `SELECT to_json(${call}) AS body, $1::json`
}

const SET = `SELECT set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true),
  set_config('request.headers', $4, true)`

// What the role says, and then what the function says, of how long it may take
async function setTimeouts(client, role, settings) {
  const { rows: [{ config }] } = await client.query(
    'SELECT coalesce((SELECT setconfig FROM pg_db_role_setting WHERE setrole = $1::regrole AND setdatabase = 0), $2) AS config',
    [role, []])
  for (const setting of [...config, ...settings ?? []]) {
    const [name, value] = setting.split('=')
    if (name === 'statement_timeout') await client.query('SELECT set_config($1, $2, true)', [name, value])
  }
}

async function callFunction(client, request, body) {
  const claims = claimsOf(request.headers)
  const [schema, name, given] = [schemaOf(request.headers), nameOf(request), parse(request.headers['content-type'], body)]
  const found = await find(client, schema, name, given)
  const { cookie, ...headers } = request.headers
  await setTimeouts(client, claims.role, found.settings)
  await client.query(SET, [schema, claims.role, JSON.stringify(claims), JSON.stringify(headers)])
  const { rows: [row] } = await client.query(queryFor(found, given), [body.toString()])
  const { rows: [{ status }] } = await client.query("SELECT nullif(current_setting('response.status', true), '') AS status")
  return [Number(status ?? 200), row.body]
}

async function inTransaction(work) {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

//
// The answer
//

const STATUS = [[/^42501$/, 403], [/^08/, 503], [/^(22|0A|P0001)/, 400], [/^(23503|23505)$/, 409], [/^42883$/, 404]]

function answerToError({ status, code, message, detail = null, hint = null }) {
  const known = status ?? /^PT(\d{3})$/.exec(code)?.[1] ?? STATUS.find(([pattern]) => pattern.test(code))?.[1]
  return [Number(known ?? 500), { code, message, details: detail, hint }]
}

async function answerTo(request) {
  const body = await readBody(request)
  if (request.url === '/_requests') return [200, requests]
  requests.push({ method: request.method, url: request.url, headers: request.headers, body: body.toString('base64') })
  return inTransaction((client) => callFunction(client, request, body))
}

const server = http.createServer(async (request, response) => {
  const [status, answer] = await answerTo(request).catch(answerToError)
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(answer))
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })))
process.stdin.resume().on('close', () => process.exit())
