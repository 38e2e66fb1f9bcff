/**
 * Which route is meant by a method and a path? A tree of path segments, so that looking up costs the length of
 * the path and not the number of routes. `{name}` stands for one segment, `{name+}` for one or more.
 */

export interface Router<Route> {
  /** The route and what its placeholders stand for (decoded); undefined when nothing matches. */
  find(method: string, path: string): { route: Route; params: Record<string, string> } | undefined;
}

interface Node<Route> {
  readonly literals: Map<string, Node<Route>>;
  placeholder?: Node<Route>;
  greedy?: Node<Route>;
  /** By method, with the names of the placeholders on the way. */
  readonly routes: Map<string, { route: Route; names: readonly string[] }>;
}

function emptyNode<Route>(): Node<Route> {
  return { literals: new Map(), routes: new Map() };
}

function childFor<Route>(node: Node<Route>, segment: string): Node<Route> {
  if (segment.startsWith('{')) {
    return segment.endsWith('+}') ? (node.greedy ??= emptyNode()) : (node.placeholder ??= emptyNode());
  }
  const child = node.literals.get(segment) ?? emptyNode<Route>();
  node.literals.set(segment, child);
  return child;
}

/** What is being looked up; `values` fills with what the placeholders on the way stand for. */
interface Lookup {
  readonly segments: readonly string[];
  readonly method: string;
  readonly values: string[];
}

/** Literal segments win over placeholders, and those over greedy ones; the first complete match is taken. */
function walk<Route>(node: Node<Route>, from: number, lookup: Lookup): Node<Route> | undefined {
  const { segments, method, values } = lookup;
  const segment = segments[from];
  if (segment === undefined) return node.routes.has(method) ? node : undefined;
  const literal = node.literals.get(segment);
  const found = literal === undefined ? undefined : walk(literal, from + 1, lookup);
  if (found !== undefined) return found;
  const taken = values.length;
  if (node.placeholder !== undefined && segment !== '') {
    values.push(segment);
    const below = walk(node.placeholder, from + 1, lookup);
    if (below !== undefined) return below;
    values.length = taken;
  }
  for (let end = from + 1; node.greedy !== undefined && end <= segments.length; end++) {
    values.push(segments.slice(from, end).join('/'));
    const below = walk(node.greedy, end, lookup);
    if (below !== undefined) return below;
    values.length = taken;
  }
  return undefined;
}

function decode(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Longer paths than any route has are not looked at. */
const MOST_SEGMENTS = 24;

export function createRouter<Route>(
  table: Iterable<{ method: string; path: string; route: Route }>,
): Router<Route> {
  const root = emptyNode<Route>();
  for (const { method, path, route } of table) {
    const segments = path.slice(1).split('/');
    const names = segments
      .filter((segment) => segment.startsWith('{'))
      .map((segment) => segment.replace(/[{}+]/g, ''));
    segments.reduce(childFor<Route>, root).routes.set(method, { route, names });
  }
  return {
    find(method, path) {
      const segments = path.slice(1).split('/');
      if (segments.length > MOST_SEGMENTS) return undefined;
      const values: string[] = [];
      const entry = walk(root, 0, { segments, method, values })?.routes.get(method);
      if (entry === undefined) return undefined;
      const params: Record<string, string> = {};
      for (const [index, name] of entry.names.entries()) params[name] = decode(values[index] ?? '');
      return { route: entry.route, params };
    },
  };
}
