/** One of the processes among which `cores.ts` shares the seeds: lives the slices that it is sent, and answers each. */
import { live, type Slice } from './tally.ts';

process.on('message', (slice) => {
  // An edge: it comes from cores.ts.
  void live(slice as Slice).then((tally) => process.send?.(tally));
});
// Whoever sent it away, or died, wants nothing more.
process.on('disconnect', () => process.exit());
