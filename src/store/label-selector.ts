/**
 * Which labels does a selector ask for? Kubernetes' grammar, for every door and every store: `a=b`, `a==b`, `a!=b`,
 * `a in (b,c)`, `a notin (b,c)`, `a` and `!a`, all of them joined by commas. As in Kubernetes, `a!=b` and
 * `a notin (b)` also choose what has no label `a` at all. Its comparisons of numbers are not for people's labels.
 */
import { InvalidError } from './store.ts';

export type Requirement =
  | { readonly key: string; readonly operator: 'in' | 'notin'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'exists' | 'absent' };

export const LABEL_KEY =
  /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
export const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** No real selector comes near; each requirement is one more condition on every row. */
const MOST_REQUIREMENTS = 64;
const MOST_VALUES = 256;
/** A comma ends a requirement, except in a set of values. */
const BETWEEN = /,(?![^(]*\))/;
const REQUIREMENT =
  /^(?<negation>!?)\s*(?<key>[^=!\s()]+)\s*((?<sign>==?|!=)\s*(?<value>[^\s()]*)|\s(?<word>in|notin)\s*\((?<set>[^()]*)\))?$/;

/** An empty text asks for nothing and chooses everything. Throws InvalidError. */
export function parseLabelSelector(text: string): Requirement[] {
  if (text.trim() === '') return [];
  const parts = text.split(BETWEEN).map((part) => part.trim());
  if (parts.length > MOST_REQUIREMENTS) throw invalid(`has more than ${MOST_REQUIREMENTS} requirements`);
  return parts.map(parseRequirement);
}

/** Whether an object with these labels is chosen. */
export function matchesLabels(
  requirements: readonly Requirement[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return requirements.every((requirement) => {
    const { key } = requirement;
    const label = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (requirement.operator) {
      case 'in':
        return label !== undefined && requirement.values.includes(label);
      case 'notin':
        return label === undefined || !requirement.values.includes(label);
      case 'exists':
        return label !== undefined;
      case 'absent':
        return label === undefined;
      default:
        return requirement satisfies never;
    }
  });
}

/** The selector in one spelling, whatever the spelling that it was read from. */
export function formatLabelSelector(requirements: readonly Requirement[]): string {
  return requirements
    .map((requirement) => {
      const { key, operator } = requirement;
      switch (operator) {
        case 'in':
        case 'notin':
          return `${key} ${operator} (${requirement.values.join(',')})`;
        case 'exists':
          return key;
        case 'absent':
          return `!${key}`;
        default:
          return operator satisfies never;
      }
    })
    .join(',');
}

function parseRequirement(part: string): Requirement {
  const { negation, key = '', sign, value = '', word, set = '' } = REQUIREMENT.exec(part)?.groups ?? {};
  const values = word === undefined ? [value] : set.split(',').map((entry) => entry.trim());
  const compares = sign !== undefined || word !== undefined;
  const valid = LABEL_KEY.test(key) && values.every((entry) => LABEL_VALUE.test(entry));
  if (!valid || values.length > MOST_VALUES || (compares && negation === '!'))
    throw invalid(
      `holds "${part}", which is not of the form key=value, key!=value, key in (value,…), key notin (value,…), key or !key`,
    );
  if (!compares) return { key, operator: negation === '!' ? 'absent' : 'exists' };
  return { key, operator: sign === '!=' || word === 'notin' ? 'notin' : 'in', values };
}

function invalid(message: string): InvalidError {
  return new InvalidError(`cannot list tenants: the label selector ${message}`, [
    { path: 'labelSelector', message },
  ]);
}
