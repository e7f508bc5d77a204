// A browser at the console, and what every test needs of it.
import { createHmac } from 'node:crypto';
import { chromium } from 'playwright-core';

/** What the page may not do, and does not. */
function watch(page, complaints) {
  page.on('pageerror', (error) => complaints.push(`error in the page: ${error.message}`));
  page.on('console', (message) => {
    // that a call was refused is what some of the tests are about
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) complaints.push(`the page said: ${message.text()}`);
  });
}

/** Opens the console. `done` closes it, and throws when the page has complained of anything. */
export async function open(address, options = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const complaints = [];
  watch(page, complaints);
  await page.goto(`http://${address}/`);
  const done = async () => {
    await browser.close();
    if (complaints.length) throw new Error(complaints.join('\n'));
  };
  return { page, context, done };
}

/** The one-time code of a step of 30 seconds (RFC 6238). */
export function code(secret, step) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const letter of secret) bits += letters.indexOf(letter).toString(2).padStart(5, '0');
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const moment = Buffer.alloc(8);
  moment.writeBigUInt64BE(BigInt(step));
  const tag = createHmac('sha1', bytes).update(moment).digest();
  const offset = tag[19] & 15;
  return String((tag.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** The step of now. */
export const step = () => Math.floor(Date.now() / 30_000);

/** Asks the listener so many times, and counts who answered. */
export async function answers(address, path, count) {
  const seen = {};
  for (let i = 0; i < count; i += 1) {
    const response = await fetch(`http://${address}${path}`);
    await response.arrayBuffer();
    const who = response.headers.get('x-origin') ?? String(response.status);
    seen[who] = (seen[who] ?? 0) + 1;
  }
  return seen;
}

/** That something holds. */
export function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** Asks again until it holds. */
export async function eventually(what, look) {
  const end = Date.now() + 20_000;
  let seen;
  do {
    seen = await look();
    if (seen === true) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  } while (Date.now() < end);
  throw new Error(`${what}: ${JSON.stringify(seen)}`);
}
