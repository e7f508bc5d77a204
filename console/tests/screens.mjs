// Pictures of the main pages for the documentation, of the demo under some load. CONSOLE and SHOP say where they are, SECONDS how
// long the shop is asked before, FOLDER where the pictures go.
import { join } from 'node:path';
import { open } from './browser.mjs';

const { CONSOLE, SHOP, FOLDER, SECONDS = '90' } = process.env;
const PATHS = ['/', '/products/kettle', '/whoami', '/checkout', '/fail?status=503', '/whoami?version=v2', '/api/products', '/slow?ms=40'];

let isOver = false;
async function ask(nth) {
  for (let i = nth; !isOver; i += 1) {
    await fetch(`http://${SHOP}${PATHS[i % (i % 40 === 0 ? PATHS.length : 4)]}`, { redirect: 'manual' }).then((answer) => answer.arrayBuffer(), () => {});
    await new Promise((resolve) => setTimeout(resolve, 10 + 15 * Math.abs(Math.sin(Date.now() / 9000)) * (1 + nth)));
  }
}
const asking = [0, 1, 2, 3].map(ask);
await new Promise((resolve) => setTimeout(resolve, Number(SECONDS) * 1000));

async function shoot(options, pages) {
  const { page, done } = await open(CONSOLE, { viewport: { width: 1280, height: 860 }, ...options });
  for (const [name, place, act] of pages) {
    await page.evaluate((place) => {
      location.hash = place;
    }, place);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
    if (act) await act(page);
    await page.waitForTimeout(2500);
    await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  }
  await done();
}

const explain = async (page) => {
  await page.getByLabel('URL').fill(`http://${SHOP}/checkout`);
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.getByRole('heading', { name: 'Decision' }).waitFor();
};

await shoot({ colorScheme: 'dark' }, [
  ['map', '#/map'],
  ['target-group', '#/target-groups/shop'],
]);
await shoot({ colorScheme: 'light' }, [
  ['listener', '#/load-balancers/shop/listeners/http'],
  ['explain', '#/load-balancers/shop/listeners/http/explain', explain],
  ['revision', '#/revisions/1'],
  ['policy', '#/identities/policies/OperatorAccess'],
]);
await shoot({ colorScheme: 'dark', viewport: { width: 390, height: 844 }, deviceScaleFactor: 1 }, [['phone', '#/map']]);
isOver = true;
await Promise.all(asking);
