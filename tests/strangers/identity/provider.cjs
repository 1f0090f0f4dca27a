// A certified OpenID provider (the npm package oidc-provider), to stand behind ours: it believes whatever name is typed.
//
//   node provider.cjs PORT CALLBACK usual|rich
//
// As it `usual`ly is, it tells of scopes in UserInfo alone, and here it takes the client's secret in the form alone; when it
// is `rich`, all is in the identity token, and the secret in the header. Addresses that begin with `unverified` it has not verified; whoever is called `nobody` has none.

'use strict';

const { pathToFileURL } = require('node:url');

async function main([port, callback, manner]) {
  const rich = manner === 'rich';
  const method = rich ? 'client_secret_basic' : 'client_secret_post';
  // Found by NODE_PATH, which `import` does not look at.
  const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);
  const provider = new Provider(`http://localhost:${port}`, {
    clients: [
      {
        client_id: 'sealog',
        client_secret: 'a secret of two: with & signs %',
        redirect_uris: [callback],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        token_endpoint_auth_method: method,
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: !rich,
    clientAuthMethods: [method],
    pkce: { required: () => true },
    cookies: { keys: ['for tests only'] },
    async findAccount(_context, id) {
      const claims = { sub: `account-of-${id}` };
      if (id !== 'nobody') {
        Object.assign(claims, { email: id, email_verified: !id.startsWith('unverified') });
      }
      return { accountId: id, claims: async () => claims };
    },
  });
  provider.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ port: Number(port) })));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
