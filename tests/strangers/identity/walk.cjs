// Walks through pages as a person would, with JavaScript off unless a passkey is wanted, and photographs each before it goes on.
//
//   node walk.cjs CHROMIUM URL STEPS PICTURES
//
// STEPS is JSON, a list of: {"fill": SELECTOR, "with": TEXT}, {"code": MAILBOX, "letter": N} (types the code of the Nth letter),
// {"authenticator": true} (JavaScript and a virtual one that knows its owner), {"goto": URL}, {"check": SELECTOR},
// {"press": SELECTOR} (a button or a link), {"wait": PATH} (for a page whose path begins so), {"expect": TEXT} (on the page),
// {"size": [WIDTH, HEIGHT]}. Prints what the pages said.

'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { chromium } = require('playwright-core');

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const LIMIT_MS = 20000;

async function code(mailbox, letter) {
  for (let tries = 0; tries < LIMIT_MS / 50; tries += 1) {
    const lines = fs.existsSync(mailbox) ? fs.readFileSync(mailbox, 'utf8').split('\n') : [];
    if (lines.length > letter) {
      return JSON.parse(lines[letter - 1]).text.match(/^ +(\d{4} \d{4})\r?$/m)[1];
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`no letter ${letter} in ${mailbox}`);
}

async function addAuthenticator(browser, page) {
  const session = await browser.newCDPSession(page);
  await session.send('WebAuthn.enable');
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
}

async function main([executablePath, url, file, pictures]) {
  const steps = JSON.parse(fs.readFileSync(file, 'utf8'));
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sealog-browser-'));
  fs.mkdirSync(pictures, { recursive: true });
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: FLAGS,
    headless: true,
    javaScriptEnabled: steps.some((step) => step.authenticator),
  });
  let count = 0;
  try {
    browser.setDefaultTimeout(LIMIT_MS);
    const page = await browser.newPage();
    const foreign = [];
    page.on('request', (request) => foreign.push(new URL(request.url()).origin));
    if (steps.some((step) => step.authenticator)) {
      await addAuthenticator(browser, page);
    }
    await page.goto(url);
    const look = async () => {
      count += 1;
      await page.screenshot({ path: path.join(pictures, `${count}.png`), fullPage: true });
      console.log(`-- ${new URL(page.url()).pathname}\n${await page.textContent('body')}`);
    };
    await look();
    for (const step of steps) {
      if (step.fill) {
        await page.locator(step.fill).fill(step.with);
      } else if (step.check) {
        await page.locator(step.check).check();
      } else if (step.goto) {
        await page.goto(step.goto);
        await look();
      } else if (step.code) {
        await page.locator('#code').fill(await code(step.code, step.letter));
      } else if (step.press) {
        await Promise.all([page.waitForEvent('load'), page.locator(step.press).first().click()]);
        await look();
      } else if (step.wait) {
        await page.waitForURL((there) => there.pathname.startsWith(step.wait));
        await look();
      } else if (step.expect) {
        const body = await page.textContent('body');
        if (!body.includes(step.expect)) {
          throw new Error(`the page does not say «${step.expect}»: ${body}`);
        }
      } else if (step.size) {
        await page.setViewportSize({ width: step.size[0], height: step.size[1] });
      }
    }
    console.log(`-- asked: ${[...new Set(foreign)].join(' ')}`);
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
