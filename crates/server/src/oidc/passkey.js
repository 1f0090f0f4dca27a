// Passkeys on the pages that offer one. Without JavaScript, or where the browser knows no passkeys, nothing of it is shown.
'use strict';

(() => {
  const place = document.querySelector('[data-passkey]');
  if (!place || !window.PublicKeyCredential) {
    return;
  }
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const form = place.closest('form');
  const send = (answer, fields) => {
    for (const [name, value] of Object.entries({ ...fields, answer })) {
      const input = document.createElement('input');
      input.type = 'hidden';
      input.name = name;
      input.value = value;
      form.append(input);
    }
    form.submit();
  };
  const complain = () => {
    place.querySelector('[role=alert]').hidden = false;
  };

  const use = async () => {
    const body = new URLSearchParams({ form_token: form.elements.form_token.value });
    const answer = await fetch('/passkey', { method: 'POST', body });
    const { challenge, session, host } = await answer.json();
    const credential = await navigator.credentials.get({
      publicKey: { challenge: bytes(challenge), rpId: host, userVerification: 'required' },
    });
    send('passkey', {
      session,
      passkey: credential.id,
      client_data: text(credential.response.clientDataJSON),
      data: text(credential.response.authenticatorData),
      signature: text(credential.response.signature),
    });
  };

  const make = async () => {
    const { challenge, host, person } = place.dataset;
    const credential = await navigator.credentials.create({
      publicKey: {
        challenge: bytes(challenge),
        rp: { id: host, name: host },
        user: { id: crypto.getRandomValues(new Uint8Array(16)), name: person, displayName: person },
        pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: 'public-key', alg })),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        attestation: 'none',
      },
    });
    send('keep', {
      passkey: credential.id,
      client_data: text(credential.response.clientDataJSON),
      data: text(credential.response.attestationObject),
    });
  };

  place.hidden = false;
  if (place.dataset.passkey === 'offer') {
    return;
  }
  place.querySelector('button').addEventListener('click', () => {
    (place.dataset.passkey === 'make' ? make() : use()).catch(complain);
  });
})();
