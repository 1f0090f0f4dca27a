// A certified relying party (the npm package openid-client) at our provider, by every flow; a person's part is played with
// forms, as a browser without scripts would.
//
//   node party.mjs ISSUER
//
// Prints a line for each thing that held; anything else is an error.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Modules are found by NODE_PATH, which `import` does not look at.
const require = createRequire(`${process.env.NODE_PATH}/x.cjs`);
const client = await import(pathToFileURL(require.resolve('openid-client')));

const [issuer] = process.argv.slice(2);
const redirect = 'http://localhost:4711/auth/callback';
const insecure = { execute: [client.allowInsecureRequests] };
const held = (what) => console.log(`held: ${what}`);

const discovered = await client.discovery(new URL(issuer), 'sigstore', undefined, client.None(), insecure);
assert.equal(discovered.serverMetadata().issuer, issuer);
held('discovery');

/** Opens a page and sends its form. */
async function fill(url, typed) {
  const page = await fetch(url);
  const cookie = page.headers.get('set-cookie').split(';')[0];
  const html = await page.text();
  const form = new URLSearchParams();
  for (const [tag] of html.matchAll(/<input[^>]*>/g)) {
    const value = (name) => tag.match(` ${name}="([^"]*)"`)?.[1].replaceAll('&amp;', '&');
    form.set(value('name'), value('value') ?? '');
  }
  for (const [name, value] of Object.entries(typed)) {
    form.set(name, value);
  }
  const action = new URL(html.match(/action="([^"]*)"/)[1], issuer);
  return fetch(action, {
    method: 'POST',
    body: form,
    headers: { cookie, origin: issuer },
    redirect: 'manual',
  });
}

async function request(more = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(discovered, {
    redirect_uri: redirect,
    scope: 'openid email',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...more,
  });
  return { url, checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true } };
}

async function signedIn(url) {
  const answer = await fill(url, { email: 'ada@example.com', answer: 'allow' });
  assert.equal(answer.status, 303);
  return new URL(answer.headers.get('location'));
}

const first = await request();
const back = await signedIn(first.url);
const tokens = await client.authorizationCodeGrant(discovered, back, first.checks);
assert.equal(tokens.claims().email, 'ada@example.com');
assert.equal(tokens.claims().email_verified, true);
held('code with PKCE, state and nonce; the token verified by its keys');

const info = await client.fetchUserInfo(discovered, tokens.access_token, tokens.claims().sub);
assert.equal(info.email, 'ada@example.com');
held('userinfo');

await assert.rejects(client.authorizationCodeGrant(discovered, back, first.checks), { error: 'invalid_grant' });
held('a code works once');

const second = await request();
const other = await signedIn(second.url);
const wrong = { ...second.checks, pkceCodeVerifier: client.randomPKCECodeVerifier() };
await assert.rejects(client.authorizationCodeGrant(discovered, other, wrong), { error: 'invalid_grant' });
held('another verifier is refused');

const third = await request();
const nonced = await signedIn(third.url);
const misled = { ...third.checks, expectedNonce: client.randomNonce() };
await assert.rejects(client.authorizationCodeGrant(discovered, nonced, misled));
held('the nonce is the one that was sent');

await assert.rejects(client.refreshTokenGrant(discovered, 'anything'), { error: 'unsupported_grant_type' });
held('refresh is refused');

const plain = await request({ code_challenge_method: 'plain' });
const refused = await fetch(plain.url, { redirect: 'manual' });
const told = new URL(refused.headers.get('location'));
assert.equal(told.searchParams.get('error'), 'invalid_request');
await assert.rejects(client.authorizationCodeGrant(discovered, told, plain.checks), { error: 'invalid_request' });
held('plain PKCE is refused, as the client understands it');

const fourth = await request();
const denied = await fill(fourth.url, { answer: 'refuse' });
const denial = new URL(denied.headers.get('location'));
await assert.rejects(client.authorizationCodeGrant(discovered, denial, fourth.checks), { error: 'access_denied' });
held('a person refuses');

const device = await client.initiateDeviceAuthorization(discovered, { scope: 'openid email' });
const polling = client.pollDeviceAuthorizationGrant(discovered, device);
const answered = await fill(device.verification_uri, {
  user_code: device.user_code,
  email: 'ada@example.com',
  answer: 'allow',
});
assert.equal(answered.status, 200);
assert.equal((await polling).claims().email, 'ada@example.com');
held('device');

const lost = await client.initiateDeviceAuthorization(discovered, { scope: 'openid email' });
const waiting = assert.rejects(client.pollDeviceAuthorizationGrant(discovered, lost), { error: 'access_denied' });
await fill(lost.verification_uri, { user_code: lost.user_code, answer: 'refuse' });
await waiting;
held('a person refuses a device');
