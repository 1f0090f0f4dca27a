// Verifies many bundles with @sigstore/verify: cases as JSON lines in, answers as JSON lines out.
//
// The library verifies files, not digests: a case by digest is answered with the reason it was not judged.

'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { check, readTrustedRoot, signedBy, trust } = require('./check.cjs');

const known = new Map();

// What a trusted root and a key say, read once.
function material(root, key) {
  const name = `${root} ${key ?? ''}`;
  if (!known.has(name)) {
    known.set(name, trust(readTrustedRoot(root), key && fs.readFileSync(key, 'utf8')));
  }
  return known.get(name);
}

function judge({ id, bundle, trusted_root: root, artifact, digest, identity, issuer, key }) {
  if (digest) {
    return { id, skip: 'the library takes no digest' };
  }
  try {
    check(material(root, key), bundle, artifact, key ? undefined : signedBy(identity, issuer));
    return { id, ok: true };
  } catch (error) {
    return { id, ok: false, error: `${error.code ?? error.name}: ${error.message}` };
  }
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  fs.writeSync(1, `${JSON.stringify(judge(JSON.parse(line)))}\n`);
});
