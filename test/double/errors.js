// What Stripe answers when it refuses: {"error": {"type", "code"?, "param"?, "message", …}} and a status.
export class ApiError extends Error {
  constructor(status, fields) {
    super(fields.message)
    this.status = status
    this.fields = fields
  }

  get body() {
    const { code } = this.fields
    return { error: { ...this.fields, ...code && { doc_url: `https://stripe.com/docs/error-codes/${code.replaceAll('_', '-')}` } } }
  }
}

// Not Stripe's word but the double's own, to whoever wrote the test.
export class Misuse extends Error {}

export const invalid = (message, param, code, more) => new ApiError(400, { type: 'invalid_request_error',
  ...code && { code }, message, ...param && { param }, ...more })

export const missing = (param) => invalid(`Missing required param: ${param}.`, param, 'parameter_missing')

// In a URL an unknown id is 404, in a parameter 400.
export function noSuch(kind, id, param, { status = 404, otherMode = null } = {}) {
  const hint = otherMode ? `; a similar object exists in ${otherMode} mode, but a ` +
    `${otherMode === 'live' ? 'test' : 'live'} mode key was used to make this request.` : ''
  return new ApiError(status, { type: 'invalid_request_error', code: 'resource_missing',
    message: `No such ${kind}: '${id}'${hint}`, param })
}
