// Signs a file with @sigstore/sign, as a user of that library would.
//
//   node sign.cjs blob SIGNING_CONFIG TOKEN_FILE FILE BUNDLE_OUT
//   node sign.cjs dsse SIGNING_CONFIG TOKEN_FILE STATEMENT BUNDLE_OUT

'use strict';

const fs = require('node:fs');
const { SigningConfig } = require('@sigstore/protobuf-specs');
const { bundleToJSON } = require('@sigstore/bundle');
const { bundleBuilderFromSigningConfig } = require('@sigstore/sign');

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

async function main([kind, configFile, tokenFile, input, output]) {
  const signingConfig = SigningConfig.fromJSON(JSON.parse(fs.readFileSync(configFile, 'utf8')));
  const token = fs.readFileSync(tokenFile, 'utf8').trim();
  const builder = bundleBuilderFromSigningConfig({
    signingConfig,
    identityProvider: { getToken: async () => token },
    bundleType: kind === 'dsse' ? 'dsseEnvelope' : 'messageSignature',
  });
  const data = fs.readFileSync(input);
  const artifact = kind === 'dsse' ? { data, type: PAYLOAD_TYPE } : { data };
  const bundle = await builder.create(artifact);
  fs.writeFileSync(output, JSON.stringify(bundleToJSON(bundle)));
}

main(process.argv.slice(2)).catch((error) => {
  const cause = error.cause ? `: ${error.cause.message ?? error.cause}` : '';
  console.error(`${error.code ?? error.name}: ${error.message}${cause}`);
  process.exit(1);
});
