// What leads where: listeners, their rules, and the groups these forward to. Made of what is declared, so that it is whole before the
// first request has come.

import { action, conditions, edges, ruleName, type Edge, type Said } from './rules';
import type { Listener, LoadBalancer } from './types';

export interface RuleNode {
  subject: string;
  name: string;
  isDefault: boolean;
  conditions: Said[];
  action: string;
  edges: Edge[];
}

export interface ListenerNode {
  subject: string;
  balancer: string;
  name: string;
  address: string;
  protocol: string;
  /** Whether connections or datagrams are passed on, not requests. */
  isFlow: boolean;
  rules: RuleNode[];
}

const FLOWS = ['tcp', 'tls', 'udp', 'tls_passthrough', 'tcp_udp'];

export function listeners(balancers: Record<string, LoadBalancer>): ListenerNode[] {
  return Object.entries(balancers).flatMap(([balancer, declared]) =>
    Object.entries(declared.listeners ?? {}).map(([name, listener]) => node(balancer, name, listener)),
  );
}

function node(balancer: string, name: string, listener: Listener): ListenerNode {
  const protocol = listener.protocol ?? 'http';
  const rules = (listener.rules ?? []).map((rule, index): RuleNode => ({
    subject: `rule/${balancer}/${name}/${index + 1}`,
    name: ruleName(rule, index),
    isDefault: false,
    conditions: conditions(rule.if),
    action: action(rule.then),
    edges: edges(rule.then),
  }));
  if (listener.default) {
    rules.push({
      subject: `rule/${balancer}/${name}/default`,
      name: 'default',
      isDefault: true,
      conditions: [],
      action: action(listener.default),
      edges: edges(listener.default),
    });
  }
  const address = listener.address ?? (listener.port === undefined ? '' : `port ${listener.port}`);
  return { subject: `listener/${balancer}/${name}`, balancer, name, address, protocol, isFlow: FLOWS.includes(protocol), rules };
}

/** Whether a rule has to do with what is searched for: by its name, its conditions, its groups. */
export function isAbout(rule: RuleNode, wanted: string): boolean {
  const text = [rule.name, rule.action, ...rule.edges.map((edge) => edge.group), ...rule.conditions.flatMap((said) => [said.key, ...said.values])];
  return text.join(' ').toLowerCase().includes(wanted);
}
