/**
 * What happened to tenants, in the shape in which kubectl looks for it? core/v1 Events, made of the event store:
 * `kubectl describe` shows them below an object, `kubectl events` and `kubectl get events` by themselves.
 */
import type { EventStore, Survey, SurveyedEvent, TenantStore } from '../../store/store.ts';
import { API_VERSION, KIND } from '../../tenant/names.ts';
import { humanAge } from './human-duration.ts';
import { parseFieldRequirements, pinned, type FieldRequirement } from './selectors.ts';
import { nameColumn, type Column, type ListMetadata } from './table.ts';

/** Those of the fields by which Events can be selected in a cluster that mean something here. */
const FIELDS = [
  'involvedObject.apiVersion',
  'involvedObject.kind',
  'involvedObject.name',
  'involvedObject.namespace',
  'involvedObject.uid',
  'metadata.name',
  'metadata.namespace',
  'reason',
  'reportingComponent',
  'source',
  'type',
] as const;
type Field = (typeof FIELDS)[number];

/** Who tells. */
const COMPONENT = 'landlord';
/** A terminal full of events many times over; older ones are found by asking for one tenant's. */
const MOST_EVENTS = 1_000;

export interface EventView {
  readonly kind: 'Event';
  readonly apiVersion: 'v1';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly creationTimestamp: string;
  };
  readonly involvedObject: {
    readonly apiVersion: typeof API_VERSION;
    readonly kind: typeof KIND;
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
  };
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly source: { readonly component: typeof COMPONENT };
  readonly reportingComponent: typeof COMPONENT;
}

export interface EventSources {
  readonly store: TenantStore;
  readonly events: EventStore;
  readonly survey: Survey;
}

export interface EventListView {
  readonly kind: 'EventList';
  readonly apiVersion: 'v1';
  readonly metadata: ListMetadata;
  readonly items: readonly EventView[];
}

/** The newest events that the field selector chooses, oldest first. Throws ApiError `invalid_request`. */
export async function listEvents(
  sources: EventSources,
  query: { readonly namespace: string | undefined; readonly fieldSelector: string },
): Promise<EventListView> {
  const requirements = parseFieldRequirements(query.fieldSelector, FIELDS);
  const uid = pinned(requirements, 'involvedObject.uid');
  const { namespace } = query;
  const found =
    uid === undefined
      ? await recentEvents(sources.survey, namespace)
      : await eventsOfTenant(sources, uid, namespace);
  const items = found.map(toView).filter((event) => matches(event, requirements));
  const newest = Math.max(0, ...found.map(({ id }) => id));
  return { kind: 'EventList', apiVersion: 'v1', metadata: { resourceVersion: String(newest) }, items };
}

async function recentEvents(survey: Survey, namespace: string | undefined): Promise<SurveyedEvent[]> {
  const found = await survey.recentEvents({
    ...(namespace !== undefined && { namespace }),
    limit: MOST_EVENTS,
  });
  return found.reverse();
}

async function eventsOfTenant(
  { store, events }: EventSources,
  uid: string,
  namespace: string | undefined,
): Promise<SurveyedEvent[]> {
  const tenant = await store.getByUid(uid);
  if (tenant === undefined || tenant.metadata.namespace !== (namespace ?? tenant.metadata.namespace))
    return [];
  return (await events.list(uid)).map((event) => ({ ...event, tenant: tenant.metadata }));
}

function toView({ id, tenant, tenantUid, ...event }: SurveyedEvent): EventView {
  const { namespace, name } = tenant;
  return {
    kind: 'Event',
    apiVersion: 'v1',
    metadata: {
      name: `${name}.${id.toString(16)}`,
      namespace,
      uid: `${tenantUid}.${id.toString(16)}`,
      resourceVersion: String(id),
      creationTimestamp: event.firstAt,
    },
    involvedObject: { apiVersion: API_VERSION, kind: KIND, namespace, name, uid: tenantUid },
    type: event.type,
    reason: event.reason,
    message: event.message,
    count: event.count,
    firstTimestamp: event.firstAt,
    lastTimestamp: event.lastAt,
    source: { component: COMPONENT },
    reportingComponent: COMPONENT,
  };
}

function matches(event: EventView, requirements: readonly FieldRequirement<Field>[]): boolean {
  return requirements.every(({ field, equal, value }) => (valueOf(event, field) === value) === equal);
}

function valueOf(event: EventView, field: Field): string {
  switch (field) {
    case 'involvedObject.apiVersion':
      return event.involvedObject.apiVersion;
    case 'involvedObject.kind':
      return event.involvedObject.kind;
    case 'involvedObject.name':
      return event.involvedObject.name;
    case 'involvedObject.namespace':
      return event.involvedObject.namespace;
    case 'involvedObject.uid':
      return event.involvedObject.uid;
    case 'metadata.name':
      return event.metadata.name;
    case 'metadata.namespace':
      return event.metadata.namespace;
    case 'reason':
    case 'type':
      return event[field];
    case 'reportingComponent':
    case 'source':
      return COMPONENT;
    default:
      return field satisfies never;
  }
}

const column = (name: string, read: Column<EventView>['read'], priority: 0 | 1 = 0): Column<EventView> => ({
  name,
  type: 'string',
  format: '',
  description: '',
  priority,
  read,
});

/** What `kubectl get events` shows in a cluster. */
export const EVENT_COLUMNS: readonly Column<EventView>[] = [
  column('Last Seen', ({ lastTimestamp }, now) => humanAge(lastTimestamp, now)),
  column('Type', ({ type }) => type),
  column('Reason', ({ reason }) => reason),
  column('Object', ({ involvedObject: { kind, name } }) => `${kind.toLowerCase()}/${name}`),
  column('Subobject', () => '', 1),
  column('Source', ({ source }) => source.component, 1),
  column('Message', ({ message }) => message.trim()),
  column('First Seen', ({ firstTimestamp }, now) => humanAge(firstTimestamp, now), 1),
  column('Count', ({ count }) => String(count), 1),
  nameColumn<EventView>(1),
];
