/** The GraphQL face: `/graphql`, and `/graphql/stream` for subscriptions. */
import type { Hono } from "hono";
import { charge } from "../call.ts";
import type { Endpoint, Handle } from "../endpoint.ts";
import { parseJsonBody, readBody } from "../read-body.ts";
import { type GraphqlOptions, graphqlServer } from "./apollo.ts";
import { graphqlStream } from "./subscriptions.ts";

/** Adds the routes. @returns their paths, each for GET and POST */
export function mountGraphql(app: Hono, endpoint: Endpoint, options: GraphqlOptions): string[] {
  const server = graphqlServer(options);
  const stream = graphqlStream(options);
  const handle =
    (alwaysStreams: boolean): Handle =>
    async (call, c) => {
      charge(call, "graphql");
      let body: unknown;
      if (call.method === "POST") {
        call.body = await readBody(c.req.raw, call.services.settings.bodyBytesMax);
        body = parseJsonBody(call.body, call.headers.get("content-type"));
      }
      const streams = alwaysStreams || (call.headers.get("accept")?.includes("text/event-stream") ?? false);
      return streams ? stream(call, body) : server(call, body);
    };
  app.on(["GET", "POST"], "/graphql", endpoint("graphql", handle(false)));
  app.on(["GET", "POST"], "/graphql/stream", endpoint("graphql", handle(true)));
  return ["/graphql", "/graphql/stream"];
}
