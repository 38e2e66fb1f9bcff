/** Who asked the test cluster's API server for what, and what was answered? */
import { z } from 'zod';

const entrySchema = z.object({
  stage: z.string(),
  verb: z.string(),
  requestURI: z.string(),
  user: z.object({ username: z.string() }),
  userAgent: z.string().default(''),
  objectRef: z
    .object({
      resource: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
      subresource: z.string().optional(),
    })
    .default({}),
  responseStatus: z.object({ code: z.number().default(0) }).default({ code: 0 }),
  stageTimestamp: z.string(),
});

export type AuditEntry = z.infer<typeof entrySchema>;

/** Verbs that change something; everything else only looks. */
const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** All entries of the log so far, oldest first; a last line that is still being written is left out. */
export function parseAuditLog(text: string): AuditEntry[] {
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => entrySchema.parse(JSON.parse(line)));
}

export function isWrite({ verb }: AuditEntry): boolean {
  return WRITES.has(verb);
}

/** Whether the server refused it for want of a right. */
export function isForbidden({ responseStatus }: AuditEntry): boolean {
  return responseStatus.code === 403 || responseStatus.code === 401;
}
