/**
 * What does a query ask for? A small part of PromQL: selectors with matchers, rate and its kin, aggregations, and
 * arithmetic. Whatever else PromQL has is refused by name, so that no query is ever answered wrongly.
 */
import { parseGoDuration } from './go-duration.ts';
import { Refusal } from './refusal.ts';

export interface Matcher {
  readonly label: string;
  readonly operator: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

export interface Selector {
  readonly kind: 'selector';
  readonly name: string;
  readonly matchers: readonly Matcher[];
}

export type Expression =
  | Selector
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'rate'; readonly of: Selector; readonly windowMs: number; readonly perSecond: boolean }
  | {
      readonly kind: 'aggregate';
      readonly how: (typeof AGGREGATIONS)[number];
      readonly of: Expression;
      readonly by: readonly string[];
    }
  | {
      readonly kind: 'arithmetic';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    };

const AGGREGATIONS = ['sum', 'avg', 'min', 'max', 'count'] as const;
const RATES = ['rate', 'irate', 'increase'];

const TOKEN =
  /\s*(?:(?<number>[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)(?![a-z])|(?<word>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<window>\[[^\]]*\])|(?<sign>=~|!~|!=|[=(){},+*/-]))/y;

/** Longer queries are refused: nothing here needs them. */
const LONGEST_QUERY = 4096;

interface Token {
  readonly kind: 'number' | 'word' | 'text' | 'window' | 'sign';
  readonly text: string;
}

function notSimulated(what: string): Refusal {
  return new Refusal(501, `not simulated: PromQL ${what}`);
}

function tokens(query: string): Token[] {
  if (query.length > LONGEST_QUERY) throw notSimulated('query of that length');
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < query.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const groups = TOKEN.exec(query)?.groups ?? {};
    const kind = (['number', 'word', 'text', 'window', 'sign'] as const).find(
      (name) => groups[name] !== undefined,
    );
    if (kind === undefined) throw notSimulated(`at "${query.slice(at, at + 20).trim()}"`);
    found.push({ kind, text: groups[kind] ?? '' });
  }
  return found;
}

/** Recursive descent over the tokens; every function takes what it understands and leaves the rest. */
class Parser {
  private readonly tokens: readonly Token[];
  private position = 0;

  constructor(query: string) {
    this.tokens = tokens(query);
  }

  parse(): Expression {
    const expression = this.sum();
    if (this.position < this.tokens.length)
      throw notSimulated(`at "${this.tokens[this.position]?.text ?? ''}"`);
    return expression;
  }

  private take(text: string): boolean {
    if (this.tokens[this.position]?.text !== text) return false;
    this.position += 1;
    return true;
  }

  private expect(kind: Token['kind'], text?: string): string {
    const token = this.tokens[this.position];
    if (token?.kind !== kind || (text !== undefined && token.text !== text)) {
      throw notSimulated(`at "${token?.text ?? 'the end'}"`);
    }
    this.position += 1;
    return token.text;
  }

  private chain(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((candidate) => this.take(candidate));
      if (operator === undefined) return left;
      left = { kind: 'arithmetic', operator, left, right: operand() };
    }
  }

  private sum(): Expression {
    return this.chain(['+', '-'], () => this.chain(['*', '/'], () => this.operand()));
  }

  private operand(): Expression {
    const token = this.tokens[this.position];
    if (this.take('(')) {
      const inner = this.sum();
      this.expect('sign', ')');
      return inner;
    }
    if (token?.kind === 'number') return { kind: 'number', value: Number(this.expect('number')) };
    const how = AGGREGATIONS.find((name) => name === token?.text);
    if (how !== undefined) return this.aggregate(how);
    if (token !== undefined && RATES.includes(token.text)) return this.rate();
    return this.selector();
  }

  private aggregate(how: (typeof AGGREGATIONS)[number]): Expression {
    this.position += 1;
    const before = this.labels();
    this.expect('sign', '(');
    const of = this.sum();
    this.expect('sign', ')');
    return { kind: 'aggregate', how, of, by: before ?? this.labels() ?? [] };
  }

  private labels(): string[] | undefined {
    if (!this.take('by')) return undefined;
    this.expect('sign', '(');
    const names: string[] = [];
    while (!this.take(')')) {
      names.push(this.expect('word'));
      this.take(',');
    }
    return names;
  }

  private rate(): Expression {
    const name = this.expect('word');
    this.expect('sign', '(');
    const of = this.selector();
    const window = this.expect('window').slice(1, -1);
    this.expect('sign', ')');
    const nanoseconds = parseGoDuration(
      window.replace(/^([0-9]+)d$/, (_, days: string) => `${Number(days) * 24}h`),
    );
    if (nanoseconds === undefined || nanoseconds <= 0) throw notSimulated(`window [${window}]`);
    return { kind: 'rate', of, windowMs: nanoseconds / 1e6, perSecond: name !== 'increase' };
  }

  private selector(): Selector {
    const name = this.expect('word');
    if (this.tokens[this.position]?.text === '(') throw notSimulated(`function ${name}`);
    const matchers: Matcher[] = [];
    if (!this.take('{')) return { kind: 'selector', name, matchers };
    while (!this.take('}')) {
      const label = this.expect('word');
      const operator = (['=~', '!~', '!=', '='] as const).find((candidate) => this.take(candidate));
      if (operator === undefined) throw notSimulated(`matcher of "${label}"`);
      const value = this.expect('text').slice(1, -1).replace(/\\(.)/g, '$1');
      matchers.push({ label, operator, value });
      this.take(',');
    }
    return { kind: 'selector', name, matchers };
  }
}

/** Takes a query apart; refuses with 501 what is not simulated. */
export function parsePromql(query: string): Expression {
  return new Parser(query).parse();
}
