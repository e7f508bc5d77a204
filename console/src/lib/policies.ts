// Policy documents: judged without being kept.

import { ApiError, call } from './api';
import type { Judge } from './judged.svelte';
import type { Problem } from './types';

export const SKETCH = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: ['headworks:Get*', 'headworks:List*'], Resource: '*' }],
};

export const TRUST_SKETCH = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Headworks: 'hrn:headworks:user/alice' }, Action: 'sts:AssumeRole' }],
};

const DRAFT = 'draft';

/**
 * Has the program read a document, by asking what it would allow: the simulator refuses one with mistakes and says where they are.
 * Who may not ask that is told when the document is saved.
 */
export const judgeDocument: Judge = async (value, signal) => {
  try {
    const body = { principal: 'hrn:headworks:root', actions: ['headworks:GetStatus'], policies: { [DRAFT]: value } };
    await call('POST', '/v1/iam/simulate', { body, signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return null;
    if (error instanceof ApiError) throw new ApiError(inside(error.problem, `policies.${DRAFT}`));
    throw error;
  }
  return null;
};

/** A problem with paths that begin at a part of what was sent. */
export function inside(problem: Problem, part: string): Problem {
  if (!problem.errors) return problem;
  const errors = problem.errors.map((fault) => {
    const path = fault.path.startsWith(`${part}.`) ? fault.path.slice(part.length + 1) : fault.path;
    return { ...fault, path, message: `${path}: ${fault.detail}` };
  });
  return { ...problem, errors };
}
