// Walks through pages as a person would, with JavaScript off unless a passkey is wanted, and photographs each before it goes on.
//
//   node walk.cjs CHROMIUM URL STEPS PICTURES OWN
//
// Each page of OWN, an origin, and the program's own is examined as well: by axe-core (WCAG 2.2 A and AA: what a screen reader needs, contrast, titles,
// labels), on screens 320 and 390 pixels wide, on which nothing may stick out, and for what it fetches, which must be its own.
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

const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const NARROW = [320, 390];
// The page of the program that a browser comes back to, which is ours too.
const CLIENTS = '/auth/callback';

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

async function addAuthenticator(session) {
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

// What is wrong with the page for people who hear it, or hold it in one hand.
async function examine(page, place, scripts) {
  await scripts(true);
  await page.evaluate(AXE);
  const found = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: 'tag', values } }), RULES);
  if (found.passes.length === 0) {
    throw new Error(`${place}: axe-core looked at nothing`);
  }
  const wrong = found.violations.map((v) => `${v.id} (${v.nodes.map((node) => node.html).join(' ')})`);
  if (wrong.length > 0) {
    throw new Error(`${place} cannot be used by everybody: ${wrong.join('; ')}`);
  }
  const size = page.viewportSize();
  for (const width of NARROW) {
    await page.setViewportSize({ width, height: 700 });
    const needed = await page.evaluate(() => document.documentElement.scrollWidth);
    if (needed > width) {
      throw new Error(`${place} needs ${needed} pixels on a screen that has ${width}`);
    }
  }
  await page.setViewportSize(size);
  await scripts(false);
}

async function main([executablePath, url, file, pictures, own]) {
  const steps = JSON.parse(fs.readFileSync(file, 'utf8'));
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sealog-browser-'));
  fs.mkdirSync(pictures, { recursive: true });
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: FLAGS,
    headless: true,
    timeout: LIMIT_MS,
  });
  let count = 0;
  let examined = 0;
  try {
    browser.setDefaultTimeout(LIMIT_MS);
    const page = await browser.newPage();
    const fetched = [];
    page.on('request', (request) => {
      // Where a person goes is theirs to see; what a page brings along is not.
      if (!request.isNavigationRequest() && new URL(request.frame().url()).origin === own) {
        fetched.push(new URL(request.url()).origin);
      }
    });
    const session = await browser.newCDPSession(page);
    const wanted = steps.some((step) => step.authenticator);
    // Off while a page loads and is used; on for those who examine it.
    const scripts = (on) => session.send('Emulation.setScriptExecutionDisabled', { value: !on && !wanted });
    await scripts(false);
    if (wanted) {
      await addAuthenticator(session);
    }
    await page.goto(url);
    const look = async () => {
      count += 1;
      await page.screenshot({ path: path.join(pictures, `${count}.png`), fullPage: true });
      const there = new URL(page.url());
      console.log(`-- ${there.pathname}\n${await page.textContent('body')}`);
      if (there.origin === own || there.pathname === CLIENTS) {
        examined += 1;
        await examine(page, there.pathname, scripts);
      }
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
    const others = fetched.filter((origin) => origin !== own);
    const none = examined === 0 && new URL(url).origin === own;
    if (none || others.length > 0) {
      throw new Error(`${examined} pages were examined, which fetched from ${[...new Set(fetched)].join(' ')}`);
    }
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
