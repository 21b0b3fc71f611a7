/** Adds fields to classes of type-graphql: its decorators, called as plain functions. */
import { Arg, createParameterDecorator, type ResolverData } from "type-graphql";
import type { ClassType } from "./bridge.ts";
import type { GraphContext } from "./graph-context.ts";

export interface ArgumentOptions {
  readonly name: string;
  readonly type: () => never;
  readonly nullable: boolean;
  readonly description: string | undefined;
  readonly defaultValue: unknown;
}

export type Resolve = (data: ResolverData<GraphContext>) => unknown;

/** The resolver's data as a whole: names and absences of arguments are the bridge's, not those of argument classes. */
const Whole = createParameterDecorator<GraphContext>((data) => data);

/** Puts a method on the class that answers the field, and declares the field's arguments. */
export function defineResolver(
  target: ClassType,
  field: string,
  args: readonly ArgumentOptions[],
  resolve: Resolve,
): object {
  const prototype: object = target.prototype;
  Object.defineProperty(prototype, field, { value: resolve, configurable: true });
  Whole(prototype, field, 0);
  for (const [index, { name, type, nullable, description, defaultValue }] of args.entries()) {
    const options = { nullable, validate: false, ...(description === undefined ? {} : { description }), defaultValue };
    Arg(name, type, options)(prototype, field, index + 1);
  }
  return prototype;
}
