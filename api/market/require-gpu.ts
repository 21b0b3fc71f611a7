import { VolleyError } from "@volley/schema/errors";
import { GPU_MODELS, resolveGpu } from "@volley/schema/gpus";
import { distance } from "fastest-levenshtein";

const NEAREST_MAX = 5;

/**
 * The slug that a caller's text means.
 * @throws {VolleyError} `unknown_gpu`, with the nearest slugs in `nearest`
 */
export function requireGpu(text: string): string {
  const slug = resolveGpu(text);
  if (slug !== null) return slug;
  const nearest = nearestGpus(text);
  throw new VolleyError(
    "unknown_gpu",
    `No GPU model is called "${text}". The nearest names are ${nearest.join(", ")}.`,
    {
      nextAction: "Use one of these names; gpus.list has them all.",
      extensions: { nearest },
    },
  );
}

/** Slugs whose names are most like the text: those that begin with it first, then by edits. */
export function nearestGpus(text: string): string[] {
  const wanted = text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  const scored = GPU_MODELS.map(({ slug, aliases }) => {
    const family = slug.replace(/-\d+gb$/, "");
    const edits = Math.min(...[slug, family, ...aliases].map((name) => distance(wanted, name)));
    return { slug, score: slug.startsWith(wanted) ? edits / 1000 : edits };
  });
  return scored
    .sort((a, b) => a.score - b.score)
    .slice(0, NEAREST_MAX)
    .map(({ slug }) => slug);
}
