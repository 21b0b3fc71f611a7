/** What Prometheus reads. It tells how much is sold and what fails, so only the holder of a token gets it. */
import { createHash, timingSafeEqual } from "node:crypto";
import { VolleyError } from "@volley/schema/errors";
import { publishAlarms } from "../ledger/alarms.ts";
import type { Handle } from "./endpoint.ts";

const digest = (text: string) => createHash("sha256").update(text).digest();

function opens(headers: Headers, token: string | null): boolean {
  const sent = headers.get("authorization");
  return token !== null && sent !== null && timingSafeEqual(digest(sent), digest(`Bearer ${token}`));
}

/** For everybody else it isn't there. */
export const metrics: Handle = async ({ services, headers }) => {
  if (!opens(headers, services.settings.metricsToken)) {
    throw new VolleyError("route_not_found", "There is nothing at /metrics.", {
      nextAction: "Send VOLLEY_METRICS_TOKEN as the bearer token. See docs/configuration.md.",
    });
  }
  await publishAlarms(services);
  return {
    status: 200,
    body: await services.metrics.render(),
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
  };
};
