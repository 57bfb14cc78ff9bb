// A throw-away certification authority and what servers need to be believed by its clients, or not.
//
// Node can use certificates but not make them, so the openssl command line does.
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const HERE = 'DNS:localhost, IP:127.0.0.1'
const SERVERS = {
  server: { by: 'ca', names: HERE, common: 'localhost' },
  unknown_ca: { by: 'other_ca', names: HERE, common: 'localhost' },
  wrong_host: { by: 'ca', names: 'DNS:elsewhere.invalid', common: 'elsewhere.invalid' },
  expired: { by: 'ca', names: HERE, common: 'localhost', from: '20200101000000Z', to: '20200201000000Z' }
}

// One file for all: no openssl.cnf of the machine has a say in what comes out.  `openssl ca` and not `openssl x509`,
// because only the former can be told both dates, and so make a certificate that has expired.
const settings = (directory) => `
[req]
distinguished_name = nobody
prompt = no
string_mask = utf8only
[nobody]
CN = replaced by -subj
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = issue
[issue]
database = ${directory}/issued.txt
new_certs_dir = ${directory}
rand_serial = yes
default_md = sha256
default_days = 30
policy = any
unique_subject = no
[any]
commonName = supplied
${Object.entries(SERVERS).map(([name, { names }]) => `[${name}]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = ${names}`).join('\n')}
`

function openssl(directory, ...args) {
  execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, OPENSSL_CONF: join(directory, 'openssl.cnf') } })
}

const newKey = (name) => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`]

function makeAuthority(directory, name) {
  openssl(directory, 'req', '-config', 'openssl.cnf', '-x509', ...newKey(name), '-out', `${name}.pem`, '-days', '30',
    '-subj', `/CN=stripe_credit test double: ${name}`, '-extensions', 'authority')
}

function makeServer(directory, name, { by, common, from, to }) {
  const dates = from ? ['-startdate', from, '-enddate', to] : []
  openssl(directory, 'req', '-config', 'openssl.cnf', '-new', ...newKey(name), '-out', `${name}.csr`, '-subj', `/CN=${common}`)
  openssl(directory, 'ca', '-config', 'openssl.cnf', '-batch', '-notext', '-cert', `${by}.pem`, '-keyfile', `${by}.key`,
    '-extensions', name, '-in', `${name}.csr`, '-out', `${name}.pem`, ...dates)
}

// Whether an earlier run made them all (the last one is made last) and they are good for another day.
function areMade(directory) {
  const last = Object.keys(SERVERS).at(-1)
  if (!existsSync(join(directory, `${last}.pem`))) return false
  const { validTo } = new X509Certificate(readFileSync(join(directory, 'ca.pem')))
  return Date.parse(validTo) > Date.now() + 24 * 3600 * 1000
}

// Returns the path of ca.pem, and {key, cert} for each kind of server.
export function certificates(where) {
  const directory = resolve(where)
  mkdirSync(directory, { recursive: true })
  if (!areMade(directory)) {
    writeFileSync(join(directory, 'openssl.cnf'), settings(directory))
    writeFileSync(join(directory, 'issued.txt'), '')
    makeAuthority(directory, 'ca')
    makeAuthority(directory, 'other_ca')
    for (const [name, wanted] of Object.entries(SERVERS)) makeServer(directory, name, wanted)
  }
  const read = (file) => readFileSync(join(directory, file))
  const pairs = Object.keys(SERVERS).map((name) => [name, { key: read(`${name}.key`), cert: read(`${name}.pem`) }])
  return { ca: join(directory, 'ca.pem'), ...Object.fromEntries(pairs) }
}
