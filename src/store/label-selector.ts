/**
 * Which labels does a selector ask for? Kubernetes' equality form: `a=b`, `a==b`, `a!=b`, `a` and `!a`, all of them
 * joined by commas. As in Kubernetes, `a!=b` also chooses what has no label `a` at all.
 */
import { InvalidError } from './store.ts';

export interface Requirement {
  readonly key: string;
  readonly operator: 'equals' | 'differs' | 'exists' | 'absent';
  /** Empty for `exists` and `absent`. */
  readonly value: string;
}

export const LABEL_KEY =
  /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
export const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** No real selector comes near; each requirement is one more condition on every row. */
const MOST_REQUIREMENTS = 64;
const REQUIREMENT = /^(?<negation>!?)\s*(?<key>[^=!\s]+)\s*((?<operator>==?|!=)\s*(?<value>\S*))?$/;

/** An empty text asks for nothing and chooses everything. Throws InvalidError. */
export function parseLabelSelector(text: string): Requirement[] {
  if (text.trim() === '') return [];
  const parts = text.split(',').map((part) => part.trim());
  if (parts.length > MOST_REQUIREMENTS) throw invalid(`has more than ${MOST_REQUIREMENTS} requirements`);
  return parts.map(parseRequirement);
}

function parseRequirement(part: string): Requirement {
  const { negation, key = '', operator, value = '' } = REQUIREMENT.exec(part)?.groups ?? {};
  const compares = operator !== undefined;
  if (!LABEL_KEY.test(key) || !LABEL_VALUE.test(value) || (compares && negation === '!'))
    throw invalid(`holds "${part}", which is not of the form key=value, key!=value, key or !key`);
  if (compares) return { key, operator: operator === '!=' ? 'differs' : 'equals', value };
  return { key, operator: negation === '!' ? 'absent' : 'exists', value: '' };
}

function invalid(message: string): InvalidError {
  return new InvalidError(`cannot list tenants: the label selector ${message}`, [
    { path: 'labelSelector', message },
  ]);
}
