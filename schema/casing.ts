/**
 * The one mapping between snake_case (REST, storage) and camelCase (GraphQL, SDK).
 * Maps whose keys belong to the caller (metadata, environment variables) pass through untouched.
 */
const VERBATIM_FIELDS = new Set(["metadata", "env", "data_json"]);
const VERBATIM_CAMEL_FIELDS = new Set([...VERBATIM_FIELDS].map(camelCase));

export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function mapKeys(value: unknown, rename: (name: string) => string, verbatim: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((item) => mapKeys(item, rename, verbatim));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      rename(name),
      verbatim.has(name) ? item : mapKeys(item, rename, verbatim),
    ]),
  );
}

export function toCamelCaseKeys(value: unknown): unknown {
  return mapKeys(value, camelCase, VERBATIM_FIELDS);
}

export function toSnakeCaseKeys(value: unknown): unknown {
  return mapKeys(value, snakeCase, VERBATIM_CAMEL_FIELDS);
}
