/** Errors as the GraphQL face answers them: each carries the members of the registry in its extensions. */
import { camelCase } from "@volley/schema/casing";
import { type ErrorCode, type FieldError, VolleyError } from "@volley/schema/errors";
import type { GraphQLFormattedError } from "graphql";
import { reportProblem } from "../answer.ts";
import type { Call } from "../call.ts";
import { isProblemExtensions, problemExtensions } from "./graph-context.ts";

/** What graphql and Apollo Server call their refusals. Anything else was not meant to happen. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  BAD_REQUEST: "graphql_invalid",
  BAD_USER_INPUT: "invalid_field",
  GRAPHQL_PARSE_FAILED: "graphql_invalid",
  GRAPHQL_VALIDATION_FAILED: "graphql_invalid",
  OPERATION_RESOLUTION_FAILURE: "graphql_invalid",
  PERSISTED_QUERY_NOT_SUPPORTED: "graphql_invalid",
};

const NEXT_ACTIONS: Readonly<Partial<Record<ErrorCode, string>>> = {
  graphql_invalid: "Check the document against the schema, by introspection at /graphql.",
  invalid_field: "Correct the variables that `errors` points to.",
  unknown_field: "Leave the field out, or look up its name in the schema.",
  query_too_complex: "Ask for less at once, or in several requests.",
};

/** The error with the registry's members. What nobody refused on purpose loses its message and is logged. */
export function formatGraphqlError(call: Call, error: GraphQLFormattedError): GraphQLFormattedError {
  if (isProblemExtensions(error.extensions)) return error;
  const raised = toVolleyError(error);
  const problem = reportProblem(call, raised ?? new Error(error.message), "graphql");
  return { ...error, message: problem.detail, extensions: problemExtensions(problem) };
}

function codeOf({ message, extensions }: GraphQLFormattedError): ErrorCode | undefined {
  const { reason, code } = extensions ?? {};
  if (reason === "query_too_complex" || /^Syntax Error: Document contains more that/.test(message))
    return "query_too_complex";
  if (typeof code === "string") return CODES[code];
  return /^(Variable "\$|Argument ")/.test(message) ? "invalid_field" : undefined;
}

function toVolleyError(error: GraphQLFormattedError): VolleyError | null {
  const { message } = error;
  const code = codeOf(error);
  if (code === undefined) return null;
  if (code !== "invalid_field") return withNextAction(code, message);
  const fault = fieldErrorOf(message);
  return withNextAction(fault.code === "unknown_field" ? "unknown_field" : "invalid_field", message, [fault]);
}

function withNextAction(code: ErrorCode, message: string, errors?: readonly FieldError[]): VolleyError {
  const nextAction = NEXT_ACTIONS[code];
  return new VolleyError(code, message, {
    ...(nextAction === undefined ? {} : { nextAction }),
    ...(errors === undefined ? {} : { errors }),
  });
}

/** Where in the variables the fault is, from graphql's own sentence. */
function fieldErrorOf(message: string): FieldError {
  const name = /^Variable "\$(\w+)"/.exec(message)?.[1] ?? "";
  const path = /got invalid value .* at "\w+((?:\.\w+|\[\d+\])*)"; /s.exec(message)?.[1] ?? "";
  const reason = message.includes("; ") ? message.slice(message.lastIndexOf("; ") + 2) : message;
  const unknown = /^Field "(\w+)" is not defined by type/.exec(reason)?.[1];
  const missing = /^Field "(\w+)" of required type/.exec(reason)?.[1];
  const steps = [name, ...path.split(/[.[\]]+/).filter((step) => step !== ""), ...[unknown ?? missing ?? []].flat()];
  // The body of an operation is the argument `input`, which REST has no name for.
  const pointer = steps[0] === "input" ? steps.slice(1) : steps;
  return {
    pointer: pointer.map((step) => `/${camelCase(step)}`).join(""),
    code: unknown === undefined ? "invalid_field" : "unknown_field",
    message: reason,
  };
}
