import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeap, type HeapNode } from '../../src/controller/heap.ts';

describe('a heap', () => {
  it('is empty at first', () => {
    const heap = createHeap<number>((a, b) => a < b);
    expect(heap.size).toBe(0);
    expect(heap.first()).toBeUndefined();
  });

  it('always shows the smallest item, whatever was added and taken from the middle', () => {
    const operations = fc.array(
      fc.oneof(
        {
          weight: 60,
          arbitrary: fc.record({ kind: fc.constant('add' as const), value: fc.integer({ min: 0, max: 50 }) }),
        },
        { weight: 30, arbitrary: fc.record({ kind: fc.constant('remove' as const), value: fc.nat() }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), value: fc.constant(0) }) },
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(operations, (steps) => {
        const heap = createHeap<number>((a, b) => a < b);
        let model: HeapNode<number>[] = [];
        for (const { kind, value } of steps) {
          if (kind === 'add') model.push(heap.add(value));
          if (kind === 'remove' && model.length > 0) {
            const [node] = model.splice(value % model.length, 1);
            heap.remove(node!);
          }
          if (kind === 'clear') {
            heap.clear();
            model = [];
          }
          expect(heap.size).toBe(model.length);
          expect(heap.first()).toBe(
            model.length > 0 ? Math.min(...model.map((node) => node.item)) : undefined,
          );
        }
      }),
    );
  });

  it('stays in order when the item that fills a gap belongs further up', () => {
    const heap = createHeap<number>((a, b) => a < b);
    const nodes = new Map([1, 10, 2, 11, 12, 3, 4].map((item) => [item, heap.add(item)]));
    heap.remove(nodes.get(11)!);
    for (const item of [20, 21, 22]) heap.add(item);
    for (const item of [1, 2, 3]) heap.remove(nodes.get(item)!);
    expect(heap.first()).toBe(4);
  });

  it('ignores the removal of an item that has already left', () => {
    const heap = createHeap<number>((a, b) => a < b);
    const node = heap.add(1);
    heap.add(2);
    heap.remove(node);
    heap.remove(node);
    expect(heap.size).toBe(1);
    expect(heap.first()).toBe(2);
  });

  it('ignores the removal of an item that was cleared away, also when others have come since', () => {
    const heap = createHeap<number>((a, b) => a < b);
    const node = heap.add(1);
    heap.clear();
    heap.add(2);
    heap.remove(node);
    expect(heap.first()).toBe(2);
  });
});
