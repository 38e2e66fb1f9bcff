/**
 * How does a call end? With an answer, usually; but a refusal has to be put into Fly's words, and a fault spoils
 * what was ready: the answer is lost, late, garbled, or there never is one.
 */
import type { Answer } from './call.ts';
import type { Hit } from './faults.ts';
import type { Refusal } from './refusal.ts';

/**
 * What becomes of a call: an answer, `holdMs` later than now; `pending`: ask again when the machine has
 * changed, or at `untilMs`; the connection is cut; or nothing ever comes.
 */
export type Delivery =
  | { readonly kind: 'answer'; readonly answer: Answer; readonly holdMs: number }
  | { readonly kind: 'pending'; readonly machineId: string; readonly untilMs: number }
  | { readonly kind: 'reset' }
  | { readonly kind: 'silence' };

/** Fly's error body. The registry's clients need to be told how to authenticate. */
export function refusalAnswer({ status, message, word }: Refusal): Answer {
  const challenge = status === 401 ? { 'www-authenticate': 'Basic realm="registry"' } : {};
  return {
    status,
    json: { error: message, ...(word !== undefined && { status: word }) },
    headers: challenge,
  };
}

/** What a fault makes of an answer that was ready. */
export function spoil(hit: Hit, answer: Answer): Delivery {
  switch (hit.kind) {
    case 'hang':
      return { kind: 'silence' };
    case 'reset':
    case 'applied-answer-lost':
      return { kind: 'reset' };
    case 'status': {
      const status = hit.status ?? 500;
      const body = hit.body ?? { error: `simulated fault ${status}` };
      const spoken = typeof body === 'string' ? { text: body } : { json: body };
      return {
        kind: 'answer',
        answer: { status, ...spoken, headers: hit.headers ?? {} },
        holdMs: hit.afterMs ?? 0,
      };
    }
    case 'late':
      return { kind: 'answer', answer, holdMs: hit.afterMs ?? 0 };
    case 'nonsense': {
      const whole = answer.text ?? JSON.stringify(answer.json ?? { ok: true });
      const text = typeof hit.body === 'string' ? hit.body : whole.slice(0, Math.ceil(whole.length / 2));
      const headers = { 'content-type': 'application/json', ...hit.headers };
      return {
        kind: 'answer',
        answer: { status: hit.status ?? 200, text, headers },
        holdMs: hit.afterMs ?? 0,
      };
    }
  }
}
