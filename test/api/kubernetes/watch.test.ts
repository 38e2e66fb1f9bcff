/** Does a watch tell every change once, in order, and end when it should? On a real socket. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { metric, openStream, type StreamClient } from '../client.ts';
import { manifest, openHarness, ROOT, TENANTS, type Body, type Harness } from '../harness.ts';

let harness: Harness;
const open: StreamClient[] = [];
beforeAll(async () => {
  harness = await openHarness();
});
afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await noStreams();
  for (const { metadata } of (await harness.store.list()).items) await harness.store.delete(metadata);
});
afterAll(() => harness.close());

const OPEN_WATCHES = 'landlord_http_streams{kind="watch"}';
const noStreams = () =>
  eventually(async () => (await metric(harness, OPEN_WATCHES)) === 0, {
    what: 'every watch to end',
    intervalMs: 5,
  });

async function watch(query: string, path = TENANTS): Promise<StreamClient> {
  const client = await openStream(harness, {
    caller: 'operator',
    path: `${path}?watch=1&${query}`,
    separator: '\n',
  });
  open.push(client);
  expect(client.status).toBe(200);
  return client;
}

interface WatchEvent {
  readonly type: string;
  readonly object: Body;
}

async function event(client: StreamClient): Promise<WatchEvent> {
  const line = await client.next();
  if (line === undefined) throw new Error('the watch has ended');
  return JSON.parse(line) as WatchEvent;
}

/** The next change in short. */
async function change(client: StreamClient): Promise<string> {
  const { type, object } = await event(client);
  return `${type} ${object.metadata.name}`;
}

const newest = async (): Promise<string> => (await harness.store.list()).resourceVersion;
const label = (name: string, labels: object) =>
  harness.call('operator', 'PATCH', `${TENANTS}/${name}`, {
    body: { metadata: { labels } },
    headers: { 'content-type': 'application/merge-patch+json' },
  });

describe('a watch', () => {
  it.each(['', 'resourceVersion=0', 'resourceVersion='])(
    'from "%s" tells what is there, then what comes',
    async (query) => {
      await harness.seed('old');
      const client = await watch(query);
      expect(client.contentType).toContain('application/json');
      expect(await change(client)).toBe('ADDED old');
      const created = await harness.seed('new');
      expect(await event(client)).toEqual({ type: 'ADDED', object: created });
      await label('new', { a: '1' });
      expect(await change(client)).toBe('MODIFIED new');
      await harness.store.delete({ namespace: 'default', name: 'old' });
      expect(await change(client)).toBe('DELETED old');
    },
  );

  it('from a version tells only what came after it', async () => {
    await harness.seed('before');
    const resourceVersion = await newest();
    await harness.seed('after');
    expect(await change(await watch(`resourceVersion=${resourceVersion}`))).toBe('ADDED after');
  });

  it('is confirmed before anything has happened', async () => {
    const client = await watch(`resourceVersion=${await newest()}`);
    expect(client.status).toBe(200);
  });

  it('gives each change a newer version, from which it can be resumed', async () => {
    const client = await watch('');
    await harness.seed('one');
    await harness.seed('two');
    const first = await event(client);
    client.close();
    const resumed = await watch(`resourceVersion=${first.object.metadata.resourceVersion}`);
    expect(await change(resumed)).toBe('ADDED two');
  });

  it('of one namespace does not tell of another', async () => {
    const client = await watch('', `${ROOT}/namespaces/default/tenants`);
    await harness.call('operator', 'POST', `${ROOT}/namespaces/other/tenants`, {
      body: manifest('elsewhere'),
    });
    await harness.seed('here');
    expect(await change(client)).toBe('ADDED here');
    const all = await watch('', `${ROOT}/tenants`);
    expect([await change(all), await change(all)].sort()).toEqual(['ADDED elsewhere', 'ADDED here']);
  });

  it('of one name tells of that one', async () => {
    await harness.seed('other');
    const client = await watch('fieldSelector=metadata.name%3Dwanted');
    await harness.seed('another');
    await harness.seed('wanted');
    expect(await change(client)).toBe('ADDED wanted');
  });

  it('of a label tells who enters and who leaves', async () => {
    await harness.seed('in', { labels: { tier: 'gold' } });
    await harness.seed('out');
    const client = await watch('labelSelector=tier%3Dgold');
    expect(await change(client)).toBe('ADDED in');
    await label('out', { tier: 'gold' });
    expect(await change(client)).toBe('ADDED out');
    await label('out', { more: 'yes' });
    expect(await change(client)).toBe('MODIFIED out');
    await label('in', { tier: 'iron' });
    expect(await change(client)).toBe('DELETED in');
    await label('in', { tier: 'lead' });
    await harness.store.delete({ namespace: 'default', name: 'in' });
    await harness.store.delete({ namespace: 'default', name: 'out' });
    expect(await change(client)).toBe('DELETED out');
  });

  it('of a label from a version tells of the leaving of one that the client knows from its list', async () => {
    await harness.seed('left', { labels: { tier: 'gold' } });
    await harness.seed('leaves', { labels: { tier: 'gold' } });
    const resourceVersion = await newest();
    await label('left', { tier: 'iron' });
    const client = await watch(`labelSelector=tier%3Dgold&resourceVersion=${resourceVersion}`);
    expect(await change(client)).toBe('DELETED left');
    await label('leaves', { tier: 'iron' });
    expect(await change(client)).toBe('DELETED leaves');
  });

  it('of a label from a version says nothing of tenants that never had it', async () => {
    await harness.seed('never');
    await harness.seed('gold', { labels: { tier: 'gold' } });
    const client = await watch(
      `labelSelector=tier%3Dgold&allowWatchBookmarks=true&resourceVersion=${await newest()}`,
    );
    expect((await event(client)).type).toBe('BOOKMARK');
    await label('never', { more: 'yes' });
    await label('gold', { more: 'yes' });
    expect(await change(client)).toBe('MODIFIED gold');
  });

  it('sends bookmarks only to whoever allows them', async () => {
    await harness.seed('one');
    const resourceVersion = await newest();
    const allowed = await watch(`resourceVersion=${resourceVersion}&allowWatchBookmarks=true`);
    const bookmark = await event(allowed);
    expect(bookmark.type).toBe('BOOKMARK');
    expect(bookmark.object).toMatchObject({ kind: 'Tenant', metadata: { resourceVersion } });
    const plain = await watch(`resourceVersion=${resourceVersion}`);
    await harness.seed('two');
    expect(await change(plain)).toBe('ADDED two');
  });

  it('marks the end of the initial events for whoever streams them instead of listing', async () => {
    await harness.seed('one');
    const client = await watch(
      'sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan',
    );
    expect(await change(client)).toBe('ADDED one');
    expect(await event(client)).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
  });

  it('from a version that is too old ends with a 410, after which the client lists anew', async () => {
    const resourceVersion = await newest();
    for (const name of ['one', 'two', 'three']) await harness.seed(name);
    await harness.compact();
    const client = await watch(`resourceVersion=${resourceVersion}`);
    expect(await event(client)).toMatchObject({
      type: 'ERROR',
      object: { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410 },
    });
    expect(await client.next()).toBeUndefined();
  });

  it('from something that is no version is refused', async () => {
    const client = await watch('resourceVersion=yesterday');
    expect(await event(client)).toMatchObject({ type: 'ERROR', object: { kind: 'Status' } });
    expect(await client.next()).toBeUndefined();
  });

  it('ends cleanly after the time that the client asked for', async () => {
    const client = await watch('timeoutSeconds=60');
    await harness.clock.advance(59_000);
    await harness.seed('late');
    expect(await change(client)).toBe('ADDED late');
    await harness.clock.advance(1_000);
    expect(await client.next()).toBeUndefined();
  });

  it('ends by itself within the hour when the client asked for nothing', async () => {
    const client = await watch('');
    await harness.clock.advance(60 * 60_000);
    expect(await client.next()).toBeUndefined();
  });

  it('leaves nothing behind when the client goes', async () => {
    const timers = harness.clock.timers;
    const client = await watch('');
    expect(await metric(harness, OPEN_WATCHES)).toBe(1);
    client.close();
    await noStreams();
    expect(harness.clock.timers).toBe(timers);
  });
});
