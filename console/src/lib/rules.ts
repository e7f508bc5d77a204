// Rules in words, and what they forward to.

import type { Action, Conditions, Forward, ForwardSettings, OneOrMany, Rule, Text, Weights } from './types';

export interface Said {
  key: string;
  values: string[];
}

export interface Edge {
  group: string;
  weight: number;
  /** Of the rule's requests, from 0 to 1. */
  share: number;
}

export function list<T>(value: OneOrMany<T> | undefined): T[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

export function textOf(text: Text): string {
  return typeof text === 'string' ? text : `regex:${text.regex}`;
}

/** Conditions, a line each. */
export function conditions(given: Conditions | undefined): Said[] {
  if (!given) return [];
  const said: Said[] = [];
  const add = (key: string, values: string[]) => values.length && said.push({ key, values });
  add('host', list(given.host).map(textOf));
  add('path', list(given.path).map(textOf));
  add('method', list(given.method));
  add('source', list(given.source_ip));
  for (const [name, values] of Object.entries(given.header ?? {})) add(`header ${name}`, list(values).map(textOf));
  add('query', list(given.query).map(queryText));
  add('sni', list(given.sni));
  add('alpn', list(given.alpn));
  for (const set of list(given.all)) said.push(...conditions(set));
  if (given.not) for (const { key, values } of conditions(given.not)) said.push({ key: `not ${key}`, values });
  return said;
}

/** `{ env: dev }` and `{ key: env, value: dev }` alike as `env=dev`. */
export function queryText(condition: Record<string, string>): string {
  const names = Object.keys(condition);
  if (names.every((name) => name === 'key' || name === 'value')) return `${condition['key'] ?? '*'}=${condition['value'] ?? '*'}`;
  return names.map((name) => `${name}=${condition[name]}`).join('&');
}

export function isSettings(forward: Forward): forward is ForwardSettings {
  return typeof forward === 'object' && 'groups' in forward && typeof forward.groups !== 'number';
}

export function weights(forward: Forward): Weights {
  const groups = isSettings(forward) ? forward.groups : forward;
  return typeof groups === 'string' ? { [groups]: 1 } : { ...(groups as Weights) };
}

export function edges(action: Action | undefined): Edge[] {
  if (!action?.forward) return [];
  return shares(weights(action.forward));
}

export function shares(given: Weights): Edge[] {
  const sum = Object.values(given).reduce((sum, weight) => sum + weight, 0);
  return Object.entries(given).map(([group, weight]) => ({ group, weight, share: sum ? weight / sum : 0 }));
}

/** What is done with a request that is forwarded nowhere; of one that is, where to. */
export function action(given: Action | undefined): string {
  if (!given) return 'refused';
  if (given.forward) return `forward to ${edges(given).map((edge) => edge.group).join(', ')}`;
  if (given.redirect) {
    const { protocol, host, port, path, status } = given.redirect;
    const where = [
      protocol && protocol !== '#{protocol}' ? `${protocol.toLowerCase()}://` : '',
      host && host !== '#{host}' ? host : '',
      port && port !== '#{port}' ? `:${port}` : '',
      path && path !== '/#{path}' ? path : '',
    ].join('');
    return `redirect ${status ?? 302}${where ? ` to ${where}` : ''}`;
  }
  if (given.fixed_response) return `answer ${given.fixed_response.status}`;
  return 'unknown';
}

/** How a rule is called: its name, or its number from 1. */
export function ruleName(rule: Rule, index: number): string {
  return rule.name ?? String(index + 1);
}
