/** Adds fields to classes of type-graphql: its decorators, called as plain functions. */
import { Arg, Extensions, Field, type ResolverData } from "type-graphql";
import type { GraphContext } from "./graph-context.ts";

// biome-ignore lint/suspicious/noExplicitAny: what type-graphql takes for a class
export type ClassType = new (...args: any[]) => object;

export interface ArgumentOptions {
  readonly name: string;
  readonly type: () => never;
  readonly nullable: boolean;
  readonly description: string | undefined;
  readonly defaultValue: unknown;
}

export type Resolve = (data: ResolverData<GraphContext>) => unknown;

/** Declares a field that is read from a property of its object. */
export function defineProperty(
  target: ClassType,
  property: string,
  type: () => unknown,
  options: { readonly name?: string; readonly nullable?: boolean; readonly description?: string } = {},
): void {
  Field(type as never, { ...options, simple: true })(target.prototype, property);
  Extensions({ property })(target.prototype, property);
}

/** Puts a method on the class for the field, and declares its arguments; `schema.ts` lets it be called directly. */
export function defineResolver(
  target: ClassType,
  field: string,
  args: readonly ArgumentOptions[],
  resolve: Resolve,
): object {
  const prototype: object = target.prototype;
  Object.defineProperty(prototype, field, { value: resolve, configurable: true });
  Extensions({ resolve })(prototype, field);
  for (const [index, { name, type, nullable, description, defaultValue }] of args.entries()) {
    const options = { nullable, validate: false, ...(description === undefined ? {} : { description }), defaultValue };
    Arg(name, type, options)(prototype, field, index);
  }
  return prototype;
}
