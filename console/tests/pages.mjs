// Every page, dark and light, wide and as narrow as a phone: nothing is cut off, everything has a name, nothing breaks the policy
// of the page. CONSOLE says where; the program is to be one without sign-in.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { check, open } from './browser.mjs';

const { CONSOLE } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const PAGES = [
  '#/map',
  '#/load-balancers',
  '#/load-balancers/shop',
  '#/load-balancers/shop/listeners/http',
  '#/load-balancers/shop/listeners/http/explain',
  '#/target-groups',
  '#/target-groups/pool',
  '#/target-groups/pool/settings',
  '#/new/target_groups',
  '#/certificates',
  '#/guards',
  '#/revisions',
  '#/revisions/1',
  '#/identities/users',
  '#/identities/groups',
  '#/identities/roles',
  '#/identities/policies',
  '#/identities/policies/ReadOnlyAccess',
  '#/identities/simulator',
  '#/identities/passwords',
  '#/audit',
  '#/account',
];

async function show(page, place) {
  await page.evaluate((place) => {
    location.hash = place;
  }, place);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
}

async function look(options, name) {
  const { page, done } = await open(CONSOLE, options);
  await page.getByRole('heading', { level: 1 }).waitFor();
  for (const place of PAGES) {
    await show(page, place);
    const width = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    check(width[0] <= width[1], `${name} ${place} is ${width[0]} wide where ${width[1]} are to be had`);
    // by the debugger's way in: the page's own policy lets nothing in that is not its own
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
      return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target.join(' ')).slice(0, 3).join('; ')}`);
    });
    check(found.length === 0, `${name} ${place}\n${found.join('\n')}`);
  }
  console.log(`${name}: ${PAGES.length} pages`);
  await done();
}

/** All that can be done is reached by the key Tab alone, which shows where it is, and is never caught. */
async function tread() {
  const { page, done } = await open(CONSOLE, { colorScheme: 'light' });
  await page.getByRole('heading', { level: 1 }).waitFor();
  for (const place of PAGES) {
    await show(page, place);
    await page.evaluate(() => {
      document.activeElement?.blur();
      globalThis.trodden = new Set();
    });
    let steps = 0;
    for (let is_over = false; !is_over; steps += 1) {
      check(steps < 500, `${place} does not end by Tab`);
      await page.keyboard.press('Tab');
      const [over, unseen] = await page.evaluate(() => {
        const one = document.activeElement;
        // a field for a time has several stops
        const is_within = one === globalThis.last && one !== document.body;
        globalThis.last = one;
        if (is_within) return [false, ''];
        // past the end it begins anew, wherever it began
        if (globalThis.trodden.has(one)) return [one !== document.body || globalThis.trodden.size > 1, ''];
        globalThis.trodden.add(one);
        if (one === document.body) return [false, ''];
        // of what is one with what is around it, that shows it
        const is_seen = [one, one.parentElement, one.parentElement?.parentElement].some((around) => {
          const style = around && getComputedStyle(around);
          return style && style.outlineStyle !== 'none' && style.outlineWidth !== '0px';
        });
        return [false, is_seen ? '' : one.outerHTML.slice(0, 160)];
      });
      check(unseen === '', `${place}: it is not seen that this has the focus: ${unseen}`);
      is_over = over;
    }
    const missed = await page.evaluate(() =>
      [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
        .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0)
        .filter((one) => one.type !== 'radio' && !globalThis.trodden.has(one))
        .map((one) => one.outerHTML.slice(0, 160)),
    );
    check(missed.length === 0, `${place}: Tab does not lead to ${missed.join('\n')}`);
  }
  console.log(`Tab: ${PAGES.length} pages`);
  await done();
}

/** A page asks for what it shows, and a search for the time that was typed, in the browser's own zone. */
async function ask() {
  const { page, done } = await open(CONSOLE, { timezoneId: 'America/New_York' });
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url())));
  const until = async (what, is) => {
    const end = Date.now() + 20_000;
    while (!asked.some(is)) {
      check(Date.now() < end, `${what} was not asked for: ${asked.join(' ')}`);
      await page.waitForTimeout(50);
    }
  };
  for (const [place, span] of [
    ['#/map', 'listener/shop/http'],
    ['#/target-groups/pool', 'group/pool'],
    ['#/target-groups', 'group/@30'],
  ]) {
    await page.evaluate((place) => {
      location.hash = place;
    }, place);
    await until(span, (url) => url.searchParams.getAll('history').includes(span));
  }
  const whole = asked.filter((url) => url.pathname === '/v1/live' && !url.searchParams.getAll('history').join(''));
  check(whole.length === 0, `all that was is asked for: ${whole.join(' ')}`);
  await page.evaluate(() => {
    location.hash = '#/audit';
  });
  await page.getByLabel('From').fill('2026-01-31T07:00');
  await page.getByRole('button', { name: 'Search' }).click();
  await until('a time', (url) => url.searchParams.get('from') === '2026-01-31T12:00:00.000Z');
  console.log('pages ask for what they show');
  await done();
}

await ask();
await tread();
await look({ colorScheme: 'dark' }, 'dark');
await look({ colorScheme: 'light' }, 'light');
await look({ colorScheme: 'light', viewport: { width: 360, height: 740 } }, 'phone');
