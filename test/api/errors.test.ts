import { expect, it } from 'vitest';
import { toApiError } from '../../src/api/errors.ts';
import { StoreError } from '../../src/store/store.ts';

it.each([
  ['unavailable', undefined, '2'],
  ['busy', 7_500, '8'],
  ['refused', undefined, '2'],
] as const)(
  'a store that is %s is an outage of ours, and its words stay in the log',
  (kind, retryAfterMs, wait) => {
    const error = new StoreError('cannot get tenant "a/b": User "x" cannot get', { kind, retryAfterMs });
    const { code, status, message, headers, cause } = toApiError(error);
    expect({ code, status, headers }).toEqual({
      code: 'unavailable',
      status: 503,
      headers: { 'retry-after': wait },
    });
    expect(message).toBe('cannot answer the request: the Kubernetes API server cannot serve');
    expect(cause).toBe(error);
  },
);
