// Signs in on the page of `sealogd dev` as a person would: opens the address, types an address, agrees.
//
//   node sign_in.cjs CHROMIUM URL EMAIL allow|refuse
//
// Prints what the pages said: the last one is the answer to whoever wanted the sign-in. JavaScript is off: the
// page must do without.

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
const LIMIT_MS = 120000;
// Address, agreement, and a page or two more; a page that asks for ever is a fault.
const MOST_PAGES = 5;

async function main([executablePath, url, email, answer]) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sealog-browser-'));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: FLAGS,
    headless: true,
    timeout: LIMIT_MS,
    javaScriptEnabled: false,
  });
  try {
    browser.setDefaultTimeout(LIMIT_MS);
    const page = await browser.newPage();
    await page.goto(url);
    for (let count = 0; count < MOST_PAGES; count += 1) {
      console.log(`-- ${new URL(page.url()).pathname}\n${await page.textContent('body')}`);
      let button = page.locator(`form button[type=submit][value=${answer}]`);
      if ((await button.count()) === 0) {
        // The page of a device asks for its code first; it stands there already.
        button = page.locator('form button[type=submit]:not([value])');
      }
      if ((await button.count()) === 0) {
        return;
      }
      const address = page.locator('input[type=email]');
      if ((await address.count()) > 0) {
        await address.fill(email);
      }
      await Promise.all([page.waitForEvent('load'), button.click()]);
    }
    throw new Error(`still a form after ${MOST_PAGES} pages`);
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
