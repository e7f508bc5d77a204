// What the API takes and gives, in the words of docs/openapi.json. Only what the console reads is spelled out.

export type Origin = 'file' | 'api';

/** A value or a list of them, as the API takes them; it gives lists. */
export type OneOrMany<T> = T | T[];

export interface Fault {
  path: string;
  /** A JSON pointer into what was sent, such as `#/if/path`. */
  pointer?: string;
  detail: string;
  message: string;
}

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  request_id?: string;
  errors?: Fault[];
}

export interface Session {
  auth: 'none' | 'required';
  initialised: boolean;
  user: string | null;
  principal: string | null;
  mfa: boolean;
  expires: string | null;
  version: string;
}

export interface Meta {
  origin: Origin;
  etag: string;
  revision?: number;
}

/** What a change would do (`?dry_run=true`). */
export interface Preview {
  dry_run: true;
  changes: string[];
  warnings: string[];
}

// Load balancers

export type Text = string | { regex: string };

export interface Conditions {
  host?: OneOrMany<Text>;
  path?: OneOrMany<Text>;
  method?: OneOrMany<string>;
  source_ip?: OneOrMany<string>;
  header?: Record<string, OneOrMany<Text>>;
  query?: OneOrMany<Record<string, string>>;
  sni?: OneOrMany<string>;
  alpn?: OneOrMany<string>;
  all?: OneOrMany<Conditions>;
  not?: Conditions;
}

export type Weights = Record<string, number>;

export interface ForwardSettings {
  groups: string | Weights;
  stickiness?: string | { duration: string; cookie_name?: string };
  [more: string]: unknown;
}

export type Forward = string | Weights | ForwardSettings;

export interface Redirect {
  protocol?: string;
  host?: string;
  port?: string | number;
  path?: string;
  query?: string;
  status?: number;
}

export interface FixedResponse {
  status: number;
  body?: string;
  content_type?: string;
}

export interface Action {
  forward?: Forward;
  redirect?: Redirect;
  fixed_response?: FixedResponse;
}

export interface Rule {
  name?: string;
  if?: Conditions;
  then: Action;
  [more: string]: unknown;
}

export interface Listener {
  address?: string;
  port?: number;
  protocol?: string;
  certificates?: unknown[];
  rules?: Rule[];
  default?: Action;
  [more: string]: unknown;
}

export interface LoadBalancer {
  type: 'application' | 'network';
  listeners: Record<string, Listener>;
  [more: string]: unknown;
}

// Target groups

export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'unhealthy.draining' | 'unused' | 'draining' | 'unavailable';

export interface HealthCheck {
  protocol?: string;
  path?: string;
  port?: string | number;
  interval?: string;
  timeout?: string;
  healthy_threshold?: number;
  unhealthy_threshold?: number;
  matcher?: string | number;
  [more: string]: unknown;
}

export interface TargetGroup {
  protocol?: string;
  algorithm?: string;
  deregistration_delay?: string;
  health_check?: HealthCheck | false;
  targets?: (string | { address: string; weight?: number })[];
  [more: string]: unknown;
}

export interface Latency {
  p50: number;
  p95: number;
  p99: number;
  mean: number;
}

export interface TargetStatus {
  address: string;
  state: TargetState;
  reason: string | null;
  description: string | null;
  weight: number;
  effective_weight: number;
  in_flight: number;
  requests: number;
  latency_ms?: Latency;
  slow_start?: boolean;
  ejected?: boolean;
}

export interface GroupStatus {
  fail_open: boolean;
  healthy: number;
  requests: number;
  pending: number;
  targets: TargetStatus[];
}

// What runs

export interface RuleStatus {
  rule: string;
  hits: number;
}

export interface ListenerStatus {
  address: string;
  protocol: string;
  rules: RuleStatus[];
}

export interface OrderStatus {
  state: string;
  next?: number;
  failures?: number;
  last_error?: { at: number; what: string } | null;
}

export interface CertificateStatus {
  source: 'files' | 'acme';
  state: 'issued' | 'stand_in';
  names: string[];
  issuer: string;
  serial: string;
  not_before: string;
  not_after: string;
  order?: OrderStatus;
}

export interface Status {
  version: string;
  state: string;
  started: number;
  workers: number;
  configuration: { file: string };
  load_balancers: Record<string, { listeners: Record<string, ListenerStatus> }>;
  target_groups: Record<string, GroupStatus>;
  certificates: Record<string, CertificateStatus>;
}

// Explained

export interface Decision {
  request: string;
  from: string;
  live: boolean;
  listener: { load_balancer: string; name: string; address: string | null; protocol: string };
  desync?: [string, string] | null;
  refused?: string;
  rules: { rule: string; failed: string | null }[];
  rule: string;
  action: string;
  groups?: { group: string; weight: number; share: number }[];
  group?: { name: string; why: string };
  answer?: string;
  targets?: {
    group: string;
    address: string;
    weight: number;
    effective_weight: number | null;
    state: string;
    reason: string | null;
    in_flight: number | null;
    out: string | null;
    chance: number;
  }[];
  target?: { name: string; why: string };
}

// Revisions and the audit trail

export interface Revision {
  revision: number;
  at: string;
  principal: string;
  reason: string;
  resources: string[];
  changes?: string[];
}

export interface AuditEntry {
  number: number;
  hash: string;
  /** Milliseconds since 1970. */
  at: number;
  principal: string;
  action: string;
  resource: string;
  source?: string;
  request_id?: string;
  outcome: 'allowed' | 'denied';
  status: number;
  revision?: number;
  changes?: string[];
  why?: string;
}

export interface Verified {
  intact: boolean;
  entries?: number;
  head?: string;
  entry?: number;
  what?: string;
}

// Identities

export interface AccessKey {
  access_key_id: string;
  status: 'active' | 'inactive';
  created: string;
  last_used?: Record<string, unknown> | null;
}

export interface NewAccessKey extends AccessKey {
  user: string;
  secret_access_key: string;
}

export interface ConsoleAccess {
  password: boolean;
  must_change: boolean;
  mfa: boolean;
  locked: boolean;
}

export interface User {
  name: string;
  hrn: string;
  created: string;
  groups: string[];
  attached: string[];
  boundary?: string | null;
  policies: string[];
  access_keys: AccessKey[];
  console?: ConsoleAccess;
}

export interface IamGroup {
  name: string;
  hrn: string;
  created: string;
  attached: string[];
  policies: string[];
  members: string[];
}

export interface Role {
  name: string;
  hrn: string;
  created: string;
  trust: unknown;
  attached: string[];
  boundary?: string | null;
  policies: string[];
  longest_session: number;
}

export interface ManagedPolicy {
  name: string;
  hrn: string;
  created: string;
  built_in: boolean;
  attached_to: string[];
}

export interface Simulated {
  action: string;
  resource: string;
  decision: { allowed: boolean; reason: string; by?: { policy: string; statement: string } };
  because: string;
}

export interface MfaSecret {
  secret: string;
  uri: string;
}

export interface PasswordPolicy {
  minimum_length?: number | null;
  require_uppercase?: boolean;
  require_lowercase?: boolean;
  require_numbers?: boolean;
  require_symbols?: boolean;
  max_age_days?: number | null;
  reuse_prevention?: number | null;
}

// Live

/** What is measured of a subject in one second. */
export interface Sample {
  requests?: number;
  errors?: number;
  p50?: number | null;
  p95?: number | null;
  p99?: number | null;
  active?: number;
  received?: number;
  sent?: number;
  healthy?: number;
  total?: number;
  pending?: number;
  state?: TargetState;
  reason?: string | null;
  weight?: number;
}

export type Column = 'requests' | 'errors' | 'p50' | 'p95' | 'p99' | 'active' | 'received' | 'sent';

export interface History {
  step: number;
  to: number;
  subjects: Record<string, Partial<Record<Column, (number | null)[]>>>;
}
