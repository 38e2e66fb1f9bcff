/**
 * What can be bought? Plans as the operator writes them in a YAML file, and the book of plans in the database that
 * the file is applied to. What leaves the file is no longer offered, but is kept for those who have it.
 */
import { readFile } from 'node:fs/promises';
import type { Transaction } from 'kysely';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import type { Database } from '../database/connection.ts';
import { attempt } from '../database/errors.ts';
import { LARGEST_VOLUME_GB, MEMORY_SIZES_MB } from '../tenant/schema.ts';
import type { AccountDatabase, AccountTables } from './tables.ts';

const days = z.number().min(0).max(365);

export const planSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be lowercase letters, digits and dashes'),
  name: z.string().min(1).max(64),
  /** Size of a new tenant's machine, and the most that its owner may scale it to. */
  memoryMb: z.literal(MEMORY_SIZES_MB),
  volumeGb: z.int().min(1).max(LARGEST_VOLUME_GB),
  /** How many tenants one customer may have on this plan; absent: any number. */
  maxTenants: z.int().min(1).optional(),
  prices: z
    .array(
      z.strictObject({
        /** Paddle's id of the price. */
        id: z.string().regex(/^pri_[a-z0-9_]{1,120}$/, 'must be the id of a price at Paddle (pri_…)'),
        /** In the smallest unit of the currency, such as cents. For people: Paddle's own price is what is charged. */
        amount: z.int().min(0),
        currency: z.string().regex(/^[A-Z]{3}$/, 'must be a currency code such as USD'),
        interval: z.enum(['day', 'week', 'month', 'year']),
      }),
    )
    .min(1)
    .max(10),
  grace: z.strictObject({ pastDueDays: days, pausedDays: days, canceledDays: days }),
});

export const planListSchema = z
  .strictObject({ plans: z.array(planSchema).max(50) })
  .superRefine(({ plans }, context) => {
    for (const [what, ids] of [
      ['plan', plans.map(({ id }) => id)],
      ['price', plans.flatMap(({ prices }) => prices.map(({ id }) => id))],
    ] as const)
      for (const id of ids.filter((candidate, index) => ids.indexOf(candidate) !== index))
        context.addIssue({ code: 'custom', path: ['plans'], message: `has the ${what} "${id}" twice` });
  });

export type Plan = Readonly<z.infer<typeof planSchema>>;
export type PlanList = Readonly<z.infer<typeof planListSchema>>;

export interface PlanBook {
  /** What is offered now, in the order of the file. */
  offered(): Promise<readonly Plan[]>;
  /** Also what is no longer offered. */
  find(id: string): Promise<Plan | undefined>;
  /** The plan that a price is offered with; undefined when it cannot be bought. */
  offeredAt(priceId: string): Promise<Plan | undefined>;
  /** Makes these the plans on offer, all at once. */
  apply(list: PlanList): Promise<void>;
}

/** Reads a file of plans. Throws an Error that lists everything that is wrong with it. */
export async function readPlans(file: string | URL): Promise<PlanList> {
  const problem = (cause: string): Error => new Error(`cannot read the plans in "${String(file)}": ${cause}`);
  let document: unknown;
  try {
    document = parseYaml(await readFile(file, 'utf8'));
  } catch (error) {
    throw problem(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error));
  }
  const parsed = planListSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw problem(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
}

export function createPlanBook(database: Database): PlanBook {
  const db: AccountDatabase = database.db.withTables<AccountTables>();
  const plan = (row: { document: unknown } | undefined): Plan | undefined =>
    row && planSchema.parse(row.document);
  return {
    offered: () =>
      attempt('list the plans', async () => {
        const rows = await db
          .selectFrom('plans')
          .select('document')
          .where('offered', '=', true)
          .orderBy('position')
          .execute();
        return rows.map(({ document }) => planSchema.parse(document));
      }),
    find: (id) =>
      attempt(`find plan "${id}"`, async () =>
        plan(await db.selectFrom('plans').select('document').where('id', '=', id).executeTakeFirst()),
      ),
    offeredAt: (priceId) =>
      attempt(`find the plan of price "${priceId}"`, async () => {
        const row = await db
          .selectFrom('plan_prices')
          .innerJoin('plans', 'plans.id', 'plan_prices.plan_id')
          .select('plans.document')
          .where('plan_prices.id', '=', priceId)
          .where('plans.offered', '=', true)
          .executeTakeFirst();
        const found = plan(row);
        // A price can have left a plan that is still offered.
        return found?.prices.some(({ id }) => id === priceId) === true ? found : undefined;
      }),
    apply: (list) =>
      attempt('apply the plans', () =>
        db.transaction().execute((transaction) => applyAll(transaction, list)),
      ),
  };
}

async function applyAll(transaction: Transaction<AccountTables>, { plans }: PlanList): Promise<void> {
  await transaction.updateTable('plans').set({ offered: false }).execute();
  for (const [position, plan] of plans.entries()) {
    const row = { document: JSON.stringify(plan), position, offered: true };
    await transaction
      .insertInto('plans')
      .values({ id: plan.id, ...row })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
      .execute();
    await transaction
      .insertInto('plan_prices')
      .values(plan.prices.map(({ id }) => ({ id, plan_id: plan.id })))
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet((eb) => ({ plan_id: eb.ref('excluded.plan_id') })),
      )
      .execute();
  }
}
