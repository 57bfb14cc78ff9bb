// An edge function outside of Supabase: node runs its TypeScript, and this is of Deno what it uses.
//
//     node --experimental-strip-types edge.mjs FUNCTION/index.ts
//
// listens on 127.0.0.1, says where in one line of JSON on stdout, and ends when its stdin closes.
import http from 'node:http'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

async function toRequest(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const { method, url, headers } = request
  return new Request(new URL(url, 'http://localhost'), { method, headers, body: method === 'GET' ? undefined : Buffer.concat(chunks) })
}

function serve(handler) {
  const server = http.createServer(async (request, response) => {
    const answer = await handler(await toRequest(request))
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))
  })
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })))
}

globalThis.Deno = { serve, env: { get: (name) => process.env[name] } }
process.stdin.resume().on('close', () => process.exit())
await import(pathToFileURL(resolve(process.argv[2])))
