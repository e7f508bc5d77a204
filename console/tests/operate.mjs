// What an operator does: signs in with a second factor, shifts weights and sees traffic move, drains a target, breaks a rule and
// is told why, restores a revision. CONSOLE, LISTENER, NAME, PASSWORD, SECRET, TARGET say where and who.
import { answers, check, code, eventually, open, step } from './browser.mjs';

const { CONSOLE, LISTENER, NAME, PASSWORD, SECRET, TARGET } = process.env;
const { page, done } = await open(CONSOLE);
const button = (name, scope = page) => scope.getByRole('button', { name, exact: true });

async function confirm(reason) {
  const dialog = page.getByRole('dialog');
  const field = dialog.getByLabel('Reason');
  if (reason) await field.fill(reason);
  await button('Confirm', dialog).click();
  await dialog.waitFor({ state: 'detached' });
}

async function goTo(place) {
  await page.evaluate((place) => {
    location.hash = place;
  }, place);
}

async function signIn() {
  await page.getByLabel('User name').fill(NAME);
  await page.getByLabel('Password', { exact: true }).fill('not the password');
  await button('Sign in').click();
  await page.getByRole('alert').filter({ hasText: 'is wrong' }).waitFor();
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await button('Sign in').click();
  const field = page.getByLabel('One-time code');
  await field.fill('000000');
  await button('Sign in').click();
  await page.getByRole('alert').filter({ hasText: 'is wrong' }).waitFor();
  // the code of this moment has proved the second factor, and is good once
  await field.fill(code(SECRET, step() + 1));
  await button('Sign in').click();
  await page.getByRole('link', { name: 'shop/http' }).first().waitFor();
  const kept = await page.evaluate(() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join(' '));
  check(!/headworks_session|password|token/i.test(kept), `the page keeps what it must not: ${kept}`);
}

async function shiftWeights() {
  await goTo('#/load-balancers/shop/listeners/http');
  const slider = page.getByRole('slider', { name: 'Weight of green' });
  await slider.waitFor();
  check((await answers(LISTENER, '/', 50)).blue > 0, 'blue has its share');
  await slider.focus();
  await slider.press('End');
  await button('Shift weights').click();
  await confirm('all to green');
  const moved = await answers(LISTENER, '/', 50);
  check(moved.green === 50, `all goes to green: ${JSON.stringify(moved)}`);
  await eventually('the page sees that traffic has moved', async () => {
    await answers(LISTENER, '/', 20);
    const weights = await page.getByRole('group', { name: /^Weights of/ }).first().innerText();
    return /green[\s\S]*seen 100/.test(weights) || weights;
  });
  await button('Undo').first().click();
  await eventually('traffic is back', async () => ((await answers(LISTENER, '/', 20)).blue ?? 0) > 0);
}

async function drain() {
  await goTo('#/target-groups/pool');
  check((await answers(LISTENER, '/pool', 20)).first > 0, 'the first target has its share');
  await button(`Drain ${TARGET}`).click();
  await confirm('to be repaired');
  const after = await answers(LISTENER, '/pool', 20);
  check(after.second === 20, `a drained target gets nothing: ${JSON.stringify(after)}`);
  await page.getByRole('row', { name: new RegExp(TARGET) }).getByText('no new clients').waitFor();
  await button(`Resume ${TARGET}`).waitFor();
}

async function breakARule() {
  await goTo('#/load-balancers/shop/listeners/http');
  await button('Add rule').click();
  const dialog = page.getByRole('dialog');
  await button('JSON', dialog).or(dialog.getByRole('tab', { name: 'JSON' })).or(dialog.getByRole('link', { name: 'JSON' })).first().click();
  const rule = { name: 'broken', if: { path: ['no-slash'] }, then: { forward: 'nowhere' } };
  await dialog.getByLabel('Rule as JSON').fill(JSON.stringify(rule));
  await dialog.getByRole('alert').filter({ hasText: 'nowhere' }).waitFor();
  await button('Cancel', dialog).or(button('Close', dialog)).first().click();
  check((await answers(LISTENER, '/', 10)).nowhere === undefined, 'nothing has changed');
}

async function restore() {
  const weights = () => page.evaluate(async () => (await (await fetch('/v1/target-groups/pool')).json()).targets.map((target) => target.weight ?? 1));
  check((await weights()).includes(0), 'the drained target has no weight');
  const before = await page.evaluate(async () => {
    const listed = await (await fetch('/v1/revisions?resource=target_groups.pool')).json();
    return listed.revisions[0].revision - 1;
  });
  await goTo(`#/revisions/${before}`);
  await button(`Restore revision ${before}`).click();
  await confirm('as it was');
  await eventually('the target has its weight again', async () => !(await weights()).includes(0) || weights());
  const back = await answers(LISTENER, '/pool', 20);
  check(back.first > 0, `it is served again: ${JSON.stringify(back)}`);
}

async function signOut() {
  await button('Sign out').click();
  await page.getByLabel('User name').waitFor();
  check((await page.context().cookies()).length === 0, 'the session is gone');
}

for (const one of [signIn, shiftWeights, drain, breakARule, restore, signOut]) {
  console.log(one.name);
  await one();
}
await done();
