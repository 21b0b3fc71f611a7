import { type FieldError, VolleyError } from "@volley/schema/errors";

/**
 * Postgres keeps no NUL and no half of a surrogate pair in text. Refuses them in what a caller sent, by pointer.
 * @throws {VolleyError} `invalid_field`
 */
export function requireStorableText(input: unknown): void {
  const errors: FieldError[] = [];
  const visit = (value: unknown, pointer: string): void => {
    if (typeof value === "string") {
      const message = value.includes("\0") ? "must not contain NUL" : value.isWellFormed() ? null : "must be Unicode";
      if (message !== null) errors.push({ pointer, code: "invalid_field", message });
    } else if (value !== null && typeof value === "object") {
      for (const [name, member] of Object.entries(value)) {
        visit(name, pointer);
        visit(member, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
      }
    }
  };
  visit(input, "");
  if (errors.length === 0) return;
  throw new VolleyError("invalid_field", "A text contains characters that can't be stored.", {
    nextAction: "Remove NUL characters and unpaired surrogates; send bytes in base64.",
    errors,
  });
}
