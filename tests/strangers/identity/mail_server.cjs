// A mail server (the npm package smtp-server) that keeps every letter as a line of JSON.
//
//   node mail_server.cjs required|first|refused KEY CERTIFICATE MAILBOX
//
// `required`: STARTTLS, then a user and a password, and nothing before. `first`: TLS from the first byte. `refused`: it has no TLS.
// Prints its port.

'use strict';

const fs = require('node:fs');
const { SMTPServer } = require('smtp-server');

const [mode, key, cert, mailbox] = process.argv.slice(2);
const required = mode !== 'refused';

const server = new SMTPServer({
  key: fs.readFileSync(key),
  cert: fs.readFileSync(cert),
  secure: mode === 'first',
  hideSTARTTLS: !required,
  disabledCommands: required ? [] : ['STARTTLS', 'AUTH'],
  authOptional: !required,
  authMethods: ['PLAIN', 'LOGIN'],
  onAuth(auth, _session, done) {
    const good = auth.username === 'sealog' && auth.password === 'a secret of the mail server';
    done(good ? null : new Error('who are you?'), good ? { user: auth.username } : undefined);
  },
  onMailFrom(_address, session, done) {
    done(required && !session.secure ? new Error('not without TLS') : null);
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => {
      const letter = {
        secure: session.secure,
        user: session.user ?? null,
        from: session.envelope.mailFrom.address,
        to: session.envelope.rcptTo.map((to) => to.address),
        text: Buffer.concat(chunks).toString('utf8'),
      };
      fs.appendFileSync(mailbox, `${JSON.stringify(letter)}\n`);
      done();
    });
  },
});
server.on('error', (error) => console.error(`mail server: ${error.message}`));
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.server.address().port })));
