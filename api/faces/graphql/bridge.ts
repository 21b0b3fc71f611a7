/**
 * From zod to type-graphql. Each object of the contract becomes an `@ObjectType` or `@InputType` class by calling
 * the decorators as the plain functions that they are. What is read is zod's own JSON Schema, so names,
 * descriptions, optional and nullable fields come out as in the OpenAPI document.
 */
import "reflect-metadata";
import { camelCase } from "@volley/schema/casing";
import { Field, InputType, ObjectType } from "type-graphql";
import { z } from "zod";
import { type ClassType, defineProperty } from "./fields.ts";
import { type Schema, scalarOf } from "./scalars.ts";

/** From a GraphQL input value to the contract's names; null where a field may be absent means absent. */
export type ToInput = (value: unknown) => unknown;

export interface BridgedType {
  /** The field's name on this face. */
  readonly name: string;
  /** What type-graphql takes as a type: a class, a scalar, an enum, or one of them in an array. */
  readonly type: () => never;
  readonly nullable: boolean;
  readonly description: string | undefined;
  readonly defaultValue: unknown;
  readonly toInput: ToInput;
}

export interface BridgedObject {
  readonly target: ClassType;
  readonly fields: ReadonlyMap<string, BridgedType>;
}

type Direction = "input" | "output";

const objects = new Map<string, BridgedObject>();
const identity: ToInput = (value) => value;

/** The contract's object as a class; the same one for the same name. */
export function bridgeObject(schema: z.ZodObject, io: Direction, name: string): BridgedObject {
  const { $defs = {}, ...root } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return bridgeNamed(resolve(root, $defs).schema, $defs, io, name);
}

function resolve(schema: Schema, definitions: Record<string, Schema>): { schema: Schema; id: string | undefined } {
  const id = schema.$ref?.split("/").at(-1);
  if (id === undefined) return { schema, id };
  const { $ref: _, ...own } = schema;
  return { schema: { ...definitions[id], ...own }, id };
}

function bridgeNamed(schema: Schema, definitions: Record<string, Schema>, io: Direction, name: string): BridgedObject {
  const known = objects.get(name);
  if (known !== undefined) return known;
  const target = { [name]: class {} }[name] as ClassType;
  const fields = new Map<string, BridgedType>();
  const bridged: BridgedObject = { target, fields };
  objects.set(name, bridged);
  for (const [field, fieldSchema] of Object.entries(schema.properties ?? {})) {
    const required = schema.required?.includes(field) ?? false;
    fields.set(field, bridgeField(fieldSchema as Schema, definitions, io, name, field, required));
  }
  (io === "input" ? InputType : ObjectType)(name)(target);
  for (const [field, { name: fieldName, type, nullable, description, defaultValue }] of fields) {
    const options = { nullable, ...(description === undefined ? {} : { description }) };
    // An input class is only a shape; an output object is the contract's own, under the contract's names.
    if (io === "input") Field(type, { ...options, defaultValue })(target.prototype, fieldName);
    else defineProperty(target, field, type, { ...options, name: fieldName });
  }
  return bridged;
}

function bridgeField(
  given: Schema,
  definitions: Record<string, Schema>,
  io: Direction,
  owner: string,
  field: string,
  required: boolean,
): BridgedType {
  const { schema, id } = resolve(given, definitions);
  const common = {
    name: camelCase(field),
    description: schema.description,
    defaultValue: scalarDefault(schema),
    nullable: !required,
  };
  const inner = withoutNull(schema);
  if (inner !== null) {
    return { ...common, ...pick(bridgeField(inner, definitions, io, owner, field, required)), nullable: true };
  }
  if (schema.type === "array" && typeof schema.items === "object" && !Array.isArray(schema.items)) {
    const item = bridgeField(schema.items as Schema, definitions, io, owner, field, true);
    const toInput: ToInput = (value) => (Array.isArray(value) ? value.map(item.toInput) : value);
    return { ...common, type: () => [item.type()] as never, toInput };
  }
  const plain = id ?? `${owner.replace(/Input$/, "")}${pascal(field)}`;
  if (schema.type === "object" && schema.properties !== undefined) {
    const bridged = bridgeNamed(schema, definitions, io, io === "input" ? `${plain}Input` : plain);
    return { ...common, type: () => bridged.target as never, toInput: (value) => objectToInput(bridged, value) };
  }
  const scalar = scalarOf(schema, plain, field);
  return { ...common, type: () => scalar as never, toInput: identity };
}

const pick = ({ type, toInput }: BridgedType) => ({ type, toInput });

/** The schema that is left when null is taken away; null when it could not be null anyway. */
function withoutNull(schema: Schema): Schema | null {
  const isNull = (option: unknown) =>
    typeof option === "object" && option !== null && "type" in option && option.type === "null";
  if (schema.anyOf?.some(isNull)) {
    const rest = schema.anyOf.filter((option) => !isNull(option)) as Schema[];
    return rest.length === 1 && rest[0] !== undefined ? rest[0] : { ...schema, anyOf: rest };
  }
  const types = [schema.type].flat() as string[];
  if (!types.includes("null") || types.length < 2) return null;
  const rest = types.filter((type) => type !== "null");
  return { ...schema, type: rest.length === 1 ? rest[0] : rest } as Schema;
}

function scalarDefault(schema: Schema): unknown {
  return typeof schema.default === "object" ? undefined : schema.default;
}

const pascal = (name: string) => camelCase(`_${name}`);

/** Names and absences of one input object, all the way down. */
export function objectToInput({ fields }: BridgedObject, value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  const given = value as Readonly<Record<string, unknown>>;
  const input: Record<string, unknown> = {};
  for (const [field, { name, nullable, toInput }] of fields) {
    const item = given[name];
    if (item === undefined || (item === null && nullable)) continue;
    input[field] = toInput(item);
  }
  return input;
}
