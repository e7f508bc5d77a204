// What has been changed, by whom, and who may.

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
