// A rule as fields: what is common has a field, and what is not stays as it is beside them, so that nothing is lost on the way there
// and back.

import { isSettings, list, queryText, textOf, weights } from './rules';
import type { Action, Conditions, FixedResponse, Redirect, Rule, Text } from './types';

export type ConditionKind = 'host' | 'path' | 'method' | 'source_ip' | 'header' | 'query';

export const CONDITION_KINDS: [ConditionKind, string, hint: string][] = [
  ['host', 'Host', 'shop.example.com or *.example.com'],
  ['path', 'Path', '/api/* or regex:^/v[0-9]+/'],
  ['method', 'Method', 'GET'],
  ['header', 'Header', 'v2*'],
  ['query', 'Query', 'env=dev, or *=beta* for any key'],
  ['source_ip', 'Source address', '10.0.0.0/8'],
];

export interface ConditionField {
  kind: ConditionKind;
  /** Of a header. */
  name: string;
  /** One a line; any of them is enough. */
  values: string;
}

export type ActionKind = 'forward' | 'redirect' | 'fixed_response';

export interface RuleForm {
  name: string;
  conditions: ConditionField[];
  action: ActionKind;
  groups: { group: string; weight: number }[];
  stickiness: string;
  redirect: Record<keyof Redirect, string>;
  fixed: Record<keyof FixedResponse, string>;
  /** What there is no field for. */
  rest: { rule: Record<string, unknown>; if: Conditions; forward: Record<string, unknown> };
}

const REDIRECT_DEFAULTS: Record<keyof Redirect, string> = {
  protocol: '#{protocol}',
  host: '#{host}',
  port: '#{port}',
  path: '/#{path}',
  query: '#{query}',
  status: '302',
};

export function emptyForm(group: string): RuleForm {
  return formOf({ if: { path: [] }, then: { forward: group } });
}

export function formOf(rule: Rule): RuleForm {
  const { name, if: given = {}, then, ...more } = rule;
  const { host, path, method, source_ip, header, query, ...others } = given;
  const fields: ConditionField[] = [];
  const add = (kind: ConditionKind, values: string[], name = '') => fields.push({ kind, name, values: values.join('\n') });
  if (host !== undefined) add('host', list(host).map(textOf));
  if (path !== undefined) add('path', list(path).map(textOf));
  if (method !== undefined) add('method', list(method));
  if (source_ip !== undefined) add('source_ip', list(source_ip));
  for (const [name, values] of Object.entries(header ?? {})) add('header', list(values).map(textOf), name);
  if (query !== undefined) add('query', list(query).map(queryText));
  return { name: name ?? '', conditions: fields, ...actionForm(then), rest: { rule: more, if: others, forward: forwardRest(then) } };
}

function actionForm(then: Action): Omit<RuleForm, 'name' | 'conditions' | 'rest'> {
  const forward = then.forward;
  const stickiness = forward && isSettings(forward) && typeof forward.stickiness === 'string' ? forward.stickiness : '';
  const texts = <T extends object>(given: T | undefined, defaults: Record<keyof T, string>) =>
    Object.fromEntries(Object.entries(defaults).map(([key, missing]) => [key, String(given?.[key as keyof T] ?? missing)])) as Record<keyof T, string>;
  return {
    action: then.redirect ? 'redirect' : then.fixed_response ? 'fixed_response' : 'forward',
    groups: forward ? Object.entries(weights(forward)).map(([group, weight]) => ({ group, weight })) : [],
    stickiness,
    redirect: texts<Redirect>(then.redirect, REDIRECT_DEFAULTS),
    fixed: texts<FixedResponse>(then.fixed_response, { status: '503', content_type: '', body: '' }),
  };
}

/** What forwarding has besides groups and a plain stickiness. */
function forwardRest(then: Action): Record<string, unknown> {
  if (!then.forward || !isSettings(then.forward)) return {};
  const { groups: _, stickiness, ...more } = then.forward;
  return typeof stickiness === 'object' ? { ...more, stickiness } : more;
}

export function ruleOf(form: RuleForm): Rule {
  const conditions = conditionsOf(form);
  return {
    ...(form.name.trim() ? { name: form.name.trim() } : {}),
    ...(Object.keys(conditions).length ? { if: conditions } : {}),
    ...form.rest.rule,
    then: actionOf(form),
  };
}

function conditionsOf(form: RuleForm): Conditions {
  const conditions: Conditions = { ...form.rest.if };
  for (const { kind, name, values } of form.conditions) {
    const lines = values.split('\n').map((line) => line.trim()).filter(Boolean);
    if (kind === 'header') conditions.header = { ...conditions.header, [name.trim()]: lines.map(text) };
    else if (kind === 'query') conditions.query = [...list(conditions.query), ...lines.map(query)];
    else if (kind === 'method' || kind === 'source_ip') conditions[kind] = [...list(conditions[kind]), ...lines];
    else conditions[kind] = [...list(conditions[kind]), ...lines.map(text)];
  }
  return conditions;
}

function text(line: string): Text {
  return line.startsWith('regex:') ? { regex: line.slice('regex:'.length) } : line;
}

function query(line: string): Record<string, string> {
  const equals = line.indexOf('=');
  if (equals < 0) return { key: '*', value: line };
  const [key, value] = [line.slice(0, equals), line.slice(equals + 1)];
  return key === '*' || key === '' ? { value } : { key, value };
}

function actionOf(form: RuleForm): Action {
  if (form.action === 'redirect') {
    const changed = Object.entries(form.redirect).filter(([key, value]) => value.trim() && value !== REDIRECT_DEFAULTS[key as keyof Redirect]);
    return { redirect: { ...Object.fromEntries(changed), status: Number(form.redirect.status) } };
  }
  if (form.action === 'fixed_response') {
    const { status, content_type, body } = form.fixed;
    return { fixed_response: { status: Number(status), ...(body ? { body } : {}), ...(content_type.trim() ? { content_type: content_type.trim() } : {}) } };
  }
  const groups = Object.fromEntries(form.groups.filter(({ group }) => group).map(({ group, weight }) => [group, weight]));
  const sticky = form.stickiness.trim() ? { stickiness: form.stickiness.trim() } : {};
  return { forward: { groups, ...form.rest.forward, ...sticky } };
}

/** What there is in a rule that has no field, by name. */
export function unseen(form: RuleForm): string[] {
  return [
    ...Object.keys(form.rest.rule),
    ...Object.keys(form.rest.if).map((key) => `if.${key}`),
    ...Object.keys(form.rest.forward).map((key) => `forward.${key}`),
  ];
}
