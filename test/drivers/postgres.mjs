// postgres.js, for tests: node postgres.mjs DIR, where DIR has node_modules.  What it reads and prints is described in lines.mjs.
//
// It hands out bigint and numeric as strings, timestamptz as Date, interval as a string, jsonb parsed.  Unprepared is what its
// documentation asks for behind a pooler that pools transactions.
import { answerLines, bring, decode } from './lines.mjs'

const postgres = bring('postgres')
const prepared = postgres({ max: 1 })
const unprepared = postgres({ max: 1, prepare: false })
const templates = new Map() // a template's strings are the same array each time, by which the statement is known again

// As sql`...${argument}...` would be called
function templateOf(text) {
  if (!templates.has(text)) {
    const strings = text.split(/\$\d+/)
    templates.set(text, Object.assign(strings, { raw: strings }))
  }
  return templates.get(text)
}

await answerLines((statement) => {
  const sql = statement.prepared ? prepared : unprepared
  return sql(templateOf(statement.sql), ...statement.arguments.map((argument) => decode(argument, sql.json)))
})
await Promise.all([prepared.end(), unprepared.end()])
