/**
 * What does the API server refuse in the schema of a CustomResourceDefinition, and what would make its rules too
 * expensive? The list of https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 * ("Specifying a structural schema", "Validation rules"), as a walk over the schema that collects every breach.
 */

type Json = Record<string, unknown>;

/** Everything else is refused (`$ref`, `definitions`, `patternProperties`, …) or of no use to us (`anyOf`, `not`, …). */
const KEYWORDS = [
  ...['type', 'description', 'default', 'enum', 'format', 'pattern', 'allOf'],
  ...['minLength', 'maxLength', 'minimum', 'maximum', 'maxItems', 'maxProperties'],
  ...['items', 'properties', 'additionalProperties', 'required'],
  ...['x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-validations'],
];
const TYPES = ['object', 'array', 'string', 'integer', 'boolean'];
/** Within a logical junctor only the value may be judged: no types, no defaults, no structure. */
const JUNCTOR_KEYWORDS = ['pattern'];
/** What backtracks has no place in RE2: look-around, back-references, possessive and atomic groups. */
const NOT_RE2 = /\(\?(?:[=!>]|<[=!])|\\[1-9]|\\k<|[+*?}]\+/;
const MOST_REPETITIONS_IN_RE2 = 1_000;

interface Place {
  readonly path: string;
  /** Inside a list whose items have no identity, an old item cannot be found: no transition rules there. */
  readonly correlatable: boolean;
}

export function structuralBreaches(schema: Json, place: Place = { path: '', correlatable: true }): string[] {
  const breach = (text: string) => `${place.path === '' ? '(root)' : place.path}: ${text}`;
  return [
    ...Object.keys(schema)
      .filter((keyword) => !KEYWORDS.includes(keyword))
      .map((keyword) => breach(`unknown keyword ${keyword}`)),
    ...(TYPES.includes(String(schema['type'])) ? [] : [breach('no type')]),
    ...boundBreaches(schema).map(breach),
    ...patternBreaches(schema).map(breach),
    ...junctorBreaches(schema).map(breach),
    ...listBreaches(schema).map(breach),
    ...ruleBreaches(schema, place).map(breach),
    ...requiredBreaches(schema).map(breach),
    ...children(schema, place).flatMap(([child, below]) => structuralBreaches(child, below)),
  ];
}

function children(schema: Json, { path, correlatable }: Place): [Json, Place][] {
  const at = (name: string) => (path === '' ? name : `${path}.${name}`);
  const items = schema['items'] as Json | undefined;
  const values = schema['additionalProperties'];
  return [
    ...Object.entries(childrenOf(schema)).map(([name, child]): [Json, Place] => [
      child,
      { path: at(name), correlatable },
    ]),
    ...(items
      ? [
          [
            items,
            { path: `${path}[]`, correlatable: correlatable && schema['x-kubernetes-list-type'] === 'map' },
          ] as [Json, Place],
        ]
      : []),
    ...(isObject(values) ? [[values, { path: `${path}{}`, correlatable }] as [Json, Place]] : []),
  ];
}

/** Without bounds the API server assumes the worst, and refuses rules for what they might cost. */
function boundBreaches(schema: Json): string[] {
  const { type } = schema;
  if (type === 'string' && schema['maxLength'] === undefined && schema['enum'] === undefined)
    return ['no maxLength'];
  if (type === 'array' && schema['maxItems'] === undefined) return ['no maxItems'];
  const isMap = schema['additionalProperties'] !== undefined;
  if (isMap && schema['maxProperties'] === undefined) return ['no maxProperties'];
  if (isMap && schema['properties'] !== undefined) return ['both properties and additionalProperties'];
  if (isMap && !isObject(schema['additionalProperties'])) return ['additionalProperties is no schema'];
  return [];
}

function patternBreaches(schema: Json): string[] {
  const inJunctors = (schema['allOf'] as Json[] | undefined)?.map((part) => part['pattern']) ?? [];
  return [schema['pattern'], ...inJunctors]
    .filter((pattern) => typeof pattern === 'string')
    .flatMap((pattern) => {
      const repetitions = [...pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].flatMap((match) => [
        Number(match[1]),
        Number(match[2] ?? 0),
      ]);
      const tooMany = repetitions.some((count) => count > MOST_REPETITIONS_IN_RE2);
      return NOT_RE2.test(pattern) || tooMany ? [`pattern is not RE2: ${pattern}`] : [];
    });
}

function junctorBreaches(schema: Json): string[] {
  return ((schema['allOf'] as Json[] | undefined) ?? []).flatMap((part) =>
    Object.keys(part)
      .filter((keyword) => !JUNCTOR_KEYWORDS.includes(keyword))
      .map((keyword) => `${keyword} within allOf`),
  );
}

function listBreaches(schema: Json): string[] {
  if (schema['type'] !== 'array') return [];
  const items = schema['items'];
  if (!isObject(items)) return ['items is not one schema'];
  const listType = schema['x-kubernetes-list-type'];
  if (listType === 'set' && (items['type'] === 'object' || items['type'] === 'array'))
    return ['a set of what is no scalar'];
  if (listType !== 'map') return [];
  const keys = (schema['x-kubernetes-list-map-keys'] as string[] | undefined) ?? [];
  if (keys.length === 0) return ['a map without keys'];
  const required = (items['required'] as string[] | undefined) ?? [];
  return keys
    .filter(
      (key) =>
        childrenOf(items)[key] === undefined ||
        !(required.includes(key) || childrenOf(items)[key]?.['default'] !== undefined),
    )
    .map((key) => `the key ${key} may be absent`);
}

function ruleBreaches(schema: Json, { correlatable }: Place): string[] {
  const rules = (schema['x-kubernetes-validations'] as Json[] | undefined) ?? [];
  return rules.flatMap(({ rule, message, fieldPath }) => {
    const text = String(rule);
    const fields = typeof fieldPath === 'string' ? fieldPath.split('.').slice(1) : [];
    const target = fields.reduce<Json | undefined>((node, name) => node && childrenOf(node)[name], schema);
    return [
      ...(typeof message === 'string' && message !== '' && !message.includes('\n')
        ? []
        : [`no message of one line: ${text}`]),
      ...(target === undefined ? [`fieldPath leads nowhere: ${String(fieldPath)}`] : []),
      ...(text.includes('oldSelf') && !correlatable
        ? [`a transition rule where nothing can be correlated: ${text}`]
        : []),
    ];
  });
}

function requiredBreaches(schema: Json): string[] {
  return ((schema['required'] as string[] | undefined) ?? [])
    .filter((name) => childrenOf(schema)[name] === undefined)
    .map((name) => `requires ${name}, which is no property`);
}

function childrenOf(schema: Json): Record<string, Json> {
  return (schema['properties'] as Record<string, Json> | undefined) ?? {};
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
