/** The whole API as one Hono app, the same in Node and at the edge. */

import { VolleyError } from "@volley/schema/errors";
import openapi from "@volley/schema/openapi.json" with { type: "json" };
import { Hono } from "hono";
import { PREFLIGHT_HEADERS } from "./faces/answer.ts";
import { cardWebhook } from "./faces/card-webhook.ts";
import { checkoutEvents, checkoutPage, icon } from "./faces/checkout/checkout-page.ts";
import { endpoints, type FaceOptions, type Handle } from "./faces/endpoint.ts";
import { mountGraphql } from "./faces/graphql/mount.ts";
import { healthz, readyz } from "./faces/health.ts";
import { metrics } from "./faces/metrics.ts";
import { receiptKeySet } from "./faces/receipt-key-set.ts";
import { referencePage } from "./faces/reference-page.ts";
import { mountRest } from "./faces/rest.ts";

export interface AppOptions extends FaceOptions {
  /** Whether `/metrics` can be served. At the edge each isolate would tell another story. */
  readonly metrics: boolean;
  /** Whether the GraphQL schema may be asked for. */
  readonly introspection?: boolean;
}

export function newApp(options: AppOptions): Hono {
  const app = new Hono();
  const endpoint = endpoints(options);
  const { domain, introspection = true } = options;
  const routes = mountRest(app, endpoint, domain.verbs);
  for (const path of mountGraphql(app, endpoint, { domain, introspection })) routes.set(path, ["GET", "POST"]);
  const get = (path: string, handle: Handle) => {
    app.get(path, endpoint(path, handle));
    routes.set(path, ["GET"]);
  };
  get("/pay/:id", checkoutPage);
  get("/pay/:id/events", checkoutEvents);
  get("/icon.svg", icon);

  const webhook = "/v1/webhooks/stripe";
  app.post(webhook, endpoint("webhooks.stripe", cardWebhook(domain.receiveCardNotice)));
  routes.set(webhook, ["POST"]);

  const document = JSON.stringify(openapi);
  get("/openapi.json", async () => ({ status: 200, body: document, headers: { "content-type": "application/json" } }));
  get("/docs", referencePage(openapi));
  get("/.well-known/jwks.json", receiptKeySet);
  get("/healthz", healthz);
  get("/readyz", readyz());
  if (options.metrics) {
    get("/metrics", metrics);
  }

  app.options("*", () => new Response(null, { status: 204, headers: PREFLIGHT_HEADERS }));
  app.notFound(endpoint("unrouted", (_, c) => Promise.reject(unrouted(routes, c.req.method, c.req.path))));
  return app;
}

/** The right path with a wrong method is another mistake than a wrong path. */
function unrouted(routes: ReadonlyMap<string, readonly string[]>, method: string, path: string): VolleyError {
  const parts = path.split("/");
  const matches = (pattern: string) => {
    const wanted = pattern.split("/");
    return (
      wanted.length === parts.length &&
      wanted.every((part, index) => (part.startsWith(":") ? parts[index] !== "" : part === parts[index]))
    );
  };
  const allowed = [...routes].filter(([pattern]) => matches(pattern)).flatMap(([, methods]) => methods);
  if (allowed.length === 0) {
    return new VolleyError("route_not_found", `There is nothing at ${path.slice(0, 200)}.`, {
      nextAction: "See /docs or /openapi.json for what there is.",
    });
  }
  return new VolleyError("method_not_allowed", `${method} is not allowed here; ${allowed.join(", ")} is.`, {
    extensions: { allowed },
  });
}
