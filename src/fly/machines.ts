/**
 * What can be asked of Fly's machines? Lifecycle and reading; waiting is in `machine-wait.ts`, the lease in
 * `machine-lease.ts`, metadata and events in `machine-records.ts`.
 */
import { z } from 'zod';
import { json, nothing, RefusedWithin, type Call, type Transport } from './call.ts';
import { listOf, machineSchema, wire } from './decode.ts';
import type { FlyMachines, MachineTarget } from './fly.ts';
import type { HttpAnswer } from './http.ts';
import { PACE, type Rate } from './limiter.ts';
import { createMachineLease } from './machine-lease.ts';
import { createMachineRecords } from './machine-records.ts';
import { createMachineWait } from './machine-wait.ts';
import { machinePath, nonceHeader } from './machine-target.ts';

/** Fly's limit of reading one machine is wider than that of anything else: 5/s with a burst of 10. */
const GET_RATE: Rate = { perSecond: 5 * PACE, burst: 10 };

const startedSchema = wire<{ status?: string; message?: string }>({
  status: z.string().optional(),
  message: z.string().optional(),
});

export function createMachines(transport: Transport): FlyMachines {
  const lifecycle =
    (verb: 'start' | 'stop' | 'suspend' | 'restart', decode: (answer: HttpAnswer) => void) =>
    (target: MachineTarget, signal: AbortSignal) =>
      transport(lifecycleCall(target, verb, decode), signal);

  return {
    list: (app, signal) =>
      transport(
        {
          operation: 'Machines_list',
          subject: ['list', 'machines of app', app],
          path: ['apps', app, 'machines'],
          limit: { id: app },
          decode: (answer) =>
            json(listOf(machineSchema))(answer).filter(({ state }) => state !== 'destroyed'),
          means: { 404: () => undefined },
        },
        signal,
      ),
    get: (target, signal) =>
      transport(
        {
          operation: 'Machines_show',
          subject: ['read', 'machine', target.machineId],
          path: machinePath(target),
          limit: { id: target.machineId, rate: GET_RATE },
          decode: json(machineSchema),
          means: { 404: () => undefined },
        },
        signal,
      ),
    create: (app, request, signal) =>
      transport(
        {
          operation: 'Machines_create',
          subject: ['create', 'machine', request.name],
          method: 'POST',
          path: ['apps', app, 'machines'],
          body: request,
          limit: { id: app },
          decode: json(machineSchema),
        },
        signal,
      ),
    update: (target, request, signal) =>
      transport(
        {
          operation: 'Machines_update',
          subject: ['update', 'machine', target.machineId],
          method: 'POST',
          path: machinePath(target),
          headers: nonceHeader(target),
          body: request,
          limit: { id: target.machineId },
          decode: json(machineSchema),
        },
        signal,
      ),
    start: lifecycle('start', started),
    stop: lifecycle('stop', nothing),
    suspend: lifecycle('suspend', nothing),
    restart: lifecycle('restart', nothing),
    destroy: (target, signal) => transport(destroyCall(target), signal),
    ...createMachineWait(transport),
    ...createMachineLease(transport),
    ...createMachineRecords(transport),
  };
}

function lifecycleCall(
  target: MachineTarget,
  verb: 'start' | 'stop' | 'suspend' | 'restart',
  decode: (answer: HttpAnswer) => void,
): Call<void> {
  return {
    operation: `Machines_${verb}`,
    subject: [verb, 'machine', target.machineId],
    method: 'POST',
    path: machinePath(target, verb),
    headers: nonceHeader(target),
    limit: { id: target.machineId },
    decode,
  };
}

function destroyCall(target: MachineTarget): Call<void> {
  return {
    operation: 'Machines_delete',
    subject: ['destroy', 'machine', target.machineId],
    method: 'DELETE',
    path: machinePath(target),
    query: { force: true },
    headers: nonceHeader(target),
    limit: { id: target.machineId },
    decode: nothing,
  };
}

/** A start that was refused may come as a 200 whose body says so. */
function started(answer: HttpAnswer): void {
  const { status, message } = json(startedSchema)(answer);
  if (status === 'error') throw new RefusedWithin(message ?? '');
}
