/** In which order? Joins what the parts have to say into one plan, by what each part needs of the others. */
import { PARTS, type Part, type Plan, type Step } from './steps.ts';

/**
 * Joins the parts, listed in `order`: a step may run once nothing is left to do or to wait for in what it needs, nor
 * in what that needs: a part that is settled now may have work again when another one has done its own.
 * `order` is for people; what runs when follows from the needs alone.
 */
export function compose(
  parts: Plan['parts'],
  needs: Readonly<Record<Part, readonly Part[]>>,
  order: readonly Part[] = PARTS,
): Plan {
  const open = (part: Part): boolean =>
    parts[part].steps.length > 0 || parts[part].wait !== undefined || parts[part].problem !== undefined;
  const blocks = (part: Part): boolean => open(part) || needs[part].some(blocks);
  const steps = order.flatMap((part) => {
    const unmet = needs[part].filter(blocks);
    return parts[part].steps.map((step): Step => ({ ...step, part, needs: unmet }));
  });
  return { parts, steps, converged: !PARTS.some(open) };
}

/** Builds the record of parts. */
export function mapParts<T>(build: (part: Part) => T): Record<Part, T> {
  return {
    credentials: build('credentials'),
    database: build('database'),
    app: build('app'),
    network: build('network'),
    volume: build('volume'),
    secrets: build('secrets'),
    certificate: build('certificate'),
    image: build('image'),
    machine: build('machine'),
  };
}
