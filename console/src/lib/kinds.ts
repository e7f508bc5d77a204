// The kinds of resources, in the words of the API.

import { path } from './api';

export interface Kind {
  /** As in addresses: `target-groups`. */
  plural: string;
  /** As in bodies: `target_groups`. */
  key: string;
  /** As in sentences. */
  one: string;
  /** What a new one begins as. */
  sketch: unknown;
}

export const KINDS = {
  'load-balancers': {
    plural: 'load-balancers',
    key: 'load_balancers',
    one: 'load balancer',
    sketch: { type: 'application', listeners: { http: { port: 8080, rules: [], default: { forward: 'web' } } } },
  },
  'target-groups': {
    plural: 'target-groups',
    key: 'target_groups',
    one: 'target group',
    sketch: { targets: ['127.0.0.1:9001'], health_check: { path: '/', interval: '10s' } },
  },
  certificates: {
    plural: 'certificates',
    key: 'certificates',
    one: 'certificate',
    sketch: { certificate: 'certs/shop.pem', key: 'certs/shop.key' },
  },
  'security-groups': {
    plural: 'security-groups',
    key: 'security_groups',
    one: 'security group',
    sketch: { inbound: [{ protocol: 'tcp', ports: [8080], from: ['10.0.0.0/8'] }] },
  },
  'network-acls': {
    plural: 'network-acls',
    key: 'network_acls',
    one: 'network ACL',
    sketch: { inbound: [{ rule: 100, action: 'allow', from: ['0.0.0.0/0', '::/0'] }] },
  },
} satisfies Record<string, Kind>;

export type Plural = keyof typeof KINDS;

export function kindOf(plural: string): Kind | undefined {
  return plural in KINDS ? KINDS[plural as Plural] : undefined;
}

export function where(kind: Kind, name: string): string {
  return path`/v1/${kind.plural}/${name}`;
}

/** What makes `to` of `from` (RFC 7396): keys that are gone are null. */
export function mergePatch(from: Record<string, unknown>, to: Record<string, unknown>): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const key of Object.keys(from)) if (!(key in to)) patch[key] = null;
  for (const [key, value] of Object.entries(to)) {
    const was = from[key];
    if (isMapping(was) && isMapping(value)) {
      const inner = mergePatch(was, value);
      if (Object.keys(inner).length) patch[key] = inner;
    } else if (JSON.stringify(was) !== JSON.stringify(value)) {
      patch[key] = value;
    }
  }
  return patch;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
