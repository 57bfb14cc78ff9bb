// node-pg, for tests: node pg.mjs DIR, where DIR has node_modules.  What it reads and prints is described in lines.mjs.
//
// It hands out bigint and numeric as strings, timestamptz as Date, interval as an object, jsonb parsed.
import { answerLines, bring, decode } from './lines.mjs'

const pg = bring('pg')
const client = new pg.Client()
const names = new Map() // a named statement is prepared once, and used again by its name

function nameOf(sql) {
  if (!names.has(sql)) names.set(sql, `statement ${names.size}`)
  return names.get(sql)
}

await client.connect()
await answerLines(async ({ sql, arguments: given, prepared }) => {
  const { rows } = await client.query({ name: prepared ? nameOf(sql) : undefined, text: sql,
    values: given.map((argument) => decode(argument)) })
  return rows
})
await client.end()
