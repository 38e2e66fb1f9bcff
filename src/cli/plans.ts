/** How does an operator change what can be bought, while the daemons run? By applying the file of plans anew. */
import { readPlans, type Plan, type PlanBook } from '../accounts/plans.ts';
import type { Terminal } from './terminal.ts';

/** Prints a line for each plan on offer. */
export async function showPlans(book: PlanBook, terminal: Terminal): Promise<void> {
  const plans = await book.offered();
  for (const plan of plans) terminal.print(line(plan));
  if (plans.length === 0)
    terminal.print('nothing is on offer; apply a file with `landlord plans apply <file>`');
}

/**
 * Makes the plans of the file the ones on offer, all at once, and prints them. Throws an Error that lists everything
 * that is wrong with the file; then nothing has changed.
 */
export async function applyPlans(
  book: PlanBook,
  { file, terminal }: { readonly file: string; readonly terminal: Terminal },
): Promise<void> {
  await book.apply(await readPlans(file));
  await showPlans(book, terminal);
}

function line({ id, name, memoryMb, volumeGb, prices }: Plan): string {
  const money = prices.map(({ amount, currency, interval }) => {
    const format = new Intl.NumberFormat('en', { style: 'currency', currency });
    const { maximumFractionDigits = 2 } = format.resolvedOptions();
    return `${format.format(amount / 10 ** maximumFractionDigits)} a ${interval}`;
  });
  return [id, name, `${memoryMb} MB`, `${volumeGb} GB`, money.join(', ')].join('\t');
}
