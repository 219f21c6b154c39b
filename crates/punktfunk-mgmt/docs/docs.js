// Draws the API's document, as whoever is signed in: the session's cookie goes with each request, and its CSRF token with
// each change that is tried out.
'use strict'

async function main() {
  const place = document.getElementById('docs')
  const say = (text) => {
    const line = document.createElement('p')
    line.textContent = text
    place.replaceChildren(line)
    return line
  }
  const answer = await fetch('/api/v1/auth/session')
  if (!answer.ok) {
    const link = document.createElement('a')
    link.href = '/'
    link.textContent = 'Sign in to the console'
    say('The document needs a session. ').append(link)
    return
  }
  const { csrf_token: csrf } = await answer.json()
  place.replaceChildren()
  window.SwaggerUIBundle({
    domNode: place,
    url: '/api/v1/openapi.json',
    // Otherwise it asks a server elsewhere whether the document is valid.
    validatorUrl: null,
    deepLinking: true,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: 'BaseLayout',
    requestInterceptor: (request) => {
      const url = new URL(request.url, window.location.href)
      if (csrf && url.origin === window.location.origin) request.headers['X-CSRF-Token'] = csrf
      return request
    },
  })
}

main().catch((error) => {
  const line = document.createElement('p')
  line.textContent = `The document could not be loaded: ${error}`
  document.getElementById('docs').replaceChildren(line)
})
