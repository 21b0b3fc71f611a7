import { VolleyError } from "@volley/schema/errors";
import { GPU_MODELS, resolveGpu } from "@volley/schema/gpus";
import { distance } from "fastest-levenshtein";

const NEAREST_COUNT = 3;

/**
 * The slug that a text means.
 * @throws {VolleyError} `unknown_gpu`, with the nearest names
 */
export function knownGpu(text: string): string {
  const slug = resolveGpu(text);
  if (slug !== null) return slug;
  const wanted = text.toLowerCase();
  const nearest = GPU_MODELS.map((model) => ({
    slug: model.slug,
    // A text that begins a slug is near to it, however much is missing.
    far: model.slug.startsWith(wanted) ? 0 : distance(wanted, model.slug),
  }))
    .sort((a, b) => a.far - b.far || (a.slug < b.slug ? -1 : 1))
    .slice(0, NEAREST_COUNT)
    .map((model) => model.slug);
  throw new VolleyError("unknown_gpu", `There is no GPU model "${text}". Did you mean ${nearest.join(", ")}?`, {
    nextAction: "Take a slug from gpus.list.",
    extensions: { nearest },
  });
}
