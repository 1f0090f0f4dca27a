// Verifies a bundle with @sigstore/verify.
//
//   node verify.cjs TRUSTED_ROOT BUNDLE FILE IDENTITY ISSUER

'use strict';

const { check, readTrustedRoot, signedBy, trust } = require('./check.cjs');

try {
  const [rootFile, bundleFile, file, identity, issuer] = process.argv.slice(2);
  const signer = check(trust(readTrustedRoot(rootFile)), bundleFile, file, signedBy(identity, issuer));
  console.log(`verified: ${signer.identity.subjectAlternativeName}`);
} catch (error) {
  console.error(`${error.code ?? error.name}: ${error.message}`);
  process.exit(1);
}
