/**
 * Is the process that wrote this number still the one that has it? Process ids are used again, so an id alone
 * proves nothing; an id together with the moment at which its process started does.
 */
import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PS_TIMEOUT_MS = 5_000;

/**
 * A text that no other process with this id ever has: the boot and the tick at which it started (Linux), or its
 * start time to the second (elsewhere). Undefined when there is no such process, or only its unburied remains.
 */
export async function startOfProcess(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return startByPs(pid);
  const [bootId, stat] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined),
  ]);
  // "pid (name) state …": the name may hold blanks and brackets, so the fields are counted from its last bracket.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTick] = [fields?.[0], fields?.[19]];
  if (state === undefined || startTick === undefined || state === 'Z' || state === 'X') return undefined;
  return `${bootId.trim()}/${startTick}`;
}

/** True when the process is a PostgreSQL server whose working directory is `dataDir`, as that of every postmaster is. */
export async function servesDataDir(pid: number, dataDir: string): Promise<boolean> {
  if (process.platform !== 'linux') {
    const command = await ps(pid, 'command=');
    return command !== undefined && /\bpostgres\b/.test(command) && command.includes(dataDir);
  }
  const workingDir = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  // The folder may have been removed below a server that still runs.
  return workingDir?.replace(/ \(deleted\)$/, '') === dataDir && /(^|\/)postgres\0/.test(command);
}

async function startByPs(pid: number): Promise<string | undefined> {
  const state = await ps(pid, 'state=');
  if (state === undefined || state.startsWith('Z')) return undefined;
  return ps(pid, 'lstart=');
}

async function ps(pid: number, column: string): Promise<string | undefined> {
  try {
    const { stdout } = await run('/bin/ps', ['-o', column, '-p', String(pid)], {
      timeout: PS_TIMEOUT_MS,
      env: { LC_ALL: 'C' },
    });
    return stdout.trim() || undefined;
  } catch {
    return undefined; // ps fails exactly when there is no such process.
  }
}
