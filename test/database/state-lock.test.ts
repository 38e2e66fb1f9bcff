import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startOfProcess } from '../../src/database/process-identity.ts';
import { lockStateDir, StateLockedError } from '../../src/database/state-lock.ts';
import { runProgram } from '../support/programs.ts';

const HOLDER = new URL('fixtures/lock-holder.ts', import.meta.url);

describe('the lock of the state folder', () => {
  let parent: string;
  let stateDir: string;

  beforeEach(async () => {
    parent = await mkdtemp(path.join(tmpdir(), 'landlord-lock-'));
    stateDir = path.join(parent, 'deep', 'state');
  });
  afterEach(() => rm(parent, { recursive: true }));

  const locks = async () => (await readdir(stateDir)).filter((name) => name.startsWith('landlord.lock'));

  it('makes the folder, and lets others pass through but not look around', async () => {
    await lockStateDir(stateDir);
    expect((await stat(stateDir)).mode & 0o777).toBe(0o711);
  });

  it('refuses a second Landlord, and names the first', async () => {
    const first = await runProgram(HOLDER, { args: [stateDir] });
    expect(first.firstLine).toBe('locked');
    await expect(lockStateDir(stateDir)).rejects.toThrow(StateLockedError);
    await expect(lockStateDir(stateDir)).rejects.toThrow(
      `another Landlord (process ${first.child.pid}) is using it`,
    );
    await first.end('SIGKILL');
  });

  it('is free again after the holder was killed', async () => {
    const first = await runProgram(HOLDER, { args: [stateDir] });
    await first.end('SIGKILL');
    await (await lockStateDir(stateDir)).release();
  });

  it('goes to exactly one of many who come at once, whether it is new, released or stale', async () => {
    for (let round = 0; round < 20; round += 1) {
      if (round % 3 === 1) await writeFile(path.join(stateDir, `landlord.lock.${round * 100}`), 'half a fi');
      const results = await Promise.allSettled(Array.from({ length: 12 }, () => lockStateDir(stateDir)));
      const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(won).toHaveLength(1);
      await expect(lockStateDir(stateDir)).rejects.toThrow(StateLockedError);
      await won[0]?.release();
    }
    // The winner clears away what the others have left; a draft of the last round may still be on its way out.
    await lockStateDir(stateDir);
    expect(await locks()).toHaveLength(1);
  });

  it('is not fooled by another process that was given the number of the holder', async () => {
    await lockStateDir(stateDir).then((lock) => lock.release());
    const [name = ''] = await locks();
    const holder = { pid: process.pid, start: 'another life' };
    await writeFile(path.join(stateDir, name), JSON.stringify(holder));
    await lockStateDir(stateDir);
    expect(await locks()).toHaveLength(1);
    const [taken = ''] = await locks();
    expect(JSON.parse(await readFile(path.join(stateDir, taken), 'utf8'))).toEqual({
      pid: process.pid,
      start: await startOfProcess(process.pid),
    });
  });

  it('says so when the folder is a file', async () => {
    await writeFile(path.join(parent, 'deep'), '');
    await expect(lockStateDir(path.join(parent, 'deep'))).rejects.toThrow(/EEXIST|is a file/);
  });
});
