/**
 * What is the answer to a query at one time? Evaluates the part of PromQL that promql.ts understands over the
 * series that metric-series.ts computes.
 */
import type { Sample } from './metric-series.ts';
import type { Expression, Matcher, Selector } from './promql.ts';
import { Refusal } from './refusal.ts';

/** All samples of a series at a time, in milliseconds. */
export type Source = (name: string, at: number) => Sample[];

type Value = number | Sample[];

/** Prometheus anchors its patterns at both ends. */
function wholly(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`);
  } catch {
    throw new Refusal(400, `invalid pattern "${pattern}"`);
  }
}

function matches({ labels }: Sample, { label, operator, value }: Matcher): boolean {
  const actual = labels[label] ?? '';
  switch (operator) {
    case '=':
      return actual === value;
    case '!=':
      return actual !== value;
    case '=~':
      return wholly(value).test(actual);
    case '!~':
      return !wholly(value).test(actual);
  }
}

function select(source: Source, selector: Selector, at: number): Sample[] {
  return source(selector.name, at).filter((sample) =>
    selector.matchers.every((matcher) => matches(sample, matcher)),
  );
}

/** One text for equal labels, whatever their order. */
function keyOf(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Without a sample at the window's beginning the machine started within it, and its counters began at zero. */
function rate(source: Source, expression: Extract<Expression, { kind: 'rate' }>, at: number): Sample[] {
  const { of, windowMs, perSecond } = expression;
  const earlier = new Map(
    select(source, of, at - windowMs).map(({ labels, value }) => [keyOf(labels), value]),
  );
  return select(source, of, at).map(({ labels, value }) => {
    const grown = value - (earlier.get(keyOf(labels)) ?? 0);
    return { labels, value: perSecond ? grown / (windowMs / 1000) : grown };
  });
}

function combine(how: Extract<Expression, { kind: 'aggregate' }>['how'], values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  switch (how) {
    case 'sum':
      return sum;
    case 'avg':
      return sum / values.length;
    case 'min':
      return Math.min(...values);
    case 'max':
      return Math.max(...values);
    case 'count':
      return values.length;
  }
}

function aggregate(
  expression: Extract<Expression, { kind: 'aggregate' }>,
  samples: readonly Sample[],
): Sample[] {
  const groups = new Map<string, { labels: Record<string, string>; values: number[] }>();
  for (const sample of samples) {
    const kept = Object.entries(sample.labels).filter(([name]) => expression.by.includes(name));
    const labels: Record<string, string> = Object.fromEntries(kept);
    const group = groups.get(keyOf(labels)) ?? { labels, values: [] };
    group.values.push(sample.value);
    groups.set(keyOf(labels), group);
  }
  return [...groups.values()].map(({ labels, values }) => ({
    labels,
    value: combine(expression.how, values),
  }));
}

function calculate(operator: string, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    default:
      return left / right;
  }
}

/** Vectors are matched one to one on equal labels, as PromQL does without modifiers. */
function arithmetic(operator: string, left: Value, right: Value): Value {
  if (typeof left === 'number' && typeof right === 'number') return calculate(operator, left, right);
  if (typeof right === 'number')
    return vector(left).map((one) => ({ ...one, value: calculate(operator, one.value, right) }));
  if (typeof left === 'number')
    return right.map((one) => ({ ...one, value: calculate(operator, left, one.value) }));
  const others = new Map(right.map(({ labels, value }) => [keyOf(labels), value]));
  return left.flatMap(({ labels, value }) => {
    const other = others.get(keyOf(labels));
    return other === undefined ? [] : [{ labels, value: calculate(operator, value, other) }];
  });
}

function vector(value: Value): Sample[] {
  if (typeof value === 'number') throw new Refusal(501, 'not simulated: PromQL aggregation of a scalar');
  return value;
}

/** The value of an expression at a time in milliseconds. Only a bare selector keeps the series' name. */
export function evaluate(source: Source, expression: Expression, at: number): Value {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'selector':
      return select(source, expression, at).map(({ labels, value }) => ({
        labels: { __name__: expression.name, ...labels },
        value,
      }));
    case 'rate':
      return rate(source, expression, at);
    case 'aggregate':
      return aggregate(expression, vector(evaluate(source, expression.of, at)));
    case 'arithmetic': {
      const sides = [expression.left, expression.right].map((side) =>
        withoutNames(evaluate(source, side, at)),
      );
      return arithmetic(expression.operator, sides[0] ?? 0, sides[1] ?? 0);
    }
  }
}

function withoutNames(value: Value): Value {
  if (typeof value === 'number') return value;
  return value.map(({ labels: { __name__: _, ...labels }, value: number }) => ({ labels, value: number }));
}
