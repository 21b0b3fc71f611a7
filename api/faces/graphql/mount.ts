/** The GraphQL face: `/graphql`, and `/graphql/stream` for subscriptions. */
import type { Hono } from "hono";
import { type Call, charge } from "../call.ts";
import type { Endpoint, Handle } from "../endpoint.ts";
import { parseJsonBody, readBody } from "../read-body.ts";
import type { GraphqlOptions, GraphqlServer } from "./apollo.ts";
import { sandboxPage } from "./sandbox-page.ts";
import type { GraphqlStream } from "./subscriptions.ts";

/** Somebody who looks with a browser, and asks nothing yet. */
function isVisit({ method, target, headers }: Call): boolean {
  return method === "GET" && target === "/graphql" && (headers.get("accept")?.includes("text/html") ?? false);
}

interface Engine {
  readonly server: GraphqlServer;
  readonly stream: GraphqlStream;
}

/** Made at the first question: its libraries are a third of all the code, and most processes at the edge serve REST. */
function engineWhenAsked(options: GraphqlOptions): () => Promise<Engine> {
  let made: Promise<Engine> | undefined;
  const make = async (): Promise<Engine> => {
    const [{ graphqlServer }, { graphqlStream }] = await Promise.all([
      import("./apollo.ts"),
      import("./subscriptions.ts"),
    ]);
    return { server: graphqlServer(options), stream: graphqlStream(options) };
  };
  return () => {
    made ??= make();
    return made;
  };
}

/** Adds the routes. @returns their paths, each for GET and POST */
export function mountGraphql(app: Hono, endpoint: Endpoint, options: GraphqlOptions): string[] {
  const engine = engineWhenAsked(options);
  const handle =
    (alwaysStreams: boolean): Handle =>
    async (call, c) => {
      charge(call, "graphql");
      if (options.introspection && isVisit(call)) return sandboxPage();
      let body: unknown;
      if (call.method === "POST") {
        call.body = await readBody(c.req.raw, call.services.settings.bodyBytesMax);
        body = parseJsonBody(call.body, call.headers.get("content-type"));
      }
      const streams = alwaysStreams || (call.headers.get("accept")?.includes("text/event-stream") ?? false);
      const { server, stream } = await engine();
      return streams ? stream(call, body) : server(call, body);
    };
  app.on(["GET", "POST"], "/graphql", endpoint("graphql", handle(false)));
  app.on(["GET", "POST"], "/graphql/stream", endpoint("graphql", handle(true)));
  return ["/graphql", "/graphql/stream"];
}
