/**
 * Which item comes first? A binary heap whose items can also be taken from the middle: adding, removing and
 * moving cost O(log n), looking at the first costs nothing.
 */

/** Where an item sits in a heap; whoever added it keeps this to remove it again. */
export interface HeapNode<T> {
  readonly item: T;
  /** Position in the heap, -1 once it has left. */
  index: number;
}

export interface Heap<T> {
  readonly size: number;
  /** The item that comes before all others. */
  first(): T | undefined;
  add(item: T): HeapNode<T>;
  /** Does nothing when the node has already left. */
  remove(node: HeapNode<T>): void;
  clear(): void;
}

/** `before(a, b)` must be a strict total order that does not change while both items are in the heap. */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  let nodes: HeapNode<T>[] = [];

  function place(node: HeapNode<T>, index: number): void {
    nodes[index] = node;
    node.index = index;
  }

  /** Moves the node toward the top until its parent comes before it. */
  function rise(node: HeapNode<T>): void {
    while (node.index > 0) {
      const above = nodes[(node.index - 1) >> 1];
      if (above === undefined || !before(node.item, above.item)) return;
      const index = above.index;
      place(above, node.index);
      place(node, index);
    }
  }

  /** Moves the node toward the bottom until it comes before both of its children. */
  function sink(node: HeapNode<T>): void {
    for (;;) {
      const left = nodes[2 * node.index + 1];
      const right = nodes[2 * node.index + 2];
      const child = left && right && before(right.item, left.item) ? right : left;
      if (child === undefined || !before(child.item, node.item)) return;
      const index = child.index;
      place(child, node.index);
      place(node, index);
    }
  }

  return {
    get size() {
      return nodes.length;
    },
    first: () => nodes[0]?.item,
    add(item) {
      const node = { item, index: nodes.length };
      nodes.push(node);
      rise(node);
      return node;
    },
    remove(node) {
      if (node.index === -1) return;
      const last = nodes.pop();
      if (last !== undefined && last !== node) {
        place(last, node.index);
        rise(last);
        sink(last);
      }
      node.index = -1;
    },
    clear() {
      for (const node of nodes) node.index = -1;
      nodes = [];
    },
  };
}
