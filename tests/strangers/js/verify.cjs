// Verifies a bundle with @sigstore/verify, as a user of that library would.
//
//   node verify.cjs TRUSTED_ROOT BUNDLE FILE IDENTITY ISSUER
//
// The library matches the identity as a pattern, so it is quoted and anchored here. It leaves an in-toto
// statement's subject to its caller, so the digest is compared here.

'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

function main([rootFile, bundleFile, file, identity, issuer]) {
  const trustedRoot = TrustedRoot.fromJSON(JSON.parse(fs.readFileSync(rootFile, 'utf8')));
  const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile, 'utf8')));
  const artifact = fs.readFileSync(file);
  const verifier = new Verifier(toTrustMaterial(trustedRoot));
  const quoted = identity.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  const policy = { subjectAlternativeName: `^${quoted}$`, extensions: { issuer } };
  const signer = verifier.verify(toSignedEntity(bundle, artifact), policy);
  if (bundle.content.$case === 'dsseEnvelope') {
    const statement = JSON.parse(bundle.content.dsseEnvelope.payload.toString('utf8'));
    const digest = crypto.createHash('sha256').update(artifact).digest('hex');
    if (!statement.subject.some((subject) => subject.digest.sha256 === digest)) {
      throw Object.assign(new Error(`no subject of the statement has digest ${digest}`), { code: 'SUBJECT_ERROR' });
    }
  }
  console.log(`verified: ${signer.identity.subjectAlternativeName}`);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(`${error.code ?? error.name}: ${error.message}`);
  process.exit(1);
}
