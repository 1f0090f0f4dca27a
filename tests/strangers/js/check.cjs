// One bundle, verified with @sigstore/verify as a user of that library would. Used by verify.cjs and verify_batch.cjs.
//
// The library matches the identity as a pattern, so it is quoted and anchored here. It leaves what an envelope
// holds to its caller, so the payload's type and the subjects' digests are compared here.

'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const IN_TOTO = 'application/vnd.in-toto+json';

function readTrustedRoot(file) {
  return TrustedRoot.fromJSON(JSON.parse(fs.readFileSync(file, 'utf8')));
}

// The names in a certificate must be these.
function signedBy(identity, issuer) {
  const quoted = identity.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  return { subjectAlternativeName: `^${quoted}$`, extensions: { issuer } };
}

// What the library trusts; `key` (PEM) is the one key its caller holds, whatever a bundle calls it.
function trust(trustedRoot, key) {
  const publicKey = key && crypto.createPublicKey(key);
  return toTrustMaterial(trustedRoot, key && (() => ({ publicKey, validFor: () => true })));
}

function check(trustMaterial, bundleFile, artifactFile, policy) {
  const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(bundleFile, 'utf8')));
  const artifact = fs.readFileSync(artifactFile);
  const signer = new Verifier(trustMaterial).verify(toSignedEntity(bundle, artifact), policy);
  if (bundle.content.$case === 'dsseEnvelope') {
    checkStatement(bundle.content.dsseEnvelope, artifact);
  }
  return signer;
}

function checkStatement({ payloadType, payload }, artifact) {
  const wrong = (message) => Object.assign(new Error(message), { code: 'SUBJECT_ERROR' });
  if (payloadType !== IN_TOTO) {
    throw wrong(`expected payload type ${IN_TOTO}, got ${payloadType}`);
  }
  const digest = (name) => crypto.createHash(name).update(artifact).digest('hex');
  const known = { sha256: digest('sha256'), sha384: digest('sha384'), sha512: digest('sha512') };
  const subjects = JSON.parse(payload.toString('utf8')).subject;
  const names = Object.keys(known);
  if (!subjects.some((subject) => names.some((name) => subject.digest[name] === known[name]))) {
    throw wrong(`no subject of the statement has digest ${known.sha256}`);
  }
}

module.exports = { check, readTrustedRoot, signedBy, trust };
